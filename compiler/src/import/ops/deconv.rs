//! Transposed convolution, as a convolution to more channels and a rearrangement.
//!
//! With stride `s`, output position `s q + r` (before cropping) sums `x[q - j] w[r + s j]` over `j`: for each phase `r`, a
//! convolution of stride 1 with every `s`-th kernel element, backwards. All phases are channels of one convolution.

use tract_onnx::tract_core::ops::cnn::Deconv;

use super::{Call, Importer, Refusal, Translated, conv};
use crate::graph::{NodeId, Op, Tensor, Window};
use crate::import::limits::check_matrix;

/// See above. Dilated kernels are filled with zeros.
pub fn translate(importer: &mut Importer, call: &Call, op: &Deconv) -> Translated {
    let spec = &op.pool_spec;
    let format = spec.data_format;
    let data = conv::to_batch(importer, call.inputs[0], format);
    let kernel = conv::kernel(importer, call.inputs[1], op.kernel_format, op.group);
    let spatial = importer.build.shape(data)[2..].to_vec();
    let (strides, dilations) = (spec.strides().to_vec(), spec.dilations().to_vec());
    let geometry = spec
        .padding
        .compute_for_deconv(
            &spatial,
            &spec.kernel_shape,
            &dilations,
            &strides,
            &op.adjustments,
        )
        .map_err(|e| super::refusal(format!("{e:#}"), "give explicit paddings"))?;
    let before: Vec<usize> = geometry.iter().map(|d| d.pad_before).collect();
    let length: Vec<usize> = geometry.iter().map(|d| d.deconvoluted).collect();
    let extent: Vec<usize> = (0..spatial.len())
        .map(|a| (spec.kernel_shape[a] - 1) * dilations[a] + 1)
        .collect();
    let taps: Vec<usize> = extent
        .iter()
        .zip(&strides)
        .map(|(k, s)| k.div_ceil(*s))
        .collect();
    let blocks: Vec<usize> = (0..spatial.len())
        .map(|a| (before[a] + length[a]).div_ceil(strides[a]))
        .collect();

    let channels = call.shapes[0][if format.c_is_last() {
        call.shapes[0].len() - 1
    } else {
        format.has_n() as usize
    }];
    let phases: usize = strides.iter().product();
    let (bias, computed_bias) = conv::bias(importer, call.inputs[2], channels);
    let bias = importer.build.tensor(bias).expect("constant bias").clone();
    let bias = bias.data.iter().flat_map(|b| vec![*b; phases]).collect();
    let bias = importer
        .build
        .constant(Tensor::new(vec![channels * phases], bias));
    let kernel = match importer.build.tensor(kernel).cloned() {
        Some(tensor) => {
            let tensor = by_phase(&tensor, &strides, &dilations, &taps);
            importer.build.constant(tensor)
        }
        None => computed_by_phase(importer, kernel, &strides, &dilations, &taps)?,
    };

    let window = Window {
        kernel: taps.clone(),
        stride: vec![1; taps.len()],
        dilation: vec![1; taps.len()],
        pad_before: taps.iter().map(|t| t - 1).collect(),
    };
    let batch = importer.build.shape(data)[0];
    let shape = [&[batch, channels * phases], &blocks[..]].concat();
    let made = importer.build.push(
        Op::Convolution {
            window,
            groups: op.group,
        },
        vec![data, kernel, bias],
        shape,
    );
    let mut made = interleave(importer, made, channels, &strides);
    for axis in 0..spatial.len() {
        made = importer
            .build
            .slice(made, axis + 2, before[axis], length[axis], 1);
    }
    let made = conv::add_bias(importer, made, computed_bias);
    Ok(vec![conv::from_batch(importer, made, format)])
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
    importer: &mut Importer,
    kernel: NodeId,
    strides: &[usize],
    dilations: &[usize],
    taps: &[usize],
) -> Result<NodeId, Refusal> {
    let build = &mut importer.build;
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
fn interleave(importer: &mut Importer, x: NodeId, channels: usize, strides: &[usize]) -> NodeId {
    let shape = importer.build.shape(x);
    let (batch, blocks) = (shape[0], shape[2..].to_vec());
    let split = importer
        .build
        .reshape(x, &[&[batch, channels], strides, &blocks[..]].concat());
    let count = strides.len();
    let pairs = (0..count).flat_map(|a| [2 + count + a, 2 + a]);
    let moved = importer
        .build
        .transpose(split, &[0, 1].into_iter().chain(pairs).collect::<Vec<_>>());
    let lengths: Vec<usize> = blocks.iter().zip(strides).map(|(q, s)| q * s).collect();
    importer
        .build
        .reshape(moved, &[&[batch, channels], &lengths[..]].concat())
}
