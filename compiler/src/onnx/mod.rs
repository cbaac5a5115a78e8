//! ONNX files to our float graph. The only room that names tract.

pub(crate) mod decompose;
pub(crate) mod limits;
pub(crate) mod load;
pub mod reference;
pub mod supported;
pub(crate) mod tensors;
pub mod translate;
pub(crate) mod unsupported;
