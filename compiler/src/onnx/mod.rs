//! ONNX files to our float graph. The only module that names tract.

mod analyze;
pub(crate) mod canonical;
mod declared;
pub(crate) mod decompose;
mod dimensions;
pub(crate) mod external;
mod freeze;
pub(crate) mod load;
pub(crate) mod loaded;
mod malformed;
pub mod reference;
mod sizes;
pub mod supported;
pub(crate) mod tensors;
pub(crate) mod translate;
pub(crate) mod unsupported;

/// Types of the nodes of an ONNX file, including inner graphs; empty if it is not such a file.
pub fn operators(bytes: &[u8]) -> Vec<String> {
    let graph = load::parse(bytes, "").ok().and_then(|proto| proto.graph);
    let types = graph.iter().flat_map(unsupported::types);
    types.map(str::to_string).collect()
}
