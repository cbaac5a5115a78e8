//! Movement of elements along axes: `Pad`, `CenterCropPad`, `ReverseSequence`.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_ELEMENTS, check_matrix, volume};
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Tensor, UnaryFn};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::decompose::spatial::sampling::hat;

pub(super) const OPERATORS: &[Operator] = &[
    op("CenterCropPad", 18, center_crop_pad).restricted("constant shape"),
    op("Pad", 1, build_pad).restricted("constant paddings"),
    op("ReverseSequence", 10, reverse_sequence).restricted("constant lengths"),
];

/// Most slices that are joined rather than picked by a matrix.
const MOST_PARTS: usize = 8;

/// The positions `picks` of an axis.
pub(crate) fn take(build: &mut Builder, x: NodeId, axis: usize, picks: &[usize]) -> NodeId {
    let mut shape = build.shape(x);
    if let Some(times) = repeats(picks, shape[axis]) {
        let apart = [&shape[..=axis], &[1], &shape[axis + 1..]].concat();
        let mut repeated = apart.clone();
        repeated[axis + 1] = times;
        shape[axis] = picks.len();
        let x = build.reshape(x, &apart);
        let x = build.broadcast(x, &repeated);
        return build.reshape(x, &shape);
    }
    let parts = progressions(picks);
    if parts.len() > MOST_PARTS {
        let data = picks.iter().map(|pick| *pick as f64).collect();
        let indices = build.constant(Tensor::new(vec![picks.len()], data));
        shape[axis] = picks.len();
        return build.push(Op::Gather { axis }, vec![x, indices], shape);
    }
    let part = |(start, step, count): &(usize, isize, usize)| {
        if *step != 0 {
            return build.slice(x, axis, *start, *count, *step);
        }
        let one = build.slice(x, axis, *start, 1, 1);
        let mut shape = build.shape(one);
        shape[axis] = *count;
        build.broadcast(one, &shape)
    };
    let parts = parts.iter().map(part).collect();
    build.concat(parts, axis)
}

/// How often each of `0..length` comes, if all come in order and equally often, more than once.
fn repeats(picks: &[usize], length: usize) -> Option<usize> {
    let times = picks.len() / length.max(1);
    let regular = times > 1
        && times * length == picks.len()
        && picks.iter().enumerate().all(|(i, pick)| *pick == i / times);
    regular.then_some(times)
}

/// Start, step and length of the arithmetic progressions that the picks consist of.
fn progressions(picks: &[usize]) -> Vec<(usize, isize, usize)> {
    let mut parts: Vec<(usize, isize, usize)> = Vec::new();
    for &pick in picks {
        match parts.last_mut() {
            Some((start, step, count @ 1)) => {
                *step = pick as isize - *start as isize;
                *count = 2;
            }
            Some((start, step, count))
                if *start as isize + *step * *count as isize == pick as isize =>
            {
                *count += 1
            }
            _ => parts.push((pick, 1, 1)),
        }
    }
    parts
}

/// `before` and `after` more positions of value 0 along an axis; fewer where negative.
pub(crate) fn pad(
    build: &mut Builder,
    mut x: NodeId,
    axis: usize,
    (before, after): (i64, i64),
    value: f64,
) -> Result<NodeId, Diagnostic> {
    let kept = build.shape(x)[axis] as i64 + before.min(0) + after.min(0);
    if kept < 1 {
        return Err(refuse("it crops an axis to nothing", "correct the model"));
    }
    x = build.slice(x, axis, -before.min(0) as usize, kept as usize, 1);
    let (before, after) = (before.max(0) as usize, after.max(0) as usize);
    if before + after == 0 {
        return Ok(x);
    }
    let mut shape = build.shape(x);
    shape[axis] += before + after;
    let mut starts = vec![0; shape.len()];
    starts[axis] = before;
    Ok(build.push(
        Op::Pad {
            before: starts,
            value,
        },
        vec![x],
        shape,
    ))
}

