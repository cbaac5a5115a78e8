//! Masks of scores: what makes the operand of a softmax hugely negative becomes its 0/1 mask.
//!
//! Models mask by adding `(1 - mask) * -10000`, or the lowest number there is, or by choosing minus infinity. No scale could hold such
//! scores. Constant masks stay as they are.

use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, Dtype, Graph, NodeId, Op, Pointwise, Reducer, Tensor};

/// Numbers below this are not scores.
const LOW: f64 = -5e3;
/// Beside numbers below this, scores are lost: a row that is masked completely has equal parts.
const LOST: f64 = -1e30;
/// What a mask is compared with, so that rounding does not count.
const NEARLY_ZERO: f64 = 1.0 / 64.0;

/// How far back from a softmax to look for masks.
const MOST_DEPTH: usize = 12;

/// A masked value: what it is where it is not masked, and where that is.
struct Masked {
    rest: NodeId,
    allowed: NodeId,
    /// Whether a row that is masked completely is as if it were not masked.
    soft: bool,
}

/// Gives softmaxes of masked scores their masks.
pub fn find(build: &mut Builder) {
    for id in 0..build.graph.nodes.len() {
        let node = &build.graph.nodes[id];
        let (&Op::Softmax { axis }, &[x]) = (&node.op, &node.inputs[..]) else {
            continue;
        };
        build.name = node.name.clone();
        let Some(masked) = masked(build, x, MOST_DEPTH) else {
            continue;
        };
        if build.tensor(masked.allowed).is_some() {
            continue;
        }
        let shape = build.shape(x);
        let rest = build.broadcast(masked.rest, &shape);
        let allowed = if masked.soft {
            or_everything(build, masked.allowed, axis, shape[axis])
        } else {
            masked.allowed
        };
        build.graph.nodes[id].inputs = vec![rest, allowed];
    }
}

/// The mask, and 1 in rows that have no 1.
fn or_everything(build: &mut Builder, allowed: NodeId, axis: usize, length: usize) -> NodeId {
    let mut shape = build.shape(allowed);
    shape[axis] = length;
    let allowed = build.broadcast(allowed, &shape);
    let count = build.reduce(Reducer::Sum, &[axis], allowed);
    let some = build.pointwise(Pointwise::step(Pointwise::Variable), count);
    let none = complement(build, some);
    build.add(allowed, none)
}

/// `1 - x`.
fn complement(build: &mut Builder, x: NodeId) -> NodeId {
    let negative = build.multiply_scalar(x, -1.0);
    build.add_scalar(negative, 1.0)
}

/// The parts of a node's value, if some of it is masked.
fn masked(build: &mut Builder, id: NodeId, depth: usize) -> Option<Masked> {
    let depth = depth.checked_sub(1)?;
    let node = build.graph.nodes[id].clone();
    match (&node.op, &node.inputs[..]) {
        (Op::Constant(tensor), _) => constant(build, tensor),
        (Op::Binary(BinaryFn::Add), &[a, b]) => sum(build, a, b, depth),
        (Op::Binary(BinaryFn::Mul), &[a, b]) => {
            let (a, b) = (
                build.graph.uniform(a).ok_or((a, b)),
                build.graph.uniform(b).ok_or((b, a)),
            );
            match (a, b) {
                (Ok(factor), Err((x, _))) | (Err((x, _)), Ok(factor)) => product(build, x, factor),
                _ => None,
            }
        }
        (Op::Binary(BinaryFn::Max), &[a, b]) => {
            let low = |x: NodeId| build.graph.uniform(x).is_some_and(|v| v < LOW);
            let other = if low(b) { a } else { low(a).then_some(b)? };
            masked(build, other, depth)
        }
        (Op::Select, &[condition, yes, no]) => choice(build, [condition, yes, no], depth),
        (Op::Reshape | Op::Transpose { .. } | Op::Broadcast | Op::Slice { .. }, &[x]) => {
            let shape = build.shape(x);
            let parts = masked(build, x, depth)?;
            let mut moved = |part: NodeId| {
                let part = build.broadcast(part, &shape);
                build.push(node.op.clone(), vec![part], node.shape.clone())
            };
            let (rest, allowed) = (moved(parts.rest), moved(parts.allowed));
            Some(Masked {
                rest,
                allowed,
                ..parts
            })
        }
        _ => None,
    }
}

