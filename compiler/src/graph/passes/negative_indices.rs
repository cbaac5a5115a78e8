//! Indices that count from the end: where a sample has some, a gather's indices are first made to count from the start.

use std::collections::HashSet;

use crate::graph::builder::Builder;
use crate::graph::integers::MOST_DEPTH;
use crate::graph::{BinaryFn, Dtype, Graph, Node, NodeId, Op, Pointwise, Tensor, UnaryFn};

/// Indices that are computed, before what only moves them.
pub fn computed(graph: &Graph) -> Vec<NodeId> {
    let mut found = Vec::new();
    let gathers = graph
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Gather { .. }));
    let mut stack: Vec<NodeId> = gathers
        .filter_map(|node| node.inputs.get(1).copied())
        .collect();
    let mut seen = vec![false; graph.nodes.len()];
    while let Some(id) = stack.pop() {
        let Node { op, inputs, .. } = &graph.nodes[id];
        if std::mem::replace(&mut seen[id], true) {
            continue;
        }
        match op {
            op if moves(op) => stack.extend(inputs),
            Op::Input(_) | Op::Constant(_) => {}
            _ => found.push(id),
        }
    }
    found
}

fn moves(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Broadcast | Op::Concat { .. }
    )
}

/// Rewrites the gathers whose indices come from a value that `has_negative` elements in some sample, or are computed and may be negative by
/// how they are: `i` becomes `i + length [i < 0]`.
pub fn wrap_negative(build: &mut Builder, has_negative: &HashSet<NodeId>) {
    let mut reached = vec![false; build.graph.nodes.len()];
    for id in 0..build.graph.nodes.len() {
        let Node { op, inputs, .. } = &build.graph.nodes[id];
        let moved = moves(op) && inputs.iter().any(|input| reached[*input]);
        reached[id] = moved || has_negative.contains(&id);
    }
    for id in 0..reached.len() {
        let Op::Gather { axis } = build.graph.nodes[id].op else {
            continue;
        };
        let [data, index] = build.graph.nodes[id].inputs[..] else {
            continue;
        };
        if build.tensor(index).is_some() {
            continue;
        }
        let length = build.graph.nodes[data].shape[axis];
        let least = build.certain(index, MOST_DEPTH).0;
        let may_be = (-(length as f64)..0.0).contains(&least);
        if may_be || reached.get(index) == Some(&true) {
            let wrapped = from_start(&mut build.graph, index, length);
            build.graph.nodes[id].inputs[1] = wrapped;
        }
    }
}

/// `index + length [index < 0]`.
fn from_start(graph: &mut Graph, index: NodeId, length: usize) -> NodeId {
    let (name, shape) = (
        graph.nodes[index].name.clone(),
        graph.nodes[index].shape.clone(),
    );
    let mut push = |op: Op, inputs: Vec<NodeId>, shape: Vec<usize>| {
        graph.nodes.push(Node {
            name: name.clone(),
            op,
            inputs,
            shape,
            dtype: Dtype::Int64,
            range: (0.0, 0.0),
            stats: Vec::new(),
            seen: Default::default(),
        });
        graph.nodes.len() - 1
    };
    let negative = Pointwise::step(Pointwise::of(UnaryFn::Neg));
    let negative = push(Op::Pointwise(negative), vec![index], shape.clone());
    let alike = vec![1; shape.len()];
    let length = Tensor::filled(alike.clone(), length as f64);
    let length = push(Op::Constant(length), vec![], alike);
    let added = push(
        Op::Binary(BinaryFn::Mul),
        vec![negative, length],
        shape.clone(),
    );
    push(Op::Binary(BinaryFn::Add), vec![index, added], shape)
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::graph::Tensor;
    use crate::graph::interpret;
    use crate::options::Options;
    use crate::ports::Sample;
    use crate::testing::Onnx;

    #[test]
    fn indices_may_count_from_the_end() {
        let model = Onnx::new()
            .typed_input("i", DataType::Int64, "3")
            .weight("rows", &[4, 2])
            .node("Gather", "rows,i", "y", &[])
            .output("y");
        let picked = [-1.0, 0.0, -4.0];
        let sample = Sample {
            shape: vec![3],
            data: picked.to_vec(),
        };
        let options = Options {
            samples: vec![vec![sample]],
            ..Options::default()
        };
        let imported = model.import_with(&options).expect("imports");
        let inputs = [Tensor::new(vec![3], picked.to_vec())];
        let expected = imported.float.run(&inputs).expect("tract runs it");
        assert_eq!(
            interpret::run(&imported.graph, &inputs)[0].data,
            expected[0].data
        );
    }
}
