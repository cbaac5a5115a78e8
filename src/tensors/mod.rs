//! Files of tensors: JSON (ours and EZKL's), JSON lines, NumPy's `.npy` and `.npz`.
//!
//! A file is read into [`FileTensor`]s, which say only what the file says; [`fit`] then holds them against the
//! model's ports. Elements are `f64` throughout, row-major, like everywhere before quantisation.

mod error;
mod fit;
mod json;
mod numpy;

use std::path::Path;

use zkiln_compiler::graph::Dtype;

pub use error::TensorError;
pub use fit::{Finite, fit};
pub use json::{OutData, OutTensor, lines};

/// Which side of a model a file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Keys `inputs` or `input_data`.
    Inputs,
    /// Keys `outputs` or `output_data`.
    Outputs,
}

/// A tensor as a file has it; what the file leaves out is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct FileTensor {
    /// Name of the model's port.
    pub name: Option<String>,
    /// Kind of elements.
    pub dtype: Option<Dtype>,
    /// Lengths of the axes.
    pub shape: Option<Vec<usize>>,
    /// Row-major elements.
    pub data: Vec<f64>,
}

/// Reads a file whose format its name tells: `.npy`, `.npz`, and JSON for all others.
pub fn read(path: &Path, side: Side) -> Result<Vec<FileTensor>, TensorError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| TensorError::Read {
        file: file.clone(),
        source,
    })?;
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => Ok(vec![numpy::array(&bytes, &file)?]),
        Some("npz") => numpy::archive(&bytes, &file),
        _ => json::document(&bytes, &file, side),
    }
}

/// The three kinds of elements that ports have, from ONNX's and NumPy's names.
fn dtype_named(name: &str) -> Option<Dtype> {
    match name {
        "float16" | "bfloat16" | "float32" | "float64" | "float" | "double" => Some(Dtype::Float32),
        "int8" | "int16" | "int32" | "int64" => Some(Dtype::Int64),
        "uint8" | "uint16" | "uint32" | "uint64" => Some(Dtype::Int64),
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
