//! Operators of `ai.onnx.ml`: trees, linear models, support vectors, features.

mod features;
mod forest;
mod linear_models;
mod ngrams;
mod scores;
mod svm;
mod trees;

use crate::onnx::decompose::operator::Operator;

/// The operators of each file.
pub(super) const OPERATORS: &[&[Operator]] = &[
    features::OPERATORS,
    linear_models::OPERATORS,
    ngrams::OPERATORS,
    svm::OPERATORS,
    trees::OPERATORS,
];
