//! Finds what else is wrong with a model that has refused nodes, by lowering the nodes that do not depend on them.
//!
//! Refused nodes have become inputs. Ranges come from one synthetic sample, in our own semantics.

use std::collections::HashSet;

use crate::calibrate::ranges::synthetic_inputs;
use crate::diagnostic::Diagnostic;
use crate::error::CompileError;
use crate::graph::interpret;
use crate::graph::{Graph, NodeId, Op};
use crate::lower::lower;
use crate::options::Options;

use crate::graph::{check, names};

/// Most elements of all values together that are computed for the sake of diagnostics.
const MOST_ELEMENTS: usize = 1 << 22;

/// What lowering refuses, where the graph is well-formed and small.
pub fn of_lowering(mut graph: Graph) -> Vec<Diagnostic> {
    graph.prune();
    let elements: usize = graph.nodes.iter().map(|node| node.volume()).sum();
    if check::check(&graph).is_err() || elements > MOST_ELEMENTS {
        return Vec::new();
    }
    names::distinguish(&mut graph);
    let doubtful = doubtful(&graph);
    let inputs: Vec<NodeId> = (0..graph.nodes.len())
        .filter(|id| matches!(graph.nodes[*id].op, Op::Input(_)))
        .collect();
    graph.inputs = inputs;
    for sample in synthetic_inputs(&graph, 1) {
        let values = interpret::evaluate(&graph, &sample);
        for (node, value) in graph.nodes.iter_mut().zip(values) {
            node.range = value.range();
        }
    }
    match lower(&graph, &Options::default(), "refused") {
        Err(CompileError::Nodes(found)) => found
            .into_iter()
            .filter(|c| !doubtful.contains(&c.node))
            .collect(),
        _ => Vec::new(),
    }
}

/// Names of nodes that depend on an input that stands in for a refused node.
fn doubtful(graph: &Graph) -> HashSet<String> {
    let mut doubted = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        let stands_in = matches!(node.op, Op::Input(_)) && !graph.inputs.contains(&id);
        doubted[id] = stands_in || node.inputs.iter().any(|input| doubted[*input]);
    }
    let named = graph
        .nodes
        .iter()
        .zip(doubted)
        .filter(|(_, doubted)| *doubted);
    named.map(|(node, _)| node.name.clone()).collect()
}
