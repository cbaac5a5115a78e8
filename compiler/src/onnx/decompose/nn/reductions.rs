//! Reductions that need care: `ReduceLogSumExp` around the maximum, so that no exponential overflows.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Pointwise, Reducer, UnaryFn};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("ReduceLogSumExp", 1, log_sum_exp),
    op("ReduceMax", 1, maximum),
    op("ReduceMin", 1, minimum),
];

/// Axes of a reduction: an operand, an attribute, or all.
pub(crate) fn axes(scope: &Scope) -> Result<Vec<usize>, Diagnostic> {
    let rank = scope.build.rank(scope.operand(0)?);
    let given = match scope.constant_ints(1)? {
        Some(axes) => axes,
        None => scope.ints("axes").unwrap_or_default().to_vec(),
    };
    if given.is_empty() && scope.int("noop_with_empty_axes").unwrap_or(0) == 0 {
        return Ok((0..rank).collect());
    }
    let mut axes = Vec::new();
    for axis in given {
        axes.push(Scope::position(axis, rank)?);
    }
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn log_sum_exp(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let axes = axes(scope)?;
    let dtype = scope.dtype(0);
    let keep = scope.int("keepdims").unwrap_or(1) != 0;
    let build = &mut scope.build;
    let maximum = build.reduce(Reducer::Max, &axes, x);
    let below = build.binary(BinaryFn::Sub, x, maximum);
    let exponentials = build.pointwise(Pointwise::of(UnaryFn::Exp), below);
    let sum = build.reduce(Reducer::Sum, &axes, exponentials);
    let logarithm = build.pointwise(Pointwise::of(UnaryFn::Ln), sum);
    let made = build.binary(BinaryFn::Add, maximum, logarithm);
    let shape = build.shape(made).into_iter().enumerate();
    let kept = shape
        .filter(|(axis, _)| keep || !axes.contains(axis))
        .map(|(_, len)| len);
    let kept: Vec<usize> = kept.collect();
    Ok(vec![(build.reshape(made, &kept), dtype)])
}

/// `ReduceMax`, also of booleans.
fn maximum(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    extreme(scope, Reducer::Max)
}

/// `ReduceMin`, also of booleans.
fn minimum(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    extreme(scope, Reducer::Min)
}

fn extreme(scope: &mut Scope, reducer: Reducer) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let axes = axes(scope)?;
    if scope.build.shape(x).contains(&0) {
        return Err(refuse("it reduces nothing", "correct the model"));
    }
    let keep = scope.int("keepdims").unwrap_or(1) != 0;
    let mut made = scope.build.reduce(reducer, &axes, x);
    if !keep {
        made = scope.build.squeeze(made, &axes);
    }
    Ok(vec![(made, scope.dtype(0))])
}
