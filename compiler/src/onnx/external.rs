//! Files beside an ONNX file that hold its large tensors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tract_onnx::pb::{GraphProto, TensorProto};
use tract_onnx::prelude::Framework;

/// The files that the `model` at `path` refers to, in the order of their names; empty if it is not a model.
pub fn files(mut model: &[u8], path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut locations = BTreeSet::new();
    if let Ok(model) = tract_onnx::onnx().proto_model_for_read(&mut model) {
        let graphs = model.graph.iter();
        graphs.for_each(|graph| collect(graph, &mut locations));
    }
    locations
        .into_iter()
        .map(|location| folder.join(location))
        .collect()
}

fn collect(graph: &GraphProto, locations: &mut BTreeSet<String>) {
    let attributes = || graph.node.iter().flat_map(|node| &node.attribute);
    let constants = attributes().flat_map(|attribute| attribute.t.iter().chain(&attribute.tensors));
    for tensor in graph.initializer.iter().chain(constants) {
        locations.extend(location(tensor));
    }
    let subgraphs = attributes().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    subgraphs.for_each(|graph| collect(graph, locations));
}

fn location(tensor: &TensorProto) -> Option<String> {
    let mut entries = tensor.external_data.iter();
    entries
        .find(|entry| entry.key == "location")
        .map(|entry| entry.value.clone())
}
