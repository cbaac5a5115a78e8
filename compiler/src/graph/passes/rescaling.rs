//! Quantization next to what makes its numbers.
//!
//! A rescaling is not decreasing: it comes before what takes a maximum, joins or only moves numbers, and a range that they are kept in
//! becomes a range of integers. Then it rounds exact sums, and what follows is done with few integers. With any other function of a number
//! it is one function. A mean's factor, which single precision rounds, is that of the mean.

use crate::graph::{BinaryFn, Graph, Node, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn};

/// The numbers of a rescaling with one factor and one offset.
#[derive(Clone, Copy)]
struct Rescaling {
    factor: f64,
    offset: f64,
}

/// Moves rescalings in place. Nodes that are no longer needed stay until [`Graph::prune`].
pub fn raise(graph: &mut Graph) {
    let mut next = 0;
    while next < graph.nodes.len() {
        if matches!(graph.nodes[next].op, Op::Rescale { .. }) {
            while step(graph, next) {}
        }
        next += 1;
    }
}

/// One step of the rescaling `id`; whether it is still one that may move.
fn step(graph: &mut Graph, id: NodeId) -> bool {
    let Some(rescaling) = uniform(graph, id) else {
        return false;
    };
    let x = graph.nodes[id].inputs[0];
    mean(graph, x);
    let once = graph.users()[x].len() == 1 && graph.outputs.iter().all(|(_, output)| *output != x);
    match graph.nodes[x].op.clone() {
        Op::Pointwise(function) => match function.clamps() {
            Some(range) => cut(graph, id, x, rescaling, range),
            None => {
                compose(graph, id, x, rescaling, &function);
                false
            }
        },
        _ if once && rises(graph, x) => {
            exchange(graph, id, x, rescaling);
            false
        }
        _ => false,
    }
}

/// Whether a rescaling is better before a node than after it.
fn rises(graph: &Graph, x: NodeId) -> bool {
    let source = &graph.nodes[x];
    let before = |x: &NodeId| matches!(graph.nodes[*x].op, Op::Pointwise(_)) || rises(graph, *x);
    match &source.op {
        Op::Binary(BinaryFn::Max | BinaryFn::Min) | Op::Concat { .. } | Op::MaxPool(_) => true,
        Op::Reduce { reducer, .. } => matches!(reducer, Reducer::Max | Reducer::Min),
        Op::Reshape | Op::Transpose { .. } => source.inputs.iter().all(before),
        _ => false,
    }
}

/// The factor, if it is positive, and the offset of a rescaling that has one of each.
fn uniform(graph: &Graph, id: NodeId) -> Option<Rescaling> {
    let [_, factor, offset] = graph.nodes[id].inputs[..] else {
        return None;
    };
    let factor = graph.uniform(factor).filter(|factor| *factor > 0.0)?;
    let offset = graph.uniform(offset)?;
    Some(Rescaling { factor, offset })
}

impl Rescaling {
    /// What a number becomes, kept in no range yet.
    fn of(self, rounds: &Op, x: f64) -> f64 {
        match (rounds, x.is_finite()) {
            (Op::Rescale { rounding, .. }, true) => rounding.eval(x * self.factor) + self.offset,
            _ => x,
        }
    }
}

/// Leaves out that numbers are kept in a range; it is the integers that are kept.
fn cut(
    graph: &mut Graph,
    id: NodeId,
    x: NodeId,
    rescaling: Rescaling,
    (low, high): (f64, f64),
) -> bool {
    let ends = [low, high].map(|x| rescaling.of(&graph.nodes[id].op, x));
    let operand = graph.nodes[x].inputs[0];
    if let Op::Rescale {
        least, greatest, ..
    } = &mut graph.nodes[id].op
    {
        let kept = |x: f64| x.clamp(*least, *greatest);
        (*least, *greatest) = (kept(ends[0]), kept(ends[1]));
    }
    graph.nodes[id].inputs[0] = operand;
    true
}

/// Makes one function of the rescaling and what it reads.
fn compose(graph: &mut Graph, id: NodeId, x: NodeId, rescaling: Rescaling, function: &Pointwise) {
    let Op::Rescale {
        rounding,
        least,
        greatest,
    } = graph.nodes[id].op
    else {
        return;
    };
    let constant = Pointwise::Constant;
    let scaled = Pointwise::binary(BinaryFn::Mul, function.clone(), constant(rescaling.factor));
    let rounded = Pointwise::unary(UnaryFn::from(rounding), scaled);
    let moved = Pointwise::binary(BinaryFn::Add, rounded, constant(rescaling.offset));
    let ends = [(BinaryFn::Max, least), (BinaryFn::Min, greatest)];
    let kept = ends
        .into_iter()
        .filter(|(_, end)| end.is_finite())
        .fold(moved, |kept, (f, end)| {
            Pointwise::binary(f, kept, constant(end))
        });
    let operand = graph.nodes[x].inputs[0];
    let node = &mut graph.nodes[id];
    (node.op, node.inputs) = (Op::Pointwise(kept), vec![operand]);
}

/// Rescales what `x` reads rather than what it makes: the node has the operator of `x` now.
fn exchange(graph: &mut Graph, id: NodeId, x: NodeId, rescaling: Rescaling) {
    let (rescale, moved) = (graph.nodes[id].clone(), graph.nodes[x].clone());
    // Nothing else reads it.
    graph.nodes[x].inputs.clear();
    let constants = [rescaling.factor, rescaling.offset];
    let operands = moved.inputs.iter().map(|&operand| {
        let shape = graph.nodes[operand].shape.clone();
        let constants = constants.map(|value| {
            let shape = vec![1; shape.len()];
            let op = Op::Constant(Tensor::filled(shape.clone(), value));
            push(
                graph,
                Node {
                    op,
                    shape,
                    inputs: vec![],
                    ..rescale.clone()
                },
            )
        });
        let inputs = vec![operand, constants[0], constants[1]];
        push(
            graph,
            Node {
                shape,
                inputs,
                ..rescale.clone()
            },
        )
    });
    let operands = operands.collect();
    let node = &mut graph.nodes[id];
    (node.op, node.inputs) = (moved.op, operands);
}

fn push(graph: &mut Graph, node: Node) -> NodeId {
    graph.nodes.push(node);
    graph.nodes.len() - 1
}

/// A sum of `n` numbers times what single precision makes of `1 / n` is their mean.
fn mean(graph: &mut Graph, x: NodeId) {
    let (Op::Binary(BinaryFn::Mul), [a, b]) = (&graph.nodes[x].op, &graph.nodes[x].inputs[..])
    else {
        return;
    };
    for (sum, factor) in [(*a, *b), (*b, *a)] {
        let Op::Reduce {
            reducer: Reducer::Sum,
            axes,
        } = &graph.nodes[sum].op
        else {
            continue;
        };
        let summed = &graph.nodes[graph.nodes[sum].inputs[0]].shape;
        let count: usize = axes.iter().map(|axis| summed[*axis]).product();
        let exact = (count as f64).recip();
        if graph.uniform(factor) == Some(f64::from(exact as f32)) {
            let shape = graph.nodes[factor].shape.clone();
            let op = Op::Constant(Tensor::filled(shape, exact));
            let node = Node {
                op,
                ..graph.nodes[factor].clone()
            };
            let factor = push(graph, node);
            graph.nodes[x].inputs = vec![sum, factor];
            return;
        }
    }
}
