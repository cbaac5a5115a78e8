//! ONNX files to our float graph. The only room that names tract.

pub(crate) mod decompose;
pub(crate) mod external;
pub(crate) mod load;
pub(crate) mod loaded;
pub mod reference;
mod sizes;
pub mod supported;
pub(crate) mod tensors;
pub(crate) mod translate;
pub(crate) mod unsupported;

/// Types of the nodes of an ONNX file, those of graphs inside included; none for what is not such a file.
pub fn operators(bytes: &[u8]) -> Vec<String> {
    let graph = load::parse(bytes, "").ok().and_then(|proto| proto.graph);
    let types = graph.iter().flat_map(unsupported::types);
    types.map(str::to_string).collect()
}
