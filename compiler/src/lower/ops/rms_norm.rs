//! Root-mean-square normalization `x / sqrt(mean(x^2) + epsilon)`: an exact sum of squares, a table of inverse roots, a product.

use crate::diagnostic::Diagnostic;
use crate::graph::Node;
use crate::lower::lowering::Lowering;
use crate::lower::value::Value;

/// The least mean square that calibration saw may be undercut by this factor.
const UNDERCUT: f64 = 0.5;

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    dim: usize,
    epsilon: f64,
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    let value = cx.short_sum(&value, cx.bits.residual_bits())?;
    let summed = value.dims[dim].clone();
    let mut dims = value.dims.clone();
    dims[dim] = vec![];
    let mut mean = cx
        .sum_of_squares(&value, &summed, dims)?
        .scaled(1.0 / value.len(dim) as f64);
    let greatest = value.range.0.abs().max(value.range.1.abs()).powi(2);
    let (least, greatest) = node
        .stats
        .first()
        .map_or((greatest / 64.0, greatest), |&(lo, hi)| {
            (lo - epsilon, hi - epsilon)
        });
    mean.range = (0.0, greatest);
    mean.name = format!("{}/mean_square", node.name).into();
    let inverse_root = |x: f64| (x + epsilon).sqrt().recip();
    let bits = cx.bits.activation_bits;
    // Shown as the number of single precision that it is.
    let label = format!("rsqrt_eps{:e}", epsilon as f32);
    let greatest = inverse_root(least.max(0.0) * UNDERCUT);
    let root = cx.part("rsqrt", |cx| {
        cx.through_table(&mean, &label, bits, greatest, &inverse_root)
    })?;
    let mut normalized = cx.multiply(value, root)?;
    normalized.range = node.range;
    normalized.name = node.name.as_str().into();
    cx.small(&normalized, cx.bits.activation_bits)
}
