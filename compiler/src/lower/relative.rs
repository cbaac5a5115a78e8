//! Which values are wanted with a precision that is relative to themselves.
//!
//! Of what is squared for a norm, divides or is divided, or goes through a power or a logarithm, a row may be a thousand times quieter than the
//! samples and still decide all of its result. So what is small counts as much as what is great, and the value has more bits than an
//! activation; and so has what it is made of by sums, extrema and moves, which keep errors as they are, and, of a quotient, by products and
//! functions through zero, which are quiet where their operands are. So has, in a model with more bits than the fewest, what decides: by a
//! comparison, as the greatest of a row, by rounding to integers, or where a function rises from one constant to another in a small part of its
//! range.

use crate::graph::extent::magnitude;
use crate::graph::{BinaryFn, Graph, Node, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn};
use crate::lower::lowering::Bits;
use crate::lower::window::{most_part, window};

/// How many times greater than what is added to a mean square its values may be, in a norm of the usual bits.
const KEPT_SMALL: f64 = 32_768.0;

/// Factors beside zero that differ by no more than this part of themselves are one.
const SMOOTH: f64 = 1e-4;

/// How precisely a value is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Relative to all that the tensor holds.
    #[default]
    Absolute,
    /// Relative to its row: it is normalized by something that keeps small rows small.
    OfRow,
    /// Relative to itself, for a power, a logarithm, a quotient or a decision: what sums of products make of quiet operands is quiet there.
    OfItself,
    /// As that, and so are the factors of its elements and what these are functions of, through zero: it is quiet because they are.
    OfFactors,
}

/// How precisely each node's value is wanted; `readers` has the nodes that read it. What decides counts in a model that has
/// more bits than the fewest.
pub fn precisions(graph: &Graph, readers: &[Vec<NodeId>], bits: Bits) -> Vec<Precision> {
    let mut found = vec![Precision::Absolute; graph.nodes.len()];
    let most = |relative| most_part(bits.activation_bits, relative);
    for id in (0..graph.nodes.len()).rev() {
        for &reader in &readers[id] {
            let node = &graph.nodes[reader];
            let keeps = keeps_errors(graph, node, id);
            let passes = keeps || matches!(node.op, Op::Einsum { .. } | Op::Convolution { .. });
            let decides = |relative| is_decision(graph, node, id, most(relative));
            let wanted = match found[reader] {
                // Of a sum each operand may be the quiet one.
                Precision::OfFactors if is_quiet_with(node) || passes && !is_sum(graph, node) => {
                    Precision::OfFactors
                }
                Precision::OfItself | Precision::OfFactors if passes => Precision::OfItself,
                wanted if bits.are_more() && decides(wanted > Precision::Absolute) => {
                    Precision::OfItself
                }
                wanted => law(graph, node, id).unwrap_or(match wanted {
                    Precision::OfRow if keeps => Precision::OfRow,
                    _ if is_norm(node) => Precision::OfRow,
                    _ => Precision::Absolute,
                }),
            };
            found[id] = found[id].max(wanted);
        }
    }
    found
}

/// Whether the result is one of squares.
fn is_norm(node: &Node) -> bool {
    match &node.op {
        Op::RmsNorm { .. } => true,
        Op::Reduce { reducer, .. } => *reducer == Reducer::SumSquare,
        Op::Binary(BinaryFn::Mul) => node.inputs[0] == node.inputs[1],
        Op::Pointwise(function) => function.quadratic().is_some(),
        _ => false,
    }
}

/// How precisely the operand `id` is wanted where the result changes much with what is small in it.
fn law(graph: &Graph, node: &Node, id: NodeId) -> Option<Precision> {
    let computed = |id: &NodeId| graph.nodes[*id].constant().is_none();
    let is_law = match &node.op {
        Op::Binary(BinaryFn::Div) => {
            !node.dtype.is_integer() && node.inputs[1..].iter().all(computed)
        }
        // A quotient.
        Op::Binary(BinaryFn::Mul) => {
            let mut others = node.inputs.iter().filter(|input| **input != id);
            others.any(|input| is_inverse(&graph.nodes[*input]))
        }
        Op::Pointwise(function) => function.power_law().is_some(),
        // What is added to the mean square does not keep small rows small.
        Op::RmsNorm { epsilon, .. } => {
            let most = magnitude(graph.nodes[id].range);
            return (epsilon.sqrt() * KEPT_SMALL < most).then_some(Precision::OfItself);
        }
        _ => false,
    };
    is_law.then_some(Precision::OfFactors)
}

/// Whether the result is a sum or a difference of what is computed.
fn is_sum(graph: &Graph, node: &Node) -> bool {
    let computed = |id: &NodeId| graph.nodes[*id].constant().is_none();
    matches!(node.op, Op::Binary(BinaryFn::Add | BinaryFn::Sub)) && node.inputs.iter().all(computed)
}

