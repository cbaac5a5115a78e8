//! Root-mean-square normalization `x / sqrt(mean(x^2) + epsilon)`: an exact sum of squares, its inverse root in
//! floating point, a product. Rows are as precise however quiet they are.

use crate::diagnostic::Diagnostic;
use crate::graph::Node;
use crate::lower::lowering::Lowering;
use crate::lower::value::Value;

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    dim: usize,
    epsilon: f64,
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    let value = cx.short_sum(&value, cx.wanted_bits(node.inputs[0]))?;
    let summed = value.dims[dim].clone();
    let mut dims = value.dims.clone();
    dims[dim] = vec![];
    let mut mean = cx
        .sum_of_squares(&value, &summed, dims)?
        .scaled(1.0 / value.len(dim) as f64);
    mean.name = format!("{}/mean_square", node.name).into();
    // Shown as the number of single precision that it is.
    let label = format!("rsqrt_eps{:e}", epsilon as f32);
    let root = cx.part("rsqrt", |cx| cx.inverse_root(&mean, epsilon, 2, &label))?;
    let mut normalized = cx.multiply(value, root)?;
    normalized.range = node.range;
    normalized.name = node.name.as_str().into();
    normalized.channels = cx.channels(node, &normalized);
    cx.small(&normalized, cx.bits.activation_bits)
}
