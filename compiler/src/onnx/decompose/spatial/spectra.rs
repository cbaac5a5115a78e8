//! Fourier transforms as constant matrices, and the constants that go with them: windows and mel filters.

use std::f64::consts::PI;

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_ELEMENTS, MOST_STEPS, check_matrix};
use crate::graph::{NodeId, Op, Tensor, Window};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("BlackmanWindow", 17, blackman).restricted("constant size"),
    op("DFT", 17, dft).restricted("constant axis and length"),
    op("HammingWindow", 17, hamming).restricted("constant size"),
    op("HannWindow", 17, hann).restricted("constant size"),
    op("MelWeightMatrix", 17, mel_weights).restricted("constant operands"),
    op("STFT", 17, stft).restricted("constant step, window and length"),
];

/// `[frequencies, 2, times, parts]`: real and imaginary part of `exp(-2 pi i k t / length)` times a signal of 1 or 2 parts.
fn forward(length: usize, times: usize, frequencies: usize, parts: usize) -> Tensor {
    let mut tensor = Tensor::filled(vec![frequencies, 2, times, parts], 0.0);
    for (flat, value) in tensor.data.iter_mut().enumerate() {
        let (part, rest) = (flat % parts, flat / parts);
        let (time, rest) = (rest % times, rest / times);
        let (side, frequency) = (rest % 2, rest / 2);
        let (sin, cos) = turn(frequency, time, length);
        *value = match (side, part) {
            (0, 0) | (1, 1) => cos,
            (0, _) => sin,
            _ => -sin,
        };
    }
    tensor
}

/// Sine and cosine of `2 pi k t / length`.
fn turn(k: usize, t: usize, length: usize) -> (f64, f64) {
    let angle = 2.0 * PI * (k as u128 * t as u128 % length as u128) as f64 / length as f64;
    (libm::sin(angle), libm::cos(angle))
}

/// `[times, 2, frequencies, parts]` of the inverse transform.
fn inverse(length: usize, frequencies: usize, parts: usize) -> Tensor {
    let mut tensor = forward(length, frequencies, length, parts);
    // Backwards, the turn is the other way round: sines change their sign.
    for (flat, value) in tensor.data.iter_mut().enumerate() {
        let (part, side) = (flat % parts, flat / parts / frequencies % 2);
        let sign = if part == side { 1.0 } else { -1.0 };
        *value *= sign / length as f64;
    }
    tensor
}

/// `[times, 1, frequencies, parts]`: the real signal whose spectrum has these frequencies and their mirror images.
fn inverse_one_sided(length: usize, frequencies: usize, parts: usize) -> Tensor {
    let mut tensor = Tensor::filled(vec![length, 1, frequencies, parts], 0.0);
    for (flat, value) in tensor.data.iter_mut().enumerate() {
        let (part, rest) = (flat % parts, flat / parts);
        let (frequency, time) = (rest % frequencies, rest / frequencies);
        let (sin, cos) = turn(frequency, time, length);
        let alone = frequency == 0 || 2 * frequency == length;
        let count = match (alone, 2 * frequency > length) {
            (_, true) => 0.0,
            (true, _) => 1.0,
            _ => 2.0,
        };
        *value = count / length as f64
            * match (part, alone) {
                (0, _) => cos,
                (_, true) => 0.0,
                _ => -sin,
            };
    }
    tensor
}

