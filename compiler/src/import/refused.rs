//! What can be said of an ONNX node by its type alone, before shapes are known.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto};

use crate::Complaint;

/// A complaint by type.
pub struct TypeComplaint {
    /// For people.
    pub complaint: Complaint,
    /// tract does not know the type, so that analysis cannot go on.
    pub unknown: bool,
}

/// Types that no graph of ours can say, whatever their attributes.
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
        &["NonZero", "Unique", "Compress", "NonMaxSuppression"],
        "its output's shape depends on values",
        "move it after the proof, or to constants",
    ),
    (
        &["StringNormalizer", "TfIdfVectorizer", "CategoryMapper"],
        "strings are not numbers",
        "tokenise outside the model",
    ),
];

/// Complaints about nodes by their type, in the model's order: types tract does not `know`, and [`REFUSED`] ones.
pub fn by_type(graph: &GraphProto, know: impl Fn(&str) -> bool) -> Vec<TypeComplaint> {
    let mut complaints = Vec::new();
    for (index, node) in graph.node.iter().enumerate() {
        let complain = |reason: &str, help: &str| Complaint {
            node: name(index, node),
            op: node.op_type.clone(),
            reason: reason.into(),
            help: help.into(),
        };
        let unknown = !know(&node.op_type);
        let complaint = if let Some((reason, help)) = reason(&node.op_type) {
            complain(reason, help)
        } else if unknown {
            let reason = match node.domain.as_str() {
                "" | "ai.onnx" => "this operator is not known".to_string(),
                domain => format!("this operator of domain `{domain}` is not known"),
            };
            complain(&reason, "express it with standard operators")
        } else {
            continue;
        };
        complaints.push(TypeComplaint { complaint, unknown });
    }
    complaints
}

/// Reason and help where the type of an ONNX node says it all.
pub fn reason(operator: &str) -> Option<(&'static str, &'static str)> {
    REFUSED
        .iter()
        .find(|(types, ..)| types.contains(&operator))
        .map(|(_, reason, help)| (*reason, *help))
}

/// Operator type of each node, by the name tract gives it.
pub fn operators(graph: &GraphProto) -> HashMap<String, String> {
    graph
        .node
        .iter()
        .enumerate()
        .map(|(i, n)| (name(i, n), n.op_type.clone()))
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
