//! What is known about an ONNX node from its type alone, before shapes are known.

use std::collections::{BTreeSet, HashMap};

use tract_onnx::pb::{GraphProto, NodeProto};

use crate::onnx::decompose::operator::bare;

/// Types that our graph cannot express, whatever their attributes.
const REFUSED: &[(&[&str], &str, &str)] = &[
    (
        &["CastMap", "DictVectorizer"],
        "maps are not tensors",
        "export the model with tensors instead of maps",
    ),
    (
        &[
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
            "Multinomial",
            "Bernoulli",
        ],
        "its output is random",
        "pass the random values as an input",
    ),
    (
        &["NonMaxSuppression"],
        "the shape of its output depends on the data",
        "run it outside the model, after the proof",
    ),
    (
        &["StringNormalizer", "CategoryMapper"],
        "strings are not numbers",
        "tokenize outside the model",
    ),
];

/// Reason and help for an ONNX node that is refused by its type alone.
pub fn reason(operator: &str) -> Option<(&'static str, &'static str)> {
    REFUSED
        .iter()
        .find(|(types, ..)| types.contains(&bare(operator)))
        .map(|(_, reason, help)| (*reason, *help))
}

/// Types of all nodes of a graph and of the graphs inside it.
pub fn types(graph: &GraphProto) -> BTreeSet<&str> {
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let inside = attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    let own = graph.node.iter().map(|node| node.op_type.as_str());
    own.chain(inside.flat_map(types)).collect()
}

/// Operator type of each node, by the name tract gives it.
pub fn operators(graph: &GraphProto) -> HashMap<String, String> {
    graph
        .node
        .iter()
        .enumerate()
        .map(|(i, n)| (name(i, n), bare(&n.op_type).to_string()))
        .collect()
}

/// The name that tract gives a node.
pub fn name(index: usize, node: &NodeProto) -> String {
    if !node.name.is_empty() {
        return node.name.clone();
    }
    node.output
        .iter()
        .find(|o| !o.is_empty())
        .cloned()
        .unwrap_or_else(|| format!("{index}-{}", node.op_type))
}
