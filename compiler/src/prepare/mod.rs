//! Tests of the way from an ONNX file to a calibrated graph.

mod tests;
