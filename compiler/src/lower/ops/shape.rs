//! Data movement that only renames: reshape, transpose, broadcast. Nothing is committed.

use crate::diagnostic::Diagnostic;
use crate::graph::Node;
use crate::lower::lowering::Lowering;
use crate::lower::value::Value;

pub(super) fn reshape(cx: &mut Lowering, node: &Node) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    cx.regroup(value, &node.shape)
}

pub(super) fn transpose(
    cx: &mut Lowering,
    node: &Node,
    permutation: &[usize],
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    Ok(Value {
        dims: permutation
            .iter()
            .map(|&from| value.dims[from].clone())
            .collect(),
        ..value
    })
}

/// Axes of length 1 become axes that no term mentions.
pub(super) fn broadcast(cx: &mut Lowering, node: &Node) -> Result<Value, Diagnostic> {
    let mut value = cx.read(node, 0)?;
    for (dim, &len) in node.shape.iter().enumerate() {
        repeat(cx, &mut value, dim, len);
    }
    Ok(value)
}

/// Repeats dimension `dim`, if it has length 1, to length `len`.
pub(super) fn repeat(cx: &Lowering, value: &mut Value, dim: usize, len: usize) {
    if value.dims[dim].is_empty() && len != 1 {
        value.dims[dim] = vec![cx.fresh.axis(len)];
    }
}
