//! Inputs and outputs as the ONNX file declares them.

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