fn build_pad(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let shape = scope.build.shape(x);
    let pads = match scope.ints("pads").or(scope.ints("paddings")) {
        Some(pads) => Some(pads.to_vec()),
        None => scope.constant_ints(1)?,
    };
    let pads = pads.unwrap_or_default();
    let axes = match scope.constant_ints(3)? {
        Some(axes) => axes
            .iter()
            .map(|axis| Scope::position(*axis, shape.len()))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    if pads.len() != 2 * axes.len() || pads.iter().any(|p| p.unsigned_abs() > MOST_ELEMENTS) {
        return Err(refuse(
            "its paddings do not fit its axes",
            "correct the model",
        ));
    }
    let ends = |i: usize| (pads[i], pads[axes.len() + i]);
    let mode = scope.text("mode").unwrap_or("constant").to_string();
    if mode != "constant" {
        for (i, &axis) in axes.iter().enumerate() {
            let build = &mut scope.build;
            let (before, after) = ends(i);
            // What is cut off goes first, and is not repeated elsewhere.
            x = pad(build, x, axis, (before.min(0), after.min(0)), 0.0)?;
            let added = (before.max(0), after.max(0));
            let picks = picks(&mode, build.shape(x)[axis], added)?;
            x = take(build, x, axis, &picks);
        }
        return Ok(vec![(x, dtype)]);
    }
    let value = match scope.optional(2) {
        Some(value) => scope.build.tensor(value).map(|t| t.data.first().copied()),
        None => Some(scope.float("value")),
    };
    let build = &mut scope.build;
    let mut mask = build.constant(Tensor::filled(shape.clone(), 0.0));
    for (i, &axis) in axes.iter().enumerate() {
        x = pad(build, x, axis, ends(i), value.flatten().unwrap_or(0.0))?;
        if value.is_none() {
            mask = pad(build, mask, axis, ends(i), 1.0)?;
        }
    }
    if value.is_none() {
        let ones = vec![1; shape.len()];
        let value = scope.operand(2)?;
        let value = scope.build.reshape(value, &ones);
        let filled = scope.build.binary(BinaryFn::Mul, mask, value);
        x = scope.build.binary(BinaryFn::Add, x, filled);
    }
    Ok(vec![(x, dtype)])
}

/// The position that each position of a padded axis comes from.
fn picks(mode: &str, length: usize, (before, after): (i64, i64)) -> Result<Vec<usize>, Diagnostic> {
    let len = length as i64;
    let pick = |at: i64| match mode {
        "edge" => Ok(at.clamp(0, len - 1)),
        "wrap" => Ok(at.rem_euclid(len)),
        "reflect" if len == 1 => Ok(0),
        "reflect" => {
            let around = at.rem_euclid(2 * (len - 1));
            Ok(around.min(2 * (len - 1) - around))
        }
        _ => Err(refuse(
            format!("its mode `{mode}` is not supported"),
            "use `constant`, `reflect`, `edge` or `wrap`",
        )),
    };
    check_matrix((len + before + after) as usize, 1)?;
    let picks = (-before..len + after).map(pick);
    picks.map(|pick| pick.map(|at| at as usize)).collect()
}

fn center_crop_pad(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let shape = scope.build.shape(x);
    let axes = scope.axes("axes", shape.len())?;
    let sizes = scope.constant_ints(1)?.unwrap_or_default();
    if sizes.len() != axes.len() || sizes.iter().any(|s| *s < 1 || *s as u64 > MOST_ELEMENTS) {
        return Err(refuse(
            "its shape does not fit its axes",
            "correct the model",
        ));
    }
    for (&axis, &size) in axes.iter().zip(&sizes) {
        let change = size - shape[axis] as i64;
        // The half before is rounded towards zero, when cropping as when padding.
        let before = change / 2;
        x = pad(&mut scope.build, x, axis, (before, change - before), 0.0)?;
    }
    Ok(vec![(x, dtype)])
}

/// Each sequence's first elements backwards.
fn reverse_sequence(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, lengths) = (scope.operand(0)?, scope.operand(1)?);
    let dtype = scope.dtype(0);
    let rank = scope.build.rank(x);
    let batch = scope.axis("batch_axis", 1, x)?;
    let time = scope.axis("time_axis", 0, x)?;
    if rank < 2 || batch == time {
        return Err(refuse("its two axes are the same", "correct the model"));
    }
    let mut order: Vec<usize> = (0..rank).filter(|a| ![batch, time].contains(a)).collect();
    order.splice(0..0, [batch, time]);
    let build = &mut scope.build;
    let moved = build.transpose(x, &order);
    let shape = build.shape(moved);
    let (count, steps) = (shape[0], shape[1]);
    if build.shape(lengths) != [count] {
        return Err(refuse(
            "it does not have one length for each sequence",
            "correct the model",
        ));
    }
    let made = match build.tensor(lengths).map(|t| t.data.clone()) {
        Some(lengths) => {
            let mut rows = Vec::new();
            for (i, length) in lengths.iter().enumerate() {
                let length = *length as usize;
                if length > steps {
                    return Err(refuse(
                        "a sequence is longer than its axis",
                        "correct the model",
                    ));
                }
                let row = build.slice(moved, 0, i, 1, 1);
                let picks: Vec<usize> = (0..length).rev().chain(length..steps).collect();
                rows.push(take(build, row, 1, &picks));
            }
            build.concat(rows, 0)
        }
        None => {
            if volume([count, steps, steps].map(|n| n as u64).into_iter()) > MOST_ELEMENTS {
                return Err(refuse(
                    "its sequences are too long",
                    "make the lengths constant",
                ));
            }
            let length = build.reshape(lengths, &[count, 1, 1]);
            let picks = backwards(build, length, steps);
            let flat = build.reshape(moved, &[count, steps, shape[2..].iter().product()]);
            let made = build.einsum("bts,bsx->btx", &[picks, flat]);
            build.reshape(made, &shape)
        }
    };
    let mut back = vec![0; rank];
    order
        .iter()
        .enumerate()
        .for_each(|(at, axis)| back[*axis] = at);
    Ok(vec![(scope.build.transpose(made, &back), dtype)])
}

/// `[count, steps, steps]`: 1 where step `t` of a sequence of a computed length reads step `s`.
fn backwards(build: &mut Builder, length: NodeId, steps: usize) -> NodeId {
    let square = |f: &dyn Fn(usize, usize) -> f64| {
        let pairs = (0..steps * steps).map(|i| f(i / steps, i % steps));
        Tensor::new(vec![1, steps, steps], pairs.collect())
    };
    let sums = build.constant(square(&|t, s| (t + s + 1) as f64));
    let same = build.constant(square(&|t, s| f64::from(t == s)));
    let times = (0..steps).map(|t| t as f64).collect();
    let times = build.constant(Tensor::new(vec![1, steps, 1], times));
    let distance = build.binary(BinaryFn::Sub, length, sums);
    let mirrored = build.pointwise(hat(), distance);
    let left = build.binary(BinaryFn::Sub, length, times);
    let inside = build.pointwise(Pointwise::step(Pointwise::Variable), left);
    let outside = build.pointwise(Pointwise::of(UnaryFn::Neg), inside);
    let outside = build.add_scalar(outside, 1.0);
    let kept = build.binary(BinaryFn::Mul, same, outside);
    build.binary(BinaryFn::Add, mirrored, kept)
}