fn dft(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let shape = scope.build.shape(x);
    let rank = shape.len();
    let parts = shape.last().copied().unwrap_or(0);
    let given = |values: Option<Vec<i64>>| values.and_then(|v| v.first().copied());
    let axis = match scope.opset {
        ..20 => Some(scope.int("axis").unwrap_or(1)),
        _ => given(scope.constant_ints(2)?),
    };
    let axis = Scope::position(axis.unwrap_or(-2), rank)?;
    if rank < 2 || axis == rank - 1 || !(1..=2).contains(&parts) {
        return Err(refuse(
            "its last axis does not hold real and imaginary parts",
            "correct the model",
        ));
    }
    let one_sided = scope.int("onesided").unwrap_or(0) != 0;
    let backwards = scope.int("inverse").unwrap_or(0) != 0;
    let own = if one_sided && backwards {
        2 * (shape[axis] - 1)
    } else {
        shape[axis]
    };
    let length = given(scope.constant_ints(1)?).unwrap_or(own as i64);
    let length = usize::try_from(length).ok().filter(|n| *n > 0);
    let length = length.ok_or_else(|| refuse("its length is not positive", "correct the model"))?;
    let halves = length / 2 + 1;
    let used = if one_sided && backwards {
        shape[axis].min(halves)
    } else {
        shape[axis].min(length)
    };
    let sides = if one_sided && backwards { 1 } else { 2 };
    check_matrix(length.saturating_mul(sides), used * parts)?;
    let matrix = match (backwards, one_sided) {
        (false, false) => forward(length, used, length, parts),
        (false, true) => forward(length, used, halves, parts),
        (true, false) => inverse(length, used, parts),
        (true, true) => inverse_one_sided(length, used, parts),
    };
    let build = &mut scope.build;
    let x = build.slice(x, axis, 0, used, 1);
    let made = [
        &shape[..axis],
        &matrix.shape[..1],
        &shape[axis + 1..rank - 1],
        &matrix.shape[1..2],
    ];
    let made = made.concat();
    let matrix = build.constant(matrix);
    let labels = |axis_label: u8, part_label: u8| {
        let mut labels: Vec<u8> = (0..rank as u8).collect();
        (labels[axis], labels[rank - 1]) = (axis_label, part_label);
        labels
    };
    let [k, side, t, part] = [0, 1, 2, 3].map(|i| rank as u8 + i);
    let op = Op::Einsum {
        inputs: vec![labels(t, part), vec![k, side, t, part]],
        output: labels(k, side),
    };
    Ok(vec![(build.push(op, vec![x, matrix], made), dtype)])
}

/// The transforms of frames of a signal `[batch, time, parts]`, each times a window: `[batch, frames, frequencies, 2]`.
fn stft(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let mut shape = scope.build.shape(x);
    if shape.len() == 2 {
        shape.push(1);
    }
    let wrong = || refuse("its frames do not fit into its signal", "correct the model");
    let &[batch, time, parts] = &shape[..] else {
        return Err(wrong());
    };
    let window = scope.optional(2);
    let window_shape = window.map(|w| scope.build.shape(w));
    let number = |values: Option<Vec<i64>>| {
        let value = values.and_then(|v| v.first().copied());
        value.map(|n| usize::try_from(n).unwrap_or(0))
    };
    let step = number(scope.constant_ints(1)?).unwrap_or(0);
    let length = number(scope.constant_ints(3)?);
    let length = length
        .or_else(|| {
            window_shape
                .as_ref()
                .and_then(|shape| shape.first().copied())
        })
        .unwrap_or(time);
    if step == 0
        || !(1..=time).contains(&length)
        || !(1..=2).contains(&parts)
        || window_shape.is_some_and(|shape| shape != [length])
    {
        return Err(wrong());
    }
    let frames = 1 + (time - length) / step;
    let frequencies = match scope.int("onesided").unwrap_or(1) {
        0 => length,
        _ => length / 2 + 1,
    };
    check_matrix(2 * frequencies, length * parts)?;
    let build = &mut scope.build;
    let signal = build.reshape(x, &shape);
    let matrix = build.constant(forward(length, length, frequencies, parts));
    let weighted = match window {
        None => matrix,
        Some(window) => build.einsum("kstp,t->kstp", &[matrix, window]),
    };
    let made = if build.tensor(weighted).is_some() {
        convolved(build, signal, weighted, step, frames)
    } else {
        if frames > MOST_STEPS {
            return Err(refuse("it has too many frames", "make its window constant"));
        }
        let frame = |i: usize| {
            let frame = build.slice(signal, 1, i * step, length, 1);
            build.reshape(frame, &[batch, 1, length, parts])
        };
        let cut: Vec<NodeId> = (0..frames).map(frame).collect();
        let cut = build.concat(cut, 1);
        build.einsum("bftp,kstp->bfks", &[cut, weighted])
    };
    Ok(vec![(made, dtype)])
}

/// The product of each frame of a signal `[batch, time, parts]` with a constant matrix `[frequencies, 2, length, parts]`: a convolution whose
/// channels are frequencies and sides.
fn convolved(
    build: &mut Builder,
    signal: NodeId,
    matrix: NodeId,
    step: usize,
    frames: usize,
) -> NodeId {
    let batch = build.shape(signal)[0];
    let of = build.shape(matrix);
    let [frequencies, length, parts] = [of[0], of[2], of[3]];
    let kernel = build.transpose(matrix, &[0, 1, 3, 2]);
    let kernel = build.reshape(kernel, &[2 * frequencies, parts, length]);
    let bias = build.constant(Tensor::filled(vec![2 * frequencies], 0.0));
    let data = build.transpose(signal, &[0, 2, 1]);
    let window = Window {
        kernel: vec![length],
        stride: vec![step],
        dilation: vec![1],
        pad_before: vec![0],
    };
    let op = Op::Convolution { window, groups: 1 };
    let made = vec![batch, 2 * frequencies, frames];
    let made = build.push(op, vec![data, kernel, bias], made);
    let made = build.reshape(made, &[batch, frequencies, 2, frames]);
    build.transpose(made, &[0, 3, 1, 2])
}

