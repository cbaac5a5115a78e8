//! `ConvTranspose`, as a convolution to more channels and a rearrangement.
//!
//! With stride `s`, output position `s q + r` (before cropping) sums `x[q - j] w[r + s j]` over `j`: for each phase `r`, a
//! convolution of stride 1 with every `s`-th kernel element, backwards. All phases are channels of one convolution.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_ELEMENTS, check_matrix, volume};
use crate::graph::{BinaryFn, NodeId, Op, Tensor, Window};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[op("ConvTranspose", 1, build)];

/// See above. Dilated kernels are filled with zeros.
fn build(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, kernel) = (scope.operand(0)?, scope.operand(1)?);
    let bias = scope.optional(2);
    let dtype = scope.dtype(0);
    let (shape, kernel_shape) = (scope.build.shape(x), scope.build.shape(kernel));
    let wrong = || refuse("its operands do not fit", "correct the model");
    let groups = usize::try_from(scope.int("group").unwrap_or(1)).unwrap_or(0);
    let fits = shape.len() > 2
        && kernel_shape.len() == shape.len()
        && kernel_shape[0] == shape[1]
        && groups > 0
        && shape[1].is_multiple_of(groups);
    if !fits {
        return Err(wrong());
    }
    let axes = shape.len() - 2;
    let strides = scope.lengths("strides", axes, 1)?;
    let dilations = scope.lengths("dilations", axes, 1)?;
    let extent: Vec<usize> = (0..axes)
        .map(|a| (kernel_shape[2 + a] - 1) * dilations[a] + 1)
        .collect();
    let placed = placed(scope, &shape[2..], &extent, &strides)?;
    let (batch, channels) = (shape[0], kernel_shape[1] * groups);
    let lens = placed.iter().map(|(_, len)| *len as u64);
    if volume(lens.chain([batch as u64, channels as u64])) > MOST_ELEMENTS {
        return Err(refuse("its result is too large", "correct the model"));
    }
    let taps: Vec<usize> = (0..axes).map(|a| extent[a].div_ceil(strides[a])).collect();
    let blocks = (0..axes).map(|a| (placed[a].0 + placed[a].1).div_ceil(strides[a]));
    let blocks: Vec<usize> = blocks.collect();
    let build = &mut scope.build;
    let kernel = by_output(build, kernel, groups);
    let kernel = match build.tensor(kernel).cloned() {
        Some(tensor) => build.constant(by_phase(&tensor, &strides, &dilations, &taps)),
        None => computed_by_phase(build, kernel, &strides, &dilations, &taps)?,
    };
    let window = Window {
        kernel: taps.clone(),
        stride: vec![1; axes],
        dilation: vec![1; axes],
        pad_before: taps.iter().map(|t| t - 1).collect(),
    };
    let all = channels * strides.iter().product::<usize>();
    let none = build.constant(Tensor::filled(vec![all], 0.0));
    let op = Op::Convolution { window, groups };
    let made = [&[batch, all], &blocks[..]].concat();
    let made = build.push(op, vec![x, kernel, none], made);
    let mut made = interleave(build, made, channels, &strides);
    for (axis, (before, len)) in placed.into_iter().enumerate() {
        made = build.slice(made, axis + 2, before, len, 1);
    }
    if let Some(bias) = bias {
        if build.shape(bias) != [channels] {
            return Err(wrong());
        }
        let bias = build.reshape(bias, &[&[1, channels], &vec![1; axes][..]].concat());
        made = build.binary(BinaryFn::Add, made, bias);
    }
    Ok(vec![(made, dtype)])
}

/// For each spatial axis, how much is cut off before, and the length.
fn placed(
    scope: &Scope,
    spatial: &[usize],
    extent: &[usize],
    strides: &[usize],
) -> Result<Vec<(usize, usize)>, Diagnostic> {
    let axes = spatial.len();
    let extra = scope.lengths("output_padding", axes, 0)?;
    let pads = scope.lengths("pads", 2 * axes, 0)?;
    let wanted = match scope.ints("output_shape") {
        // Some models list the batch and the channels as well.
        Some(listed) if listed.len() == axes + 2 => Some(listed[2..].to_vec()),
        Some(listed) if listed.len() == axes => Some(listed.to_vec()),
        Some([]) | None => None,
        Some(_) => {
            return Err(refuse(
                "its `output_shape` does not fit",
                "correct the model",
            ));
        }
    };
    let auto = scope.text("auto_pad").unwrap_or("NOTSET");
    let (same, upper) = match auto {
        "NOTSET" | "" | "VALID" => (false, false),
        "SAME_UPPER" => (true, true),
        "SAME_LOWER" => (true, false),
        other => {
            return Err(refuse(
                format!("its padding `{other}` is not supported"),
                "correct the model",
            ));
        }
    };
    let place = |a: usize| {
        let whole = ((spatial[a] - 1) * strides[a] + extent[a] + extra[a]) as i64;
        let wanted = match &wanted {
            Some(wanted) => Some(wanted[a]),
            None if same => Some((spatial[a] * strides[a]) as i64),
            None => None,
        };
        let (before, len) = match wanted {
            None => {
                let len = whole - (pads[a] + pads[axes + a]) as i64;
                (pads[a] as i64, len)
            }
            Some(len) => {
                let total = (whole - len).max(0);
                (if upper { total / 2 } else { total - total / 2 }, len)
            }
        };
        // Runtimes do not agree on which side what is missing is added.
        let agreed = wanted.is_none_or(|len| whole - len >= if upper { 0 } else { -1 });
        if !agreed && !same || len < 1 || len > MOST_ELEMENTS as i64 {
            return Err(refuse(
                format!("axis {a} of its output has length {len}, but {whole} without padding"),
                "use `output_padding` instead of `output_shape`",
            ));
        }
        Ok((before as usize, len as usize))
    };
    (0..axes).map(place).collect()
}