/// Whether the result jumps where the operand passes some number, or another element, or rises there from one constant to another.
fn is_decision(graph: &Graph, node: &Node, id: NodeId, most: f64) -> bool {
    let range = graph.nodes[id].range;
    let rises = |function| window(function, range, range.0 >= 0.0, most).is_some();
    match &node.op {
        Op::MaximumMask { .. } | Op::Rescale { .. } => true,
        Op::Pointwise(function) => {
            function.by_sign().is_some() || function.is_whole(false) || rises(function)
        }
        _ => false,
    }
}

fn is_inverse(node: &Node) -> bool {
    let power = |function: &Pointwise| function.power_law()?.power;
    matches!(&node.op, Op::Pointwise(function) if power(function).is_some_and(|power| power < 0.0))
}

/// Whether the result is quiet where an operand is: a product of elements, or a function through zero.
fn is_quiet_with(node: &Node) -> bool {
    match &node.op {
        Op::Binary(BinaryFn::Mul) => node.inputs[0] != node.inputs[1],
        Op::Pointwise(function) => {
            function.quadratic().is_none() && root_at_zero(function).is_some()
        }
        _ => false,
    }
}

/// `(n, c)` for a function that is nearly `c x^n` beside zero, for `n` 1 or 2.
pub fn root_at_zero(function: &Pointwise) -> Option<(i32, f64)> {
    const SIZES: [f64; 4] = [1e-6, -1e-6, 1e-8, -1e-8];
    let of = |power: i32| {
        let factors = SIZES.map(|x| function.eval(x) / x.powi(power));
        let first = factors[0];
        let alike = |factor: &f64| (factor - first).abs() <= SMOOTH * first.abs();
        (first != 0.0 && factors.iter().all(alike)).then_some((power, first))
    };
    let through = function.eval(0.0) == 0.0 && !function.may_jump();
    [1, 2].into_iter().filter(|_| through).find_map(of)
}

/// Whether an error of the operand `id` is one of about that size in the result.
fn keeps_errors(graph: &Graph, node: &Node, id: NodeId) -> bool {
    let others = || node.inputs.iter().filter(|input| **input != id);
    let moves = |tensor: &Tensor| tensor.data.iter().all(|x| [-1.0, 0.0, 1.0].contains(x));
    match &node.op {
        Op::Binary(BinaryFn::Add | BinaryFn::Sub | BinaryFn::Max | BinaryFn::Min) => true,
        Op::Binary(BinaryFn::Mul) => others().all(|input| graph.nodes[*input].constant().is_some()),
        Op::Reduce { reducer, .. } => *reducer != Reducer::SumSquare,
        Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Broadcast => true,
        Op::Concat { .. } | Op::Pad { .. } | Op::AveragePool { .. } => true,
        Op::Gather { .. } => node.inputs[0] == id,
        Op::Select => node.inputs[0] != id,
        Op::Einsum { .. } => {
            others().all(|input| graph.nodes[*input].constant().is_some_and(moves))
        }
        Op::Pointwise(function) => function.is_affine().is_some() || halves(function).is_some(),
        _ => false,
    }
}

/// The slopes below and above zero of a function that is a line on either side of it.
pub fn halves(function: &Pointwise) -> Option<(f64, f64)> {
    match function {
        Pointwise::Unary(UnaryFn::Abs, a) if **a == Pointwise::Variable => Some((-1.0, 1.0)),
        Pointwise::Unary(UnaryFn::Relu, a) if **a == Pointwise::Variable => Some((0.0, 1.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::Pointwise;
    use crate::lower::relative::*;

    #[test]
    fn lines_on_either_side_of_zero() {
        assert_eq!(halves(&Pointwise::of(UnaryFn::Abs)), Some((-1.0, 1.0)));
        assert_eq!(halves(&Pointwise::of(UnaryFn::Relu)), Some((0.0, 1.0)));
        assert_eq!(halves(&Pointwise::of(UnaryFn::Tanh)), None);
    }

    #[test]
    fn functions_through_zero() {
        let root = |function: &Pointwise| {
            root_at_zero(function).map(|(power, factor)| (power, (factor * 1e4).round()))
        };
        let silu = Pointwise::of(UnaryFn::Silu);
        let gated = Pointwise::binary(BinaryFn::Mul, silu.clone(), Pointwise::Variable);
        assert_eq!(root(&silu), Some((1, 5e3)));
        assert_eq!(root(&gated), Some((2, 5e3)));
        assert_eq!(root(&Pointwise::of(UnaryFn::Tanh)), Some((1, 1e4)));
        for other in [
            UnaryFn::Relu,
            UnaryFn::Sqrt,
            UnaryFn::Exp,
            UnaryFn::Sign,
            UnaryFn::Recip,
        ] {
            assert_eq!(root(&Pointwise::of(other)), None, "{other:?}");
        }
    }
}
