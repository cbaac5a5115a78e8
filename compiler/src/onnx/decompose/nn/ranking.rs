//! Where the greatest elements are: `ArgMax`, `ArgMin`, `Hardmax`, `TopK`.
//!
//! A mask of the maxima is proved by a row maximum, one more picks the first of equal ones. `TopK` counts, for every element, the
//! elements before it in the order: all pairs are compared.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("ArgMax", 1, arg_max),
    op("ArgMin", 1, arg_min),
    op("Hardmax", 1, hardmax),
    op("TopK", 1, top_k)
        .restricted("constant `k`; all pairs of a row are compared, at most 2^20 pairs"),
];

/// Most pairs of elements that are compared.
const MOST_PAIRS: usize = 1 << 20;

/// 1 where the first of the greatest elements of the axis is (the last, if `last`), else 0.
pub(crate) fn first_maximum(build: &mut Builder, x: NodeId, axis: usize, last: bool) -> NodeId {
    let shape = build.shape(x);
    let hits = build.push(Op::MaximumMask { axis }, vec![x], shape.clone());
    let length = shape[axis];
    let weight = |i: usize| if last { i + 1 } else { length - i };
    let mut weights = vec![1; shape.len()];
    weights[axis] = length;
    let weights = Tensor::new(weights, (0..length).map(|i| weight(i) as f64).collect());
    let weights = build.constant(weights);
    let order = build.binary(BinaryFn::Mul, hits, weights);
    build.push(Op::MaximumMask { axis }, vec![order], shape)
}

/// `0, 1, 2, ...` weighted by a 0/1 mask and summed over the axis, which is kept with length 1.
pub(crate) fn position(build: &mut Builder, mask: NodeId, axis: usize) -> NodeId {
    let length = build.shape(mask)[axis];
    let numbers = Tensor::new(vec![1, length], (0..length).map(|i| i as f64).collect());
    build.apply_matrix(mask, axis, numbers)
}

fn arg_max(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    arg(scope, 1.0)
}

fn arg_min(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    arg(scope, -1.0)
}

fn arg(scope: &mut Scope, sign: f64) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let axis = scope.axis("axis", 0, x)?;
    let last = scope.int("select_last_index").unwrap_or(0) != 0;
    let keep = scope.int("keepdims").unwrap_or(1) != 0;
    let build = &mut scope.build;
    let x = build.multiply_scalar(x, sign);
    let mask = first_maximum(build, x, axis, last);
    let mut index = position(build, mask, axis);
    if !keep {
        let mut shape = build.shape(index);
        shape.remove(axis);
        index = build.reshape(index, &shape);
    }
    Ok(vec![(index, DatumType::I64)])
}

fn hardmax(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let made = if scope.opset < 13 {
        let axis = scope.axis("axis", 1, x)?;
        let shape = scope.build.shape(x);
        let rows: usize = shape[..axis].iter().product();
        let columns: usize = shape[axis..].iter().product();
        let flat = scope.build.reshape(x, &[rows, columns]);
        let mask = first_maximum(&mut scope.build, flat, 1, false);
        scope.build.reshape(mask, &shape)
    } else {
        let axis = scope.axis("axis", -1, x)?;
        first_maximum(&mut scope.build, x, axis, false)
    };
    Ok(vec![(made, dtype)])
}

/// The first operands in the order, and where they were.
fn top_k(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let axis = scope.axis("axis", -1, x)?;
    let count = match scope.constant_ints(1)? {
        Some(count) => count.first().copied(),
        None => scope.int("k"),
    };
    let sign = if scope.int("largest").unwrap_or(1) != 0 {
        1.0
    } else {
        -1.0
    };
    let build = &mut scope.build;
    let shape = build.shape(x);
    let length = shape[axis];
    let count = count
        .and_then(|k| usize::try_from(k).ok())
        .filter(|k| (1..=length).contains(k));
    let Some(count) = count else {
        return Err(refuse(
            "its `k` is not a length within the axis",
            "correct the model",
        ));
    };
    let rows: usize = shape.iter().product::<usize>() / length;
    if rows.saturating_mul(length).saturating_mul(length) > MOST_PAIRS {
        return Err(refuse(
            format!("it sorts {rows} rows of {length} elements by comparing all pairs"),
            "sort shorter rows, or use ArgMax",
        ));
    }
    let mut order: Vec<usize> = (0..shape.len()).filter(|a| *a != axis).collect();
    order.push(axis);
    let last = build.transpose(x, &order);
    let flat = build.reshape(last, &[rows, length]);
    let scores = build.multiply_scalar(flat, sign);
    let chosen = chosen(build, scores, count);
    let labels = |labels: &[u8]| labels.to_vec();
    let values = build.push(
        Op::Einsum {
            inputs: vec![labels(&[0, 1, 2]), labels(&[0, 2])],
            output: labels(&[0, 1]),
        },
        vec![chosen, flat],
        vec![rows, count],
    );
    let places = position(build, chosen, 2);
    let mut moved: Vec<usize> = order.iter().map(|a| shape[*a]).collect();
    *moved.last_mut().expect("there is the axis") = count;
    let mut back: Vec<usize> = (0..shape.len() - 1).collect();
    back.insert(axis, shape.len() - 1);
    let mut restore = |made: NodeId| {
        let made = build.reshape(made, &moved);
        build.transpose(made, &back)
    };
    Ok(vec![
        (restore(values), dtype),
        (restore(places), DatumType::I64),
    ])
}

/// For scores `[rows, length]` a mask `[rows, count, length]`: which element is at each place of the descending order, equal ones in
/// the order of their indices.
fn chosen(build: &mut Builder, scores: NodeId, count: usize) -> NodeId {
    let shape = build.shape(scores);
    let (rows, length) = (shape[0], shape[1]);
    let own = build.reshape(scores, &[rows, length, 1]);
    let other = build.reshape(scores, &[rows, 1, length]);
    let difference = build.binary(BinaryFn::Sub, other, own);
    let beaten = build.pointwise(Pointwise::step(Pointwise::Variable), difference);
    // Of a pair, only the comparison of the earlier with the later counts: it says who is first.
    let later = |at: usize| f64::from((at / length) < (at % length));
    let later = Tensor::new(
        vec![1, length, length],
        (0..length * length).map(later).collect(),
    );
    let later = build.constant(later);
    let beaten = build.binary(BinaryFn::Mul, beaten, later);
    let by_later = build.reduce(Reducer::Sum, &[2], beaten);
    let beats_earlier = build.reduce(Reducer::Sum, &[1], beaten);
    let by_later = build.reshape(by_later, &[rows, 1, length]);
    let numbers = Tensor::new(vec![1, 1, length], (0..length).map(|i| i as f64).collect());
    let numbers = build.constant(numbers);
    let rank = build.binary(BinaryFn::Sub, by_later, beats_earlier);
    let rank = build.binary(BinaryFn::Add, rank, numbers);
    let places = Tensor::new(vec![1, count, 1], (0..count).map(|i| i as f64).collect());
    let places = build.constant(places);
    let distance = build.binary(BinaryFn::Sub, rank, places);
    build.pointwise(is_zero(), distance)
}

/// 1 at zero, else 0.
pub(crate) fn is_zero() -> Pointwise {
    let differs = Pointwise::unary(UnaryFn::Square, Pointwise::of(UnaryFn::Sign));
    Pointwise::binary(BinaryFn::Sub, Pointwise::Constant(1.0), differs)
}
