//! Unsigned integers of 64 bits that end as signed ones: exporters shift and mask `int64` in `uint64`. Sums and products are the same modulo
//! `2^64`, so they are computed as signed integers, which may be negative on the way.

use crate::graph::{BinaryFn, Dtype, Graph, Op};

/// Gives such integers the signed type.
pub fn with_sign(graph: &mut Graph) {
    let mut readers = vec![Vec::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        for input in &node.inputs {
            readers[*input].push(id);
        }
    }
    for id in (0..graph.nodes.len()).rev() {
        let is_signed = |reader: &usize| {
            let reader = &graph.nodes[*reader];
            reader.dtype == Dtype::Int64 && is_modular(&reader.op)
        };
        let node = &graph.nodes[id];
        let is_output = graph.outputs.iter().any(|(_, output)| *output == id);
        let passes = node.dtype == Dtype::Uint64 && is_modular(&node.op) && !is_output;
        if passes && !readers[id].is_empty() && readers[id].iter().all(is_signed) {
            graph.nodes[id].dtype = Dtype::Int64;
        }
    }
}

/// Whether the operator's result modulo a number hangs on its operands modulo that number.
fn is_modular(op: &Op) -> bool {
    matches!(
        op,
        Op::Binary(BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul)
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Broadcast
            | Op::Concat { .. }
    )
}
