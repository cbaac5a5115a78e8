//! Concatenation and padding: operands are read out of range, where they are zero, and added.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::Node;
use crate::lower::lowering::Lowering;
use crate::lower::ops::convolution::read_along;
use crate::lower::ops::{binary, function};
use crate::lower::value::{Axis, Term, Value};

/// Longest weight tensor that may be padded rather than its product committed first.
const MAX_PADDED_WEIGHT: usize = 4096;

pub(super) fn concat(cx: &mut Lowering, node: &Node, axis: usize) -> Result<Value, Diagnostic> {
    let mut start = 0;
    let mut sum: Option<Value> = None;
    for index in 0..node.inputs.len() {
        let part = cx.read(node, index)?;
        let len = part.len(axis);
        let part = place(cx, part, axis, start, node.shape[axis])?;
        sum = Some(match sum {
            None => part,
            Some(sum) => binary::add(cx, sum, part)?,
        });
        start += len;
    }
    sum.ok_or_else(|| refuse("it has no operands", "correct the model"))
}

pub(super) fn pad(
    cx: &mut Lowering,
    node: &Node,
    before: &[usize],
    fill: f64,
) -> Result<Value, Diagnostic> {
    let mut value = cx.read(node, 0)?;
    let inside: Vec<(usize, usize)> = before.iter().copied().zip(value.shape()).collect();
    if fill != 0.0 {
        value = function::add_number(value, -fill).normalize();
    }
    for (axis, &(before, len)) in inside.iter().enumerate() {
        if len != node.shape[axis] {
            value = place(cx, value, axis, before, node.shape[axis])?;
        }
    }
    Ok(if fill != 0.0 {
        function::add_number(value, fill)
    } else {
        value
    })
}

/// The value at `start..` of an axis of length `len`, zero elsewhere.
fn place(
    cx: &mut Lowering,
    mut value: Value,
    dim: usize,
    start: usize,
    len: usize,
) -> Result<Value, Diagnostic> {
    let heavy = |term: &Term| {
        !term.is_constant()
            && term
                .weight
                .as_ref()
                .is_some_and(|weight| weight.data.len() > MAX_PADDED_WEIGHT)
    };
    if value
        .terms
        .iter()
        .any(|term| term.factors.len() > 1 || heavy(term))
    {
        value = cx.small(&value, cx.bits.activation_bits)?;
    }
    let value = cx.single_axis(value, dim)?;
    let new = if len == 1 {
        vec![]
    } else {
        vec![cx.fresh.axis(len)]
    };
    let parts: Vec<(Axis, i64)> = new.iter().map(|&axis| (axis, 1)).collect();
    let mut value = read_along(value, dim, -(start as i64), &parts, &new);
    value.proven = value.proven.map(|(lo, hi)| (lo.min(0.0), hi.max(0.0)));
    Ok(value)
}
