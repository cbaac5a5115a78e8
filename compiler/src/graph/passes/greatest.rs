//! Where the greatest elements of a row are, looked for in what a softmax is of: its scores are in the same order, and further apart than
//! what it makes of them.

use crate::graph::{BinaryFn, Graph, NodeId, Op};

/// Rewrites in place. Nodes that are no longer needed stay until [`crate::graph::Graph::prune`].
pub fn find(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let Op::MaximumMask { axis } = graph.nodes[id].op else {
            continue;
        };
        let mut ranked = graph.nodes[id].inputs[0];
        while let Some(scores) = in_the_same_order(graph, ranked, axis) {
            ranked = scores;
        }
        graph.nodes[id].inputs[0] = ranked;
    }
}

/// What has the same order along the axis: the scores of a softmax without a mask, or of its logarithm.
fn in_the_same_order(graph: &Graph, id: NodeId, axis: usize) -> Option<NodeId> {
    let node = &graph.nodes[id];
    match (&node.op, &node.inputs[..]) {
        (
            Op::Softmax {
                axis: along,
                hidden,
            },
            &[scores],
        ) => (*along == axis && hidden.is_empty()).then_some(scores),
        (Op::Binary(BinaryFn::Sub), &[scores, total]) => {
            let is_total =
                matches!(graph.nodes[total].op, Op::LogSumExp { axis: along, .. } if along == axis);
            is_total.then_some(scores)
        }
        _ => None,
    }
}