/// `[g * i, o / g, k...]` to `[o, i, k...]`.
fn by_output(build: &mut Builder, kernel: NodeId, groups: usize) -> NodeId {
    let shape = build.shape(kernel);
    let (inputs, outputs) = (shape[0] / groups, shape[1]);
    let apart = [&[groups, inputs], &shape[1..]].concat();
    let apart = build.reshape(kernel, &apart);
    let mut order: Vec<usize> = (0..shape.len() + 1).collect();
    order.swap(1, 2);
    let moved = build.transpose(apart, &order);
    build.reshape(moved, &[&[groups * outputs, inputs], &shape[2..]].concat())
}

/// `[o, i, k...]` to `[o * phases, i, taps...]`: element `t` of phase `r` is kernel element `r + s (taps - 1 - t)`.
fn by_phase(kernel: &Tensor, strides: &[usize], dilations: &[usize], taps: &[usize]) -> Tensor {
    let [outputs, inputs] = [kernel.shape[0], kernel.shape[1]];
    let lengths = &kernel.shape[2..];
    let (phases, volume, tap_volume): (usize, usize, usize) = (
        strides.iter().product(),
        lengths.iter().product(),
        taps.iter().product(),
    );
    let mut result = Tensor::filled([&[outputs * phases, inputs], taps].concat(), 0.0);
    for element in 0..volume {
        let (mut phase, mut tap) = (0, 0);
        let mut inner = volume;
        for axis in 0..lengths.len() {
            inner /= lengths[axis];
            let at = element / inner % lengths[axis] * dilations[axis];
            phase = phase * strides[axis] + at % strides[axis];
            tap = tap * taps[axis] + (taps[axis] - 1 - at / strides[axis]);
        }
        for o in 0..outputs {
            for i in 0..inputs {
                let to = ((o * phases + phase) * inputs + i) * tap_volume + tap;
                result.data[to] = kernel.data[(o * inputs + i) * volume + element];
            }
        }
    }
    result
}

/// The same for a computed kernel, by a matrix that says where each of its elements goes.
fn computed_by_phase(
    build: &mut Builder,
    kernel: NodeId,
    strides: &[usize],
    dilations: &[usize],
    taps: &[usize],
) -> Result<NodeId, Diagnostic> {
    let shape = build.shape(kernel);
    let (outputs, inputs, lengths) = (shape[0], shape[1], &shape[2..]);
    let volume: usize = lengths.iter().product();
    let phases: usize = strides.iter().product();
    let tap_volume: usize = taps.iter().product();
    check_matrix(phases * tap_volume, volume)?;
    let same = (0..volume * volume).map(|i| f64::from(i / volume == i % volume));
    let same = Tensor::new([&[volume, 1], lengths].concat(), same.collect());
    let places = by_phase(&same, strides, dilations, taps);
    let places = Tensor::new(vec![volume, phases * tap_volume], places.data);
    let places = build.constant(places);
    let flat = build.reshape(kernel, &[outputs, inputs, volume]);
    let moved = build.einsum("oik,kt->oit", &[flat, places]);
    let apart = build.reshape(moved, &[outputs, inputs, phases, tap_volume]);
    let apart = build.transpose(apart, &[0, 2, 1, 3]);
    Ok(build.reshape(apart, &[&[outputs * phases, inputs], taps].concat()))
}

/// `[n, c * phases, q...]` to `[n, c, q * s...]`.
fn interleave(build: &mut Builder, x: NodeId, channels: usize, strides: &[usize]) -> NodeId {
    let shape = build.shape(x);
    let (batch, blocks) = (shape[0], shape[2..].to_vec());
    let split = build.reshape(x, &[&[batch, channels], strides, &blocks[..]].concat());
    let count = strides.len();
    let pairs = (0..count).flat_map(|a| [2 + count + a, 2 + a]);
    let moved = build.transpose(split, &[0, 1].into_iter().chain(pairs).collect::<Vec<_>>());
    let lengths: Vec<usize> = blocks.iter().zip(strides).map(|(q, s)| q * s).collect();
    build.reshape(moved, &[&[batch, channels], &lengths[..]].concat())
}
