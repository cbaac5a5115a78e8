//! The command line's files of tensors in JSON, without those of NumPy.
#![allow(dead_code)]

#[path = "../../src/tensors/error.rs"]
mod error;
#[path = "../../src/tensors/fit.rs"]
mod fit;
#[path = "../../src/tensors/json.rs"]
mod json;

use zkiln_compiler::graph::Dtype;

pub use error::TensorError;
pub use fit::{Finite, fit};
pub use json::{OutData, document, lines};

/// Which side of a model a file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Keys `inputs` or `input_data`.
    Inputs,
    /// Keys `outputs` or `output_data`.
    Outputs,
}

/// A tensor as a file has it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileTensor {
    pub name: Option<String>,
    pub dtype: Option<Dtype>,
    pub shape: Option<Vec<usize>>,
    pub data: Vec<f64>,
}

fn dtype_named(name: &str) -> Option<Dtype> {
    match name {
        "float32" => Some(Dtype::Float32),
        "int64" => Some(Dtype::Int64),
        "bool" => Some(Dtype::Bool),
        _ => None,
    }
}

/// The name of a kind of elements in files.
pub fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Float32 => "float32",
        Dtype::Int64 => "int64",
        Dtype::Bool => "bool",
    }
}
