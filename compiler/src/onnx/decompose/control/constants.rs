//! Operators whose output shape depends on the data: they are evaluated on constants, so that the shape is known.

use std::collections::BTreeMap;

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::limits::{MOST_ELEMENTS, volume};
use crate::graph::{Op, Tensor};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("Compress", 9, compress).restricted("constant condition"),
    op("ConstantOfShape", 9, of_shape).restricted("constant shape"),
    op("NonZero", 9, non_zero).restricted("constant operand"),
    op("Range", 11, range).restricted("constant operands"),
    op("Shape", 1, shape),
    op("Size", 1, size),
    op("Unique", 11, unique).restricted("constant operand"),
];

/// `ConstantOfShape`: one number, `f32` 0 if none is given.
fn of_shape(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let shape = scope.constant_ints(0)?.unwrap_or_default();
    let lens = shape.iter().map(|len| usize::try_from(*len));
    let lens: Result<Vec<usize>, _> = lens.collect();
    let lens = lens.map_err(|_| refuse("its shape is negative", "correct the model"))?;
    if volume(lens.iter().map(|len| *len as u64)) > MOST_ELEMENTS {
        return Err(refuse("its result is too large", "use shorter axes"));
    }
    let (value, dtype) = match scope.typed_tensor("value") {
        Some((value, dtype)) => (value.uniform().unwrap_or(0.0), dtype),
        None => (0.0, DatumType::F32),
    };
    Ok(vec![(
        scope.build.constant(Tensor::filled(lens, value)),
        dtype,
    )])
}

/// `Shape`: all lengths, or those from `start` to `end`.
fn shape(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let lens = scope.build.shape(x);
    let rank = lens.len() as i64;
    let place = |axis: i64| (if axis < 0 { axis + rank } else { axis }).clamp(0, rank) as usize;
    let start = place(scope.int("start").unwrap_or(0));
    let end = place(scope.int("end").unwrap_or(rank));
    let lens = lens.get(start..end).unwrap_or_default().iter();
    let lens: Vec<f64> = lens.map(|len| *len as f64).collect();
    let lens = scope.build.constant(Tensor::new(vec![lens.len()], lens));
    Ok(vec![(lens, DatumType::I64)])
}

/// `Size`: the number of elements.
fn size(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let elements = scope.build.shape(x).iter().product::<usize>();
    let size = scope.build.scalar(elements as f64, 0);
    Ok(vec![(size, DatumType::I64)])
}

/// `Range`: from a start to a limit, with a step.
fn range(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut ends = Vec::new();
    for index in 0..3 {
        let end = scope.constant(index)?.and_then(Tensor::uniform);
        ends.push(
            end.ok_or_else(|| refuse("its bounds are not finite numbers", "correct the model"))?,
        );
    }
    let (start, limit, step) = (ends[0], ends[1], ends[2]);
    let count = ((limit - start) / step).ceil().max(0.0);
    if !count.is_finite() || count > MOST_ELEMENTS as f64 {
        return Err(refuse("its result is too large", "correct the model"));
    }
    let data = (0..count as usize)
        .map(|i| start + i as f64 * step)
        .collect();
    let range = Tensor::new(vec![count as usize], data);
    Ok(vec![(scope.build.constant(range), scope.dtype(0))])
}

/// `NonZero`: positions of what is not 0, `[rank, count]`.
fn non_zero(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let missing = || refuse("it has no operand", "correct the model");
    let x = scope.constant(0)?.ok_or_else(missing)?;
    let found: Vec<usize> = (0..x.data.len()).filter(|at| x.data[*at] != 0.0).collect();
    let mut strides = vec![1; x.shape.len()];
    for axis in (1..x.shape.len()).rev() {
        strides[axis - 1] = strides[axis] * x.shape[axis];
    }
    let places = strides.iter().zip(&x.shape);
    let places =
        places.flat_map(|(stride, len)| found.iter().map(move |at| (at / stride % len) as f64));
    let places = Tensor::new(vec![strides.len(), found.len()], places.collect());
    Ok(vec![(scope.build.constant(places), DatumType::I64)])
}

/// `Compress`: the slices that a constant condition keeps.
fn compress(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut x = scope.operand(0)?;
    let condition = scope
        .constant(1)?
        .map(|c| c.data.clone())
        .unwrap_or_default();
    let axis = match scope.int("axis") {
        Some(_) => scope.axis("axis", 0, x)?,
        None => {
            let volume = scope.build.shape(x).iter().product();
            x = scope.build.reshape(x, &[volume]);
            0
        }
    };
    let mut shape = scope.build.shape(x);
    let length = shape.get(axis).copied().unwrap_or(0);
    let kept = (0..condition.len()).filter(|at| condition[*at] != 0.0);
    let kept: Vec<f64> = kept.filter(|at| *at < length).map(|at| at as f64).collect();
    if kept.is_empty() {
        return Err(refuse("its condition selects nothing", "leave it out"));
    }
    shape[axis] = kept.len();
    let kept = scope.build.constant(Tensor::new(vec![kept.len()], kept));
    let made = scope.build.push(Op::Gather { axis }, vec![x, kept], shape);
    Ok(vec![(made, scope.dtype(0))])
}

/// `Unique`: distinct slices, where each is first, which one each is, and how often it is there.
fn unique(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut x = scope.operand(0)?;
    scope.constant(0)?;
    let axis = match scope.int("axis") {
        Some(_) => scope.axis("axis", 0, x)?,
        None => {
            let volume = scope.build.shape(x).iter().product();
            x = scope.build.reshape(x, &[volume]);
            0
        }
    };
    let (rank, length) = (scope.build.rank(x), scope.build.shape(x).get(axis).copied());
    let order: Vec<usize> = std::iter::once(axis)
        .chain((0..rank).filter(|a| *a != axis))
        .collect();
    let moved = scope.build.transpose(x, &order);
    let (Some(length @ 1..), Some(moved)) = (length, scope.build.tensor(moved)) else {
        return Err(refuse("it has no elements", "correct the model"));
    };
    let width = moved.data.len() / length;
    let slices: Vec<Vec<u64>> = moved
        .data
        .chunks(width)
        .map(|s| s.iter().map(ordered).collect())
        .collect();
    let mut groups: BTreeMap<&[u64], Vec<usize>> = BTreeMap::new();
    for (at, slice) in slices.iter().enumerate() {
        groups.entry(slice).or_default().push(at);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    if scope.int("sorted") == Some(0) {
        groups.sort_by_key(|group| group[0]);
    }
    let first: Vec<f64> = groups.iter().map(|group| group[0] as f64).collect();
    let mut inverse = vec![0.0; length];
    for (number, group) in groups.iter().enumerate() {
        group.iter().for_each(|at| inverse[*at] = number as f64);
    }
    let counts: Vec<f64> = groups.iter().map(|group| group.len() as f64).collect();
    let build = &mut scope.build;
    let mut shape = build.shape(x);
    shape[axis] = first.len();
    let [first, inverse, counts] =
        [first, inverse, counts].map(|list| build.constant(Tensor::new(vec![list.len()], list)));
    let distinct = build.push(Op::Gather { axis }, vec![x, first], shape);
    let index = DatumType::I64;
    let dtype = scope.dtype(0);
    Ok(vec![
        (distinct, dtype),
        (first, index),
        (inverse, index),
        (counts, index),
    ])
}

/// Bits in the order of the numbers.
fn ordered(x: &f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}
