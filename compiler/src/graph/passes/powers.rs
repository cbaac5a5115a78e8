//! Quotients by roots, and logarithms of softmaxes, as what they are: an inverse root of the sum itself is as precise of small sums as of large
//! ones, and a logarithm of a softmax is not lost where our softmax rounds to zero.

use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, UnaryFn};

/// The greatest distance from a row's maximum at which single precision is sure to have a softmax of `len` elements that is not zero.
fn single_precision_reach(len: usize) -> f64 {
    let least = f64::from(f32::from_bits(1));
    -libm::log(least) - libm::log(len as f64)
}

/// Rewrites in place. Nodes that are no longer needed stay until [`crate::graph::Graph::prune`].
pub fn find(build: &mut Builder) {
    for id in 0..build.graph.nodes.len() {
        let node = &build.graph.nodes[id];
        build.name = node.name.clone();
        match (&node.op, &node.inputs[..]) {
            (Op::Binary(BinaryFn::Div), &[a, b]) => {
                if let Some(inverse) = inverse_root(build, b) {
                    build.graph.nodes[id].op = Op::Binary(BinaryFn::Mul);
                    build.graph.nodes[id].inputs = vec![a, inverse];
                }
            }
            (Op::Pointwise(function), &[x]) if *function == Pointwise::of(UnaryFn::Ln) => {
                let source = &build.graph.nodes[x];
                let (&Op::Softmax { axis, .. }, &[scores]) = (&source.op, &source.inputs[..])
                else {
                    continue;
                };
                let mut rows = build.shape(scores);
                let len = std::mem::replace(&mut rows[axis], 1);
                // As it stands in the file it is infinite where the softmax rounds to zero.
                let reach = single_precision_reach(len);
                let total = build.push(Op::LogSumExp { axis, reach }, vec![scores], rows);
                build.graph.nodes[id].op = Op::Binary(BinaryFn::Sub);
                build.graph.nodes[id].inputs = vec![scores, total];
                build.origins[id] = None;
            }
            _ => (),
        }
    }
}

/// `1 / x`, where `x` is a root, which may be moved, or kept above a number.
fn inverse_root(build: &mut Builder, id: NodeId) -> Option<NodeId> {
    let node = &build.graph.nodes[id];
    match (&node.op, &node.inputs[..]) {
        (Op::Pointwise(function), &[x]) if *function == Pointwise::of(UnaryFn::Sqrt) => {
            Some(build.unary(UnaryFn::Rsqrt, x))
        }
        (Op::Binary(BinaryFn::Max), &[a, b]) => {
            let (root, least) = match (build.graph.uniform(a), build.graph.uniform(b)) {
                (None, Some(least)) => (a, least),
                (Some(least), None) => (b, least),
                _ => return None,
            };
            let source = &build.graph.nodes[root];
            let is_root = source.op == Op::Pointwise(Pointwise::of(UnaryFn::Sqrt));
            let &[x] = &source.inputs[..] else {
                return None;
            };
            let above = Pointwise::binary(
                BinaryFn::Max,
                Pointwise::Variable,
                Pointwise::Constant(least * least),
            );
            let inverse = Pointwise::unary(UnaryFn::Rsqrt, above);
            (is_root && least > 0.0).then(|| build.pointwise(inverse, x))
        }
        (op @ (Op::Reshape | Op::Transpose { .. } | Op::Broadcast), &[x]) => {
            let (op, shape) = (op.clone(), node.shape.clone());
            let inverse = inverse_root(build, x)?;
            Some(build.push(op, vec![inverse], shape))
        }
        _ => None,
    }
}