fn constant(build: &mut Builder, tensor: &Tensor) -> Option<Masked> {
    let lowest = tensor.data.iter().copied().fold(0.0, f64::min);
    if lowest >= LOW {
        return None;
    }
    let each = |f: &dyn Fn(f64) -> f64| tensor.data.iter().map(|v| f(*v)).collect();
    let rest = each(&|v| if v < LOW { 0.0 } else { v });
    let allowed = each(&|v| f64::from(v >= LOW));
    Some(Masked {
        rest: build.constant(Tensor::new(tensor.shape.clone(), rest)),
        allowed: build.constant(Tensor::new(tensor.shape.clone(), allowed)),
        soft: tensor.data.iter().any(|v| (LOST..LOW).contains(v)),
    })
}

/// A sum is masked where one of the summands is.
fn sum(build: &mut Builder, a: NodeId, b: NodeId, depth: usize) -> Option<Masked> {
    match (masked(build, a, depth), masked(build, b, depth)) {
        (None, None) => None,
        (Some(a), None) => Some(Masked {
            rest: build.add(a.rest, b),
            ..a
        }),
        (None, Some(b)) => Some(Masked {
            rest: build.add(a, b.rest),
            ..b
        }),
        (Some(a), Some(b)) => Some(Masked {
            rest: build.add(a.rest, b.rest),
            allowed: build.multiply(a.allowed, b.allowed),
            soft: a.soft || b.soft,
        }),
    }
}

/// Whole numbers, at least 1 where masked and 0 elsewhere, times a number below [`LOW`]; or their negatives times its negative.
fn product(build: &mut Builder, x: NodeId, factor: f64) -> Option<Masked> {
    if factor.abs() < -LOW || !(is_whole(&build.graph, x) || factor.abs() > -LOST) {
        return None;
    }
    let signed = build.multiply_scalar(x, -factor.signum());
    let beyond = Pointwise::binary(
        BinaryFn::Sub,
        Pointwise::Variable,
        Pointwise::Constant(NEARLY_ZERO),
    );
    let hidden = build.pointwise(Pointwise::step(beyond), signed);
    let rank = build.rank(x);
    Some(Masked {
        rest: build.scalar(0.0, rank),
        allowed: complement(build, hidden),
        soft: factor.abs() <= -LOST,
    })
}

/// Whether a value is integers by how it is made.
fn is_whole(graph: &Graph, id: NodeId) -> bool {
    let node = &graph.nodes[id];
    let all = || node.inputs.iter().all(|input| is_whole(graph, *input));
    match &node.op {
        Op::Input(dtype) => *dtype != Dtype::Float32,
        Op::Constant(tensor) => tensor.data.iter().all(|v| v.fract() == 0.0),
        Op::Binary(BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul) => all(),
        Op::Reshape | Op::Transpose { .. } | Op::Broadcast | Op::Slice { .. } => all(),
        Op::Pointwise(e) => (-8..8).all(|x| e.eval(f64::from(x)).fract() == 0.0) && all(),
        _ => false,
    }
}

fn choice(build: &mut Builder, [condition, yes, no]: [NodeId; 3], depth: usize) -> Option<Masked> {
    let low = |x: NodeId| build.graph.uniform(x).filter(|v| *v < LOW);
    let (value, lowest, allowed) = match (low(yes), low(no)) {
        (None, Some(lowest)) => (yes, lowest, condition),
        (Some(lowest), None) => (no, lowest, complement(build, condition)),
        _ => return None,
    };
    let soft = lowest >= LOST;
    Some(match masked(build, value, depth) {
        Some(inner) => Masked {
            rest: inner.rest,
            allowed: build.multiply(inner.allowed, allowed),
            soft: soft || inner.soft,
        },
        None => Masked {
            rest: value,
            allowed,
            soft,
        },
    })
}
