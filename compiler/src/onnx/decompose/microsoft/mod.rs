//! Operators of `com.microsoft`: what onnxruntime's optimizer fuses, and what exporters of language models write.

mod embeddings;
mod fused;
mod heads;
mod narrow;

use crate::onnx::decompose::operator::Operator;

/// The operators of each file.
pub(super) const OPERATORS: &[&[Operator]] = &[
    heads::OPERATORS,
    embeddings::OPERATORS,
    fused::OPERATORS,
    narrow::OPERATORS,
];
