//! Inputs and outputs as the ONNX file declares them, and samples of inputs.

use crate::graph::Dtype;

/// One input or output of the ONNX model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// ONNX name.
    pub name: String,
    /// ONNX element type.
    pub dtype: Dtype,
    /// ONNX shape, symbolic dimensions bound.
    pub shape: Vec<usize>,
}

/// A sample tensor: row-major.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Elements.
    pub data: Vec<f64>,
}
