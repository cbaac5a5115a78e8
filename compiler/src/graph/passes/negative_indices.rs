//! Indices that count from the end: where a sample has some, a gather's indices are first made to count from the start.

use crate::graph::{BinaryFn, Dtype, Graph, Node, NodeId, Op, Pointwise, Tensor, UnaryFn};

/// Rewrites the gathers whose indices come from an integer input that `has_negative` elements in some sample: `i` becomes
/// `i + length [i < 0]`.
pub fn wrap_negative(graph: &mut Graph, has_negative: impl Fn(usize) -> bool) {
    let mut reached = vec![false; graph.nodes.len()];
    for (position, id) in graph.inputs.iter().enumerate() {
        reached[*id] = has_negative(position);
    }
    for id in 0..graph.nodes.len() {
        let Node { op, inputs, .. } = &graph.nodes[id];
        let moves = matches!(
            op,
            Op::Reshape
                | Op::Transpose { .. }
                | Op::Slice { .. }
                | Op::Broadcast
                | Op::Concat { .. }
        );
        reached[id] |= moves && inputs.iter().any(|input| reached[*input]);
    }
    for id in 0..graph.nodes.len() {
        let Op::Gather { axis } = graph.nodes[id].op else {
            continue;
        };
        let [data, index] = graph.nodes[id].inputs[..] else {
            continue;
        };
        if reached.get(index) == Some(&true) {
            let length = graph.nodes[data].shape[axis];
            let wrapped = from_start(graph, index, length);
            graph.nodes[id].inputs[1] = wrapped;
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