/// Constants of element type `output_datatype`.
fn constants(scope: &mut Scope, tensor: Tensor) -> Result<Vec<TypedValue>, Diagnostic> {
    let dtype = match scope.int("output_datatype").unwrap_or(1) {
        1 => DatumType::F32,
        10 => DatumType::F16,
        11 => DatumType::F64,
        _ => {
            return Err(refuse(
                "its result is rounded to integers",
                "use a float `output_datatype`",
            ));
        }
    };
    Ok(vec![(scope.build.constant(tensor), dtype)])
}

/// `sum of c_i cos(2 pi i n / period)` for as many `n` as the operand says.
fn cosines(scope: &mut Scope, coefficients: &[f64]) -> Result<Vec<TypedValue>, Diagnostic> {
    let size = scope.constant_ints(0)?.and_then(|v| v.first().copied());
    let size = size.unwrap_or(0);
    if !(1..=MOST_ELEMENTS as i64).contains(&size) {
        return Err(refuse("its size is not positive", "correct the model"));
    }
    let periodic = scope.int("periodic").unwrap_or(1) != 0;
    if !periodic && size == 1 {
        return Err(refuse(
            "a symmetric window of length 1 has no period",
            "use a constant 1",
        ));
    }
    let period = (if periodic { size } else { size - 1 }) as f64;
    let value = |n: i64| {
        let turn = 2.0 * PI * n as f64 / period;
        let terms = coefficients.iter().enumerate();
        terms.map(|(i, c)| c * libm::cos(i as f64 * turn)).sum()
    };
    let data = (0..size).map(value).collect();
    constants(scope, Tensor::new(vec![size as usize], data))
}

fn hann(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    cosines(scope, &[0.5, -0.5])
}

fn hamming(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    cosines(scope, &[25.0 / 46.0, -21.0 / 46.0])
}

fn blackman(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    cosines(scope, &[0.42, -0.5, 0.08])
}

/// Triangular filters `[frequencies, bins]`, equally wide on the mel scale.
fn mel_weights(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut given = [0.0; 5];
    for (i, given) in given.iter_mut().enumerate() {
        *given = scope
            .constant(i)?
            .and_then(|t| t.data.first().copied())
            .unwrap_or(0.0);
    }
    let [bins, length, rate, low, high] = given;
    let most = MOST_ELEMENTS as f64;
    if !(1.0..=most).contains(&bins) || !(1.0..=most).contains(&length) || rate <= 0.0 {
        return Err(refuse("its operands are not positive", "correct the model"));
    }
    let (bins, frequencies) = (bins as usize, length as usize / 2 + 1);
    check_matrix(frequencies, bins)?;
    let mel = |hertz: f64| 2595.0 * libm::log1p(hertz / 700.0) / libm::log(10.0);
    let step = (mel(high) - mel(low)) / (bins + 2) as f64;
    let edge = |i: usize| {
        let hertz = 700.0 * libm::expm1((i as f64 * step + mel(low)) / 2595.0 * libm::log(10.0));
        ((length + 1.0) * hertz / rate).floor()
    };
    let edges: Vec<f64> = (0..bins + 2).map(edge).collect();
    let mut weights = Tensor::filled(vec![frequencies, bins], 0.0);
    for (bin, edges) in edges.windows(3).enumerate() {
        let &[left, center, right] = edges else {
            continue;
        };
        if left < 0.0 || right > frequencies as f64 || center >= frequencies as f64 {
            return Err(refuse(
                "a filter reaches beyond the frequencies",
                "use lower edges or a higher sample rate",
            ));
        }
        for at in 0..frequencies {
            let x = at as f64;
            weights.data[at * bins + bin] = if x >= center && x < right {
                (right - x) / (right - center)
            } else if x == center {
                1.0
            } else if x >= left && x < center {
                (x - left) / (center - left)
            } else {
                0.0
            };
        }
    }
    constants(scope, weights)
}
