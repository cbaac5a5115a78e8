//! Slices: an axis is read at `start + step * index`.

use crate::diagnostic::Diagnostic;
use crate::graph::Node;
use crate::lower::lowering::Lowering;
use crate::lower::value::{Axis, Value};

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    axis: usize,
    start: usize,
    step: isize,
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    slice(cx, value, axis, start as i64, step as i64, node.shape[axis])
}

/// `start, start + step, ...` along dimension `dim`, `len` of them.
pub(super) fn slice(
    cx: &mut Lowering,
    mut value: Value,
    dim: usize,
    start: i64,
    step: i64,
    len: usize,
) -> Result<Value, Diagnostic> {
    if len == value.len(dim) && step == 1 {
        return Ok(value);
    }
    if step == 1
        && let Some(kept) = whole_blocks(cx, &mut value, dim, start as usize, len)
    {
        value.dims[dim] = kept;
        return Ok(value);
    }
    let mut value = cx.single_axis(value, dim)?;
    if let &[axis] = value.dims[dim].as_slice() {
        value.dims[dim] = pick(cx, &mut value, axis, start, step, len);
    }
    Ok(value)
}

fn pick(
    cx: &Lowering,
    value: &mut Value,
    axis: Axis,
    start: i64,
    step: i64,
    len: usize,
) -> Vec<Axis> {
    let new = if len == 1 {
        vec![]
    } else {
        vec![cx.fresh.axis(len)]
    };
    value.substitute(
        axis,
        start,
        &new.iter().map(|&axis| (axis, step)).collect::<Vec<_>>(),
    );
    new
}

/// The axes of a slice of several axes that is a range of the first one, or lies within one of its indices.
fn whole_blocks(
    cx: &Lowering,
    value: &mut Value,
    dim: usize,
    start: usize,
    len: usize,
) -> Option<Vec<Axis>> {
    let (mut start, mut axes) = (start, value.dims[dim].clone());
    let mut blocks = vec![];
    while axes.len() > 1 {
        let inner: usize = axes[1..].iter().map(|axis| axis.len).product();
        let first = axes.remove(0);
        if start.is_multiple_of(inner) && len.is_multiple_of(inner) {
            blocks.push((first, start / inner, len / inner));
            start = 0;
            break;
        }
        if start / inner != (start + len - 1) / inner {
            return None;
        }
        blocks.push((first, start / inner, 1));
        start %= inner;
    }
    let rest = match axes.as_slice() {
        _ if blocks.is_empty() => return None,
        &[last] if len < last.len => {
            blocks.push((last, start, len));
            vec![]
        }
        rest => rest.to_vec(),
    };
    let mut kept = vec![];
    for (axis, start, len) in blocks {
        if (start, len) == (0, axis.len) {
            kept.push(axis);
        } else {
            kept.extend(pick(cx, value, axis, start as i64, 1, len));
        }
    }
    Some([kept, rest].concat())
}
