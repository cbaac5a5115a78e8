//! Operators of `ai.onnx.ml`: trees, linear models, support vectors, features.

pub(crate) mod features;
pub(crate) mod forest;
pub(crate) mod linear_models;
pub(crate) mod ngrams;
pub(crate) mod scores;
pub(crate) mod svm;
pub(crate) mod trees;
