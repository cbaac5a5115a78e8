//! Reductions that need care, and norms.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{Reducer, UnaryFn};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("LpNormalization", 1, normalization),
    op("ReduceLogSumExp", 1, log_sum_exp),
    op("ReduceMax", 1, maximum),
    op("ReduceMin", 1, minimum),
];

/// What is added to a norm before it divides.
const NEARLY_ZERO: f64 = 1e-30;

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
    let made = build.log_sum_exp(x, &axes);
    let shape = build.shape(made).into_iter().enumerate();
    let kept = shape
        .filter(|(axis, _)| keep || !axes.contains(axis))
        .map(|(_, len)| len);
    let kept: Vec<usize> = kept.collect();
    Ok(vec![(build.reshape(made, &kept), dtype)])
}

/// `LpNormalization`: zeros stay what they are.
fn normalization(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let rank = scope.build.rank(x);
    let axis = Scope::position(scope.int("axis").unwrap_or(-1), rank)?;
    let order = scope.int("p").unwrap_or(2);
    let build = &mut scope.build;
    let (total, power) = match order {
        1 => {
            let magnitudes = build.unary(UnaryFn::Abs, x);
            let total = build.reduce(Reducer::Sum, &[axis], magnitudes);
            (total, UnaryFn::Recip)
        }
        2 => (build.reduce(Reducer::SumSquare, &[axis], x), UnaryFn::Rsqrt),
        _ => {
            return Err(refuse(
                "its norm is neither of order 1 nor 2",
                "use `p` 1 or 2",
            ));
        }
    };
    let total = build.add_scalar(total, NEARLY_ZERO);
    let inverse = build.unary(power, total);
    Ok(vec![(build.multiply(x, inverse), scope.dtype(0))])
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
    if scope.build.shape(scope.operand(0)?).contains(&0) {
        return Err(refuse("it reduces nothing", "correct the model"));
    }
    reduced(scope, reducer)
}

/// The reduction over the node's axes, which are kept if it says so.
pub(crate) fn reduced(scope: &mut Scope, reducer: Reducer) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let axes = axes(scope)?;
    let keep = scope.int("keepdims").unwrap_or(1) != 0;
    let mut made = scope.build.reduce(reducer, &axes, x);
    if !keep {
        made = scope.build.squeeze(made, &axes);
    }
    Ok(vec![(made, scope.dtype(0))])
}
