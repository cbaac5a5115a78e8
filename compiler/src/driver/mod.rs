//! From an ONNX file to a committed model, for the macro, for build scripts and for the command line.

pub mod artefact;
pub mod blinding_key;
pub mod build;
mod cache;
pub mod compile;
pub mod rows;
