//! Convolution: a contraction of the kernel with the data read at `stride * y + dilation * k - pad`, zero outside.

use crate::diagnostic::Diagnostic;
use crate::graph::{Node, Window};
use crate::lower::lowering::Lowering;
use crate::lower::value::{Axis, Value};

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    window: &Window,
    groups: usize,
) -> Result<Value, Diagnostic> {
    let (mut data, mut kernel) = (cx.read(node, 0)?, cx.read(node, 1)?);
    if !kernel.is_constant() && !kernel.is_simple() {
        kernel = cx.compact(&kernel, cx.bits.activation_bits)?;
    }
    let spatial = window.kernel.len();
    data = spread(cx, data, spatial)?;
    if !data.is_constant() && !data.is_simple() {
        data = cx.compact(&data, cx.bits.activation_bits)?;
    }
    let products = kernel.len(1) * window.kernel.iter().product::<usize>();
    cx.narrow(&mut data, &mut kernel, products)?;
    let mut kernel_axes: Vec<Vec<Axis>> = vec![];
    let mut outputs: Vec<Vec<Axis>> = vec![];
    for i in 0..spatial {
        let (value, out, tap) = slide(cx, data, window, i, node.shape[2 + i])?;
        data = value;
        outputs.push(out);
        kernel_axes.push(tap);
    }
    data.dims.truncate(2);
    let channels = split_groups(cx, &mut data, &mut kernel, groups)?;
    for (i, tap) in kernel_axes.iter().enumerate() {
        kernel = cx.single_axis(kernel, 2 + i)?;
        if let (&[from], &[to]) = (kernel.dims[2 + i].as_slice(), tap.as_slice()) {
            kernel.rename(from, to);
        }
    }
    let summed: Vec<Axis> = channels
        .into_iter()
        .chain(kernel_axes.into_iter().flatten())
        .collect();
    let mut dims = vec![data.dims[0].clone(), kernel.dims[0].clone()];
    dims.extend(outputs);
    let product = cx.contract(data, kernel, &summed, dims)?;
    let mut bias = cx.read(node, 2)?;
    bias.dims = [vec![vec![]], bias.dims, vec![vec![]; spatial]].concat();
    let mut product = product;
    cx.unify(&mut product, 1, &mut bias, 1)?;
    Ok(product.plus(bias))
}

/// The value with one axis for each dimension in space. Later it would be too late: what is read through a window has axes that are
/// no dimension's, and nothing may be committed.
pub(super) fn spread(cx: &mut Lowering, data: Value, spatial: usize) -> Result<Value, Diagnostic> {
    (2..2 + spatial).try_fold(data, |data, dim| cx.single_axis(data, dim))
}

/// Reads spatial axis `i` of `[n, c, spatial...]` through the window: the value, its output axes and its kernel axes.
pub(super) fn slide(
    cx: &mut Lowering,
    data: Value,
    window: &Window,
    i: usize,
    out_len: usize,
) -> Result<(Value, Vec<Axis>, Vec<Axis>), Diagnostic> {
    let data = cx.single_axis(data, 2 + i)?;
    let axis_of = |len: usize| {
        if len == 1 {
            vec![]
        } else {
            vec![cx.fresh.axis(len)]
        }
    };
    let (out, tap) = (axis_of(out_len), axis_of(window.kernel[i]));
    let strided = |axes: &[Axis], stride: usize| {
        axes.iter()
            .map(|&axis| (axis, stride as i64))
            .collect::<Vec<_>>()
    };
    let parts = [
        strided(&out, window.stride[i]),
        strided(&tap, window.dilation[i]),
    ]
    .concat();
    Ok((
        read_along(data, 2 + i, -(window.pad_before[i] as i64), &parts, &out),
        out,
        tap,
    ))
}

/// Reads the single axis of dimension `dim` at `offset + sum stride * part`, zero outside.
pub(super) fn read_along(
    mut data: Value,
    dim: usize,
    offset: i64,
    parts: &[(Axis, i64)],
    out: &[Axis],
) -> Value {
    match *data.dims[dim].as_slice() {
        [axis] => data.substitute(axis, offset, parts),
        _ => data.mask(1, offset, parts),
    }
    data.dims[dim] = out.to_vec();
    data
}

/// Splits channels into groups on both sides and gives the kernel's input channels the data's axes: those to sum.
fn split_groups(
    cx: &mut Lowering,
    data: &mut Value,
    kernel: &mut Value,
    groups: usize,
) -> Result<Vec<Axis>, Diagnostic> {
    let (inputs, outputs) = (data.len(1), kernel.len(0));
    let unsplit = [
        std::mem::replace(data, Value::new(vec![], vec![])),
        std::mem::replace(kernel, Value::new(vec![], vec![])),
    ];
    let [mut moved_data, mut moved_kernel] = unsplit;
    let n = moved_data.len(0);
    moved_data = cx.regroup(moved_data, &[n, groups, inputs / groups])?;
    let shape = moved_kernel.shape();
    let split = [&[groups, outputs / groups], &shape[1..]].concat();
    moved_kernel = cx.regroup(moved_kernel, &split)?;
    cx.unify(&mut moved_data, 1, &mut moved_kernel, 0)?;
    cx.unify(&mut moved_data, 2, &mut moved_kernel, 2)?;
    let channels = moved_data.dims.remove(2);
    let group = moved_kernel.dims.remove(0);
    moved_kernel.dims[0].splice(0..0, group);
    (*data, *kernel) = (moved_data, moved_kernel);
    Ok(channels)
}
