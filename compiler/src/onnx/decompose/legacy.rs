//! What operators of old opsets did and no newer one does, and what is left of sequences, for models in their
//! [canonical](crate::onnx::canonical) form: a domain of its own, which no file can name.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::NodeId;
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

/// Where these operators are.
pub(crate) const DOMAIN: &str = "zkiln";
/// The second operand, to be broadcast to the first.
pub(crate) const ALIGN: &str = "Align";
/// A tensor of one element as a number.
pub(crate) const SCALAR: &str = "Scalar";
/// Slices along the first axis, along another.
pub(crate) const SLICES_ALONG: &str = "SlicesAlong";
/// Without the axes of length 1.
pub(crate) const SQUEEZE_ALL: &str = "SqueezeAll";
/// Repeated along one axis.
pub(crate) const TILE_ALONG: &str = "TileAlong";

pub(super) const OPERATORS: &[Operator] = &[
    op(ALIGN, 1, align).domain(DOMAIN),
    op(SCALAR, 1, scalar).domain(DOMAIN),
    op(SLICES_ALONG, 1, slices_along).domain(DOMAIN),
    op(SQUEEZE_ALL, 1, squeeze_all).domain(DOMAIN),
    op(TILE_ALONG, 1, tile_along).domain(DOMAIN),
];

/// Most repetitions.
const MOST_TILES: i64 = 1 << 12;

/// The axes of the second operand are consecutive ones of the first, from `axis` on or the last ones; without `broadcast`, all.
fn align(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (a, b) = (scope.operand(0)?, scope.operand(1)?);
    let (shape, own) = (scope.build.shape(a), scope.build.shape(b));
    let broadcast = scope.int("broadcast").unwrap_or(0) != 0;
    let dtype = scope.dtype(1);
    if shape == own {
        return Ok(vec![(b, dtype)]);
    }
    let wide = match broadcast {
        true if own.iter().product::<usize>() == 1 => Some(Vec::new()),
        true => aligned(&shape, &own, scope.int("axis")),
        false => None,
    };
    let Some(wide) = wide else {
        return Err(refuse(
            format!(
                "its operands of shapes {shape:?} and {own:?} do not fit together before opset 7"
            ),
            "correct `broadcast` and `axis`, or export the model with a newer opset",
        ));
    };
    Ok(vec![(scope.build.reshape(b, &wide), dtype)])
}

/// A shape with ones at its end, so that it is broadcast to another from this axis on.
fn aligned(shape: &[usize], own: &[usize], axis: Option<i64>) -> Option<Vec<usize>> {
    let last = shape.len().checked_sub(own.len())?;
    let axis = match axis {
        Some(axis) if axis < 0 => usize::try_from(axis + shape.len() as i64).ok()?,
        Some(axis) => usize::try_from(axis).ok()?,
        None => last,
    };
    let fits = axis <= last && shape[axis..axis + own.len()] == *own;
    let ones = std::iter::repeat_n(1, last.saturating_sub(axis));
    fits.then(|| own.iter().copied().chain(ones).collect())
}

fn scalar(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    match scope.build.graph.nodes[x].volume() {
        1 => Ok(vec![(scope.build.reshape(x, &[]), scope.dtype(0))]),
        count => Err(refuse(
            format!("it takes one number, and is given {count}"),
            "correct the model",
        )),
    }
}

/// The slices one after the other along `axis`, which `new_axis` says is a new one.
fn slices_along(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let rank = scope.build.rank(x);
    let is_new = scope.int("new_axis") == Some(1);
    let axis = scope.int("axis").unwrap_or(0);
    let axis = Scope::position(axis, if is_new { rank } else { rank.saturating_sub(1) })?;
    let mut order: Vec<usize> = (1..rank).collect();
    order.insert(axis, 0);
    let moved = scope.build.transpose(x, &order);
    let mut shape = scope.build.shape(moved);
    if !is_new {
        let count = shape.remove(axis);
        let length = shape.get_mut(axis);
        let length = length.ok_or_else(|| refuse("it joins numbers", "make a new axis"))?;
        *length *= count;
    }
    Ok(vec![(scope.build.reshape(moved, &shape), scope.dtype(0))])
}

fn squeeze_all(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let mut shape = scope.build.shape(x);
    shape.retain(|len| *len != 1);
    Ok(vec![(scope.build.reshape(x, &shape), scope.dtype(0))])
}

/// Operands: the data, how often, along which axis.
fn tile_along(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let single = |scope: &Scope, index: usize| -> Result<i64, Diagnostic> {
        let value = scope.constant_ints(index)?.and_then(|v| v.first().copied());
        value.ok_or_else(|| refuse(format!("its operand {index} is empty"), "correct the model"))
    };
    let (count, axis) = (single(scope, 1)?, single(scope, 2)?);
    let axis = Scope::position(axis, scope.build.rank(x))?;
    if !(1..=MOST_TILES).contains(&count) {
        return Err(refuse(
            format!("it repeats its operand {count} times"),
            format!("repeat it 1 to {MOST_TILES} times"),
        ));
    }
    let parts: Vec<NodeId> = vec![x; count as usize];
    Ok(vec![(scope.build.concat(parts, axis), scope.dtype(0))])
}
