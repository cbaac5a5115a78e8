//! `DeformConv`: a convolution whose taps are read at computed places.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::limits::check_matrix;
use crate::graph::{BinaryFn, Tensor, Window};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::decompose::spatial::sampling::Weights;

pub(super) const OPERATORS: &[Operator] = &[op("DeformConv", 19, build)];

/// Letters of the spatial axes.
const SPACE: &str = "stuvwxyz";

/// What follows from the shapes and the attributes.
struct Geometry {
    batch: usize,
    channels: usize,
    outputs: usize,
    groups: usize,
    /// Groups of channels that share their places.
    parts: usize,
    window: Window,
    /// Spatial shape of the result.
    made: Vec<usize>,
}

fn wrong() -> Diagnostic {
    refuse("its operands do not fit", "correct the model")
}

/// The geometry of a convolution of data `[n, c, spatial...]`, a kernel and offsets of these shapes.
fn geometry(
    scope: &Scope,
    shape: &[usize],
    kernel_shape: &[usize],
    offset_shape: &[usize],
) -> Result<Geometry, Diagnostic> {
    let axes = shape.len().saturating_sub(2);
    if !(1..=SPACE.len()).contains(&axes)
        || kernel_shape.len() != shape.len()
        || offset_shape.len() != shape.len()
    {
        return Err(wrong());
    }
    let count = |name| usize::try_from(scope.int(name).unwrap_or(1)).unwrap_or(0);
    let (groups, parts) = (count("group"), count("offset_group"));
    let strides = scope.lengths("strides", axes, 1)?;
    let dilations = scope.lengths("dilations", axes, 1)?;
    let pads = scope.lengths("pads", 2 * axes, 0)?;
    let (batch, channels, outputs) = (shape[0], shape[1], kernel_shape[0]);
    let (window, made) = (&kernel_shape[2..], &offset_shape[2..]);
    let taps: usize = window.iter().product();
    let reaches = |axis: usize| {
        let extent = (window[axis] - 1) * dilations[axis] + 1;
        let padded = shape[2 + axis] + pads[axis] + pads[axes + axis];
        padded >= extent && made[axis] == (padded - extent) / strides[axis] + 1
    };
    let fits = groups > 0
        && parts > 0
        && channels.is_multiple_of(groups)
        && channels.is_multiple_of(parts)
        && outputs.is_multiple_of(groups)
        && kernel_shape[1] == channels / groups
        && offset_shape[..2] == [batch, parts * taps * axes]
        && (0..axes).all(reaches);
    if !fits {
        return Err(wrong());
    }
    let window = Window {
        kernel: window.to_vec(),
        stride: strides,
        dilation: dilations,
        pad_before: pads[..axes].to_vec(),
    };
    Ok(Geometry {
        batch,
        channels,
        outputs,
        groups,
        parts,
        window,
        made: made.to_vec(),
    })
}

/// Where a window's taps are along an axis without offsets: `[1, 1, taps, points, 1]`.
fn places(window: &Window, made: &[usize], axis: usize) -> Tensor {
    let [taps, points] = [&window.kernel, made].map(|lens| lens.iter().product::<usize>());
    let along = |flat: usize, lens: &[usize]| {
        flat / lens[axis + 1..].iter().product::<usize>() % lens[axis]
    };
    let places = (0..taps * points).map(|i| {
        let tap = along(i / points, &window.kernel) * window.dilation[axis];
        let point = along(i % points, made) * window.stride[axis];
        (tap + point) as f64 - window.pad_before[axis] as f64
    });
    Tensor::new(vec![1, 1, taps, points, 1], places.collect())
}

fn build(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, kernel, offset) = (scope.operand(0)?, scope.operand(1)?, scope.operand(2)?);
    let (bias, mask) = (scope.optional(3), scope.optional(4));
    let dtype = scope.dtype(0);
    let [shape, kernel_shape, offset_shape] =
        [x, kernel, offset].map(|operand| scope.build.shape(operand));
    let Geometry {
        batch,
        channels,
        outputs,
        groups,
        parts,
        window,
        made,
    } = geometry(scope, &shape, &kernel_shape, &offset_shape)?;
    let axes = made.len();
    let [taps, points] = [&window.kernel, &made].map(|lens| lens.iter().product::<usize>());
    check_matrix(batch * parts * taps, points)?;
    let build = &mut scope.build;
    let apart = build.reshape(offset, &[batch, parts, taps, axes, points]);
    let data = [&[batch, parts, channels / parts], &shape[2..]].concat();
    let mut operands = vec![build.reshape(x, &data)];
    let mut labels = vec![format!("ngc{}", &SPACE[..axes])];
    for axis in 0..axes {
        let places = build.constant(places(&window, &made, axis));
        let moves = build.slice(apart, 3, axis, 1, 1);
        let moves = build.reshape(moves, &[batch, parts, taps, points, 1]);
        let places = build.binary(BinaryFn::Add, moves, places);
        operands.push(Weights::linear().at(build, places, shape[2 + axis])?);
        labels.push(format!("ngkp{}", &SPACE[axis..=axis]));
    }
    let equation = format!("{}->ngckp", labels.join(","));
    let mut read = build.einsum(&equation, &operands);
    if let Some(mask) = mask {
        if build.shape(mask) != [&[batch, parts * taps], &made[..]].concat() {
            return Err(wrong());
        }
        let mask = build.reshape(mask, &[batch, parts, 1, taps, points]);
        read = build.binary(BinaryFn::Mul, read, mask);
    }
    let read = build.reshape(read, &[batch, groups, channels / groups, taps, points]);
    let kernel = build.reshape(kernel, &[groups, outputs / groups, channels / groups, taps]);
    let sum = build.einsum("ngckp,gock->ngop", &[read, kernel]);
    let result = [&[batch, outputs], &made[..]].concat();
    let mut sum = build.reshape(sum, &result);
    if let Some(bias) = bias {
        if build.shape(bias) != [outputs] {
            return Err(wrong());
        }
        let bias = build.reshape(bias, &[&[1, outputs], &vec![1; axes][..]].concat());
        sum = build.binary(BinaryFn::Add, sum, bias);
    }
    Ok(vec![(sum, dtype)])
}
