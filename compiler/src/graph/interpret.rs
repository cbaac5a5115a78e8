//! What our operators mean on real numbers: an evaluator of [`Graph`] in `f64`.
//!
//! It is the reference of the float semantics, and fills in ranges where the importer made values that the ONNX graph does
//! not have. It favors plain loops over speed.

use std::borrow::Cow;

use crate::graph::{BinaryFn, Graph, Node, Op, Pointwise, Reducer, Tensor, Window};

/// The values of all nodes for the given inputs, in the order of the graph's inputs.
///
/// # Panics
/// When the inputs are too few or of wrong shape, or the graph is malformed.
pub fn evaluate(graph: &Graph, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut values: Vec<Tensor> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let value = match &node.op {
            Op::Input(_) => {
                let position = graph
                    .inputs
                    .iter()
                    .position(|i| *i == id)
                    .expect("input is listed");
                inputs[position].clone()
            }
            _ => evaluate_node(
                node,
                &node.inputs.iter().map(|i| &values[*i]).collect::<Vec<_>>(),
            ),
        };
        assert_eq!(value.shape, node.shape, "shape of `{}`", node.name);
        values.push(value);
    }
    values
}

/// The graph's outputs for the given inputs; see [`evaluate`].
pub fn run(graph: &Graph, inputs: &[Tensor]) -> Vec<Tensor> {
    let values = evaluate(graph, inputs);
    graph
        .outputs
        .iter()
        .map(|(_, id)| values[*id].clone())
        .collect()
}

/// The value of one node that is not a model input, from its operands' values.
///
/// # Panics
/// When the operands do not fit the node.
pub fn evaluate_node(node: &Node, operands: &[&Tensor]) -> Tensor {
    let shape = &node.shape;
    match &node.op {
        Op::Input(_) => panic!("`{}` is an input and has no operands", node.name),
        Op::Constant(tensor) => tensor.clone(),
        Op::Einsum { inputs, output } => einsum(inputs, output, operands, shape),
        Op::Convolution { window, groups } => convolution(window, *groups, operands, shape),
        Op::Binary(f) => elementwise(operands, shape, |v: [f64; 2]| f.eval(v[0], v[1])),
        Op::Pointwise(e) => pointwise(e, operands[0]),
        Op::Reduce { reducer, axes } => reduce(*reducer, axes, operands[0]),
        Op::Softmax { axis, hidden } => softmax(&[*axis], &scores(hidden, operands)),
        Op::LogSumExp { axis, reach } => log_sum_exp(*axis, *reach, operands[0]),
        Op::MaximumMask { axis } => maximum_mask(*axis, operands[0]),
        Op::RmsNorm { axis, epsilon } => rms_norm(*axis, *epsilon, operands[0]),
        Op::Gather { axis } => gather(*axis, operands[0], operands[1], shape),
        Op::Rescale {
            rounding,
            least,
            greatest,
        } => elementwise(operands, shape, |v: [f64; 3]| {
            (rounding.eval_scaled(v[0] * v[1]) + v[2]).clamp(*least, *greatest)
        }),
        Op::Select => elementwise(operands, shape, select),
        Op::MaxPool(window) => pool(window, operands[0], shape, |values, _| {
            values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        }),
        Op::AveragePool {
            window,
            count_padding,
        } => pool(window, operands[0], shape, |values, kernel| {
            let count = if *count_padding { kernel } else { values.len() };
            values.iter().sum::<f64>() / count as f64
        }),
        Op::Reshape => Tensor::new(shape.clone(), operands[0].data.clone()),
        Op::Transpose { permutation } => {
            let strides = row_major(&operands[0].shape);
            read(
                operands[0],
                shape,
                0,
                permutation.iter().map(|p| strides[*p]).collect(),
            )
        }
        Op::Slice { axis, start, step } => {
            let mut strides = row_major(&operands[0].shape);
            let first = *start as isize * strides[*axis];
            strides[*axis] *= step;
            read(operands[0], shape, first, strides)
        }
        Op::Concat { axis } => concat(*axis, operands, shape),
        Op::Pad { before, value } => pad(before, *value, operands[0], shape),
        Op::Broadcast => read(
            operands[0],
            shape,
            0,
            broadcast_strides(&operands[0].shape, shape),
        ),
    }
}

/// Distances between neighbors along each axis.
fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    strides
}

/// Strides that repeat the axes of length 1 of a tensor of shape `from` to `to`.
fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<isize> {
    assert_eq!(from.len(), to.len(), "equal rank");
    let strides = row_major(from);
    (0..to.len())
        .map(|axis| if from[axis] == 1 { 0 } else { strides[axis] })
        .collect()
}

/// Calls `visit` with each operand's offset for each index of `shape`, in row-major order.
fn walk(
    shape: &[usize],
    starts: &[isize],
    strides: &[Vec<isize>],
    mut visit: impl FnMut(&[isize]),
) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    let mut offsets = starts.to_vec();
    loop {
        visit(&offsets);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < shape[axis] {
                offsets
                    .iter_mut()
                    .zip(strides)
                    .for_each(|(o, s)| *o += s[axis]);
                break;
            }
            let back = (shape[axis] - 1) as isize;
            offsets
                .iter_mut()
                .zip(strides)
                .for_each(|(o, s)| *o -= back * s[axis]);
            index[axis] = 0;
        }
    }
}

fn read(tensor: &Tensor, shape: &[usize], start: isize, strides: Vec<isize>) -> Tensor {
    let mut data = Vec::with_capacity(shape.iter().product());
    walk(shape, &[start], &[strides], |offset| {
        data.push(tensor.data[offset[0] as usize])
    });
    Tensor::new(shape.to_vec(), data)
}

fn elementwise<const N: usize>(
    operands: &[&Tensor],
    shape: &[usize],
    f: impl Fn([f64; N]) -> f64,
) -> Tensor {
    let strides: Vec<_> = operands
        .iter()
        .map(|t| broadcast_strides(&t.shape, shape))
        .collect();
    let mut data = Vec::with_capacity(shape.iter().product());
    walk(shape, &[0; N], &strides, |offsets| {
        data.push(f(std::array::from_fn(|i| {
            operands[i].data[offsets[i] as usize]
        })));
    });
    Tensor::new(shape.to_vec(), data)
}

fn pointwise(e: &Pointwise, x: &Tensor) -> Tensor {
    Tensor::new(x.shape.clone(), x.data.iter().map(|v| e.eval(*v)).collect())
}

fn einsum(labels: &[Vec<u8>], output: &[u8], operands: &[&Tensor], shape: &[usize]) -> Tensor {
    let mut summed: Vec<u8> = labels
        .iter()
        .flatten()
        .copied()
        .filter(|l| !output.contains(l))
        .collect();
    summed.sort_unstable();
    summed.dedup();
    let length = |label: u8| {
        let (operand, axis) = position(labels, label);
        operands[operand].shape[axis]
    };
    let sum_shape: Vec<usize> = summed.iter().map(|l| length(*l)).collect();
    let strides_for = |over: &[u8]| -> Vec<Vec<isize>> {
        labels
            .iter()
            .zip(operands)
            .map(|(own, tensor)| {
                let strides = row_major(&tensor.shape);
                over.iter()
                    .map(|l| {
                        own.iter()
                            .zip(&strides)
                            .filter(|(o, _)| *o == l)
                            .map(|(_, s)| s)
                            .sum()
                    })
                    .collect()
            })
            .collect()
    };
    let (out_strides, sum_strides) = (strides_for(output), strides_for(&summed));
    let mut data = Vec::with_capacity(shape.iter().product());
    walk(shape, &vec![0; operands.len()], &out_strides, |starts| {
        let mut sum = 0.0;
        walk(&sum_shape, starts, &sum_strides, |offsets| {
            sum += offsets
                .iter()
                .zip(operands)
                .map(|(o, t)| t.data[*o as usize])
                .product::<f64>();
        });
        data.push(sum);
    });
    Tensor::new(shape.to_vec(), data)
}

fn position(labels: &[Vec<u8>], label: u8) -> (usize, usize) {
    labels
        .iter()
        .enumerate()
        .find_map(|(operand, own)| {
            own.iter()
                .position(|l| *l == label)
                .map(|axis| (operand, axis))
        })
        .expect("every label occurs in an input")
}

/// Where the window of one output position reads its input: for each kernel element that lies inside, its row-major index in
/// the kernel and its offset in one channel.
fn window_reads(window: &Window, spatial: &[usize], at: &[usize]) -> Vec<(usize, usize)> {
    let mut reads = vec![(0, 0)];
    for axis in 0..spatial.len() {
        let mut longer = Vec::with_capacity(reads.len() * window.kernel[axis]);
        for &(k, offset) in &reads {
            for i in 0..window.kernel[axis] {
                let position = at[axis] * window.stride[axis] + i * window.dilation[axis];
                if let Some(p) = position
                    .checked_sub(window.pad_before[axis])
                    .filter(|p| *p < spatial[axis])
                {
                    longer.push((k * window.kernel[axis] + i, offset * spatial[axis] + p));
                }
            }
        }
        reads = longer;
    }
    reads
}

/// All indices of a shape, in row-major order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..shape.iter().product()).map(|mut flat: usize| {
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = flat % shape[axis];
            flat /= shape[axis];
        }
        index
    })
}

fn convolution(window: &Window, groups: usize, operands: &[&Tensor], shape: &[usize]) -> Tensor {
    let (data, kernel, bias) = (operands[0], operands[1], operands[2]);
    let (spatial, out_spatial) = (&data.shape[2..], &shape[2..]);
    let (volume, out_volume): (usize, usize) =
        (spatial.iter().product(), out_spatial.iter().product());
    let (in_channels, out_channels, group_inputs) = (data.shape[1], shape[1], kernel.shape[1]);
    let kernel_volume: usize = window.kernel.iter().product();
    let mut result = Tensor::filled(shape.to_vec(), 0.0);
    for (at, index) in indices(out_spatial).enumerate() {
        let reads = window_reads(window, spatial, &index);
        for n in 0..shape[0] {
            for o in 0..out_channels {
                let first = o / (out_channels / groups) * group_inputs;
                let mut sum = bias.data[o];
                for i in 0..group_inputs {
                    let weights =
                        &kernel.data[(o * group_inputs + i) * kernel_volume..][..kernel_volume];
                    let channel = &data.data[(n * in_channels + first + i) * volume..][..volume];
                    sum += reads
                        .iter()
                        .map(|(k, p)| weights[*k] * channel[*p])
                        .sum::<f64>();
                }
                result.data[(n * out_channels + o) * out_volume + at] = sum;
            }
        }
    }
    result
}

/// `combine` sees the values inside the tensor and the number of elements of the kernel.
fn pool(
    window: &Window,
    x: &Tensor,
    shape: &[usize],
    combine: impl Fn(&[f64], usize) -> f64,
) -> Tensor {
    let (spatial, out_spatial) = (&x.shape[2..], &shape[2..]);
    let (volume, out_volume): (usize, usize) =
        (spatial.iter().product(), out_spatial.iter().product());
    let mut result = Tensor::filled(shape.to_vec(), 0.0);
    for (at, index) in indices(out_spatial).enumerate() {
        let reads = window_reads(window, spatial, &index);
        for channel in 0..shape[0] * shape[1] {
            let values: Vec<f64> = reads
                .iter()
                .map(|(_, p)| x.data[channel * volume + p])
                .collect();
            result.data[channel * out_volume + at] =
                combine(&values, window.kernel.iter().product());
        }
    }
    result
}

/// The lines along the reduced axes: for each index of the kept axes, the offsets of its line.
fn lines(shape: &[usize], axes: &[usize]) -> Vec<Vec<usize>> {
    let strides = row_major(shape);
    let part = |inside: bool| -> Vec<usize> {
        (0..shape.len())
            .map(|a| {
                if axes.contains(&a) == inside {
                    shape[a]
                } else {
                    1
                }
            })
            .collect()
    };
    let mut result = Vec::new();
    walk(
        &part(false),
        &[0],
        std::slice::from_ref(&strides),
        |start| {
            let mut line = Vec::new();
            walk(
                &part(true),
                start,
                std::slice::from_ref(&strides),
                |offset| line.push(offset[0] as usize),
            );
            result.push(line);
        },
    );
    result
}

fn reduce(reducer: Reducer, axes: &[usize], x: &Tensor) -> Tensor {
    let shape = x
        .shape
        .iter()
        .enumerate()
        .map(|(a, n)| if axes.contains(&a) { 1 } else { *n })
        .collect();
    let data = lines(&x.shape, axes)
        .iter()
        .map(|line| {
            let values = line.iter().map(|o| x.data[*o]);
            match reducer {
                Reducer::Sum => values.sum(),
                Reducer::Mean => values.sum::<f64>() / line.len() as f64,
                Reducer::SumSquare => values.map(|v| v * v).sum(),
                Reducer::Max => values.fold(f64::NEG_INFINITY, f64::max),
                Reducer::Min => values.fold(f64::INFINITY, f64::min),
            }
        })
        .collect();
    Tensor::new(shape, data)
}

/// What a softmax is taken of: its operand, lowered in single precision where it is hidden.
fn scores<'t>(hidden: &[f64], operands: &[&'t Tensor]) -> Cow<'t, Tensor> {
    let [x, level] = operands else {
        return Cow::Borrowed(operands[0]);
    };
    let lowered = |[x, level]: [f64; 2]| match level as usize {
        0 => x,
        level => f64::from((x + hidden[level.min(hidden.len()) - 1]) as f32),
    };
    Cow::Owned(elementwise(&[*x, *level], &x.shape, lowered))
}

fn select(v: [f64; 3]) -> f64 {
    if v[0] != 0.0 { v[1] } else { v[2] }
}

fn maximum_mask(axis: usize, x: &Tensor) -> Tensor {
    let stride: usize = x.shape[axis + 1..].iter().product();
    let length = x.shape[axis];
    let mut mask = x.clone();
    for start in (0..x.data.len()).filter(|at| (at / stride).is_multiple_of(length)) {
        let row = || (0..length).map(move |i| start + i * stride);
        let greatest = row().map(|at| x.data[at]).fold(f64::NEG_INFINITY, f64::max);
        row().for_each(|at| mask.data[at] = f64::from(x.data[at] == greatest));
    }
    mask
}

/// Softmax over axes that are taken together.
pub fn softmax(axes: &[usize], x: &Tensor) -> Tensor {
    let mut result = x.clone();
    for line in lines(&x.shape, axes) {
        let (greatest, sum) = exponential_sum(line.iter().map(|o| x.data[*o]));
        line.iter()
            .for_each(|o| result.data[*o] = (x.data[*o] - greatest).exp() / sum);
    }
    result
}

fn log_sum_exp(axis: usize, reach: f64, x: &Tensor) -> Tensor {
    let mut shape = x.shape.clone();
    shape[axis] = 1;
    let lines = lines(&x.shape, &[axis]).into_iter();
    let data = lines.map(|line| {
        let (greatest, sum) = exponential_sum(line.iter().map(|o| x.data[*o]));
        match line.iter().any(|o| x.data[*o] < greatest - reach) {
            true => f64::NAN,
            false => greatest + sum.ln(),
        }
    });
    Tensor::new(shape, data.collect())
}

/// The maximum, and the sum of `exp(x - max)`.
fn exponential_sum(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let greatest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    (greatest, values.map(|v| (v - greatest).exp()).sum())
}

fn mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.map(|v| v * v).sum::<f64>() / count
}

fn rms_norm(axis: usize, epsilon: f64, x: &Tensor) -> Tensor {
    let mut result = x.clone();
    for line in lines(&x.shape, &[axis]) {
        let root = (mean_square(line.iter().map(|o| x.data[*o])) + epsilon).sqrt();
        line.iter().for_each(|o| result.data[*o] /= root);
    }
    result
}

/// What [`Node::stats`] collects: per kind of intermediate value, its values for these operands.
pub fn intermediate_values(op: &Op, operands: &[&Tensor]) -> Vec<Vec<f64>> {
    let operand = &*match op {
        Op::Softmax { hidden, .. } => scores(hidden, operands),
        _ => Cow::Borrowed(operands[0]),
    };
    let per_line = |axis: usize, f: &dyn Fn(Vec<f64>) -> f64| {
        let rows = lines(&operand.shape, &[axis]);
        vec![
            rows.iter()
                .map(|line| f(line.iter().map(|o| operand.data[*o]).collect()))
                .collect(),
        ]
    };
    match op {
        Op::Softmax { axis, .. } => per_line(*axis, &|row| exponential_sum(row.iter().copied()).1),
        Op::RmsNorm { axis, epsilon } => {
            per_line(*axis, &|row| mean_square(row.into_iter()) + epsilon)
        }
        Op::Binary(BinaryFn::Div) => vec![operands[1].data.iter().map(|v| v.abs()).collect()],
        _ => Vec::new(),
    }
}

fn gather(axis: usize, data: &Tensor, picked: &Tensor, shape: &[usize]) -> Tensor {
    let outer: usize = data.shape[..axis].iter().product();
    let inner: usize = data.shape[axis + 1..].iter().product();
    let length = data.shape[axis];
    let mut result = Vec::with_capacity(shape.iter().product());
    for o in 0..outer {
        for &i in &picked.data {
            let start = (o * length + i as usize) * inner;
            result.extend_from_slice(&data.data[start..start + inner]);
        }
    }
    Tensor::new(shape.to_vec(), result)
}

fn concat(axis: usize, operands: &[&Tensor], shape: &[usize]) -> Tensor {
    let outer: usize = shape[..axis].iter().product();
    let mut data = Vec::with_capacity(shape.iter().product());
    for o in 0..outer {
        for tensor in operands {
            let block: usize = tensor.shape[axis..].iter().product();
            data.extend_from_slice(&tensor.data[o * block..(o + 1) * block]);
        }
    }
    Tensor::new(shape.to_vec(), data)
}

fn pad(before: &[usize], value: f64, x: &Tensor, shape: &[usize]) -> Tensor {
    let mut result = Tensor::filled(shape.to_vec(), value);
    let strides = row_major(shape);
    let start: isize = before
        .iter()
        .zip(&strides)
        .map(|(b, s)| *b as isize * s)
        .sum();
    let mut elements = x.data.iter();
    walk(&x.shape, &[start], &[strides], |offset| {
        result.data[offset[0] as usize] = *elements.next().expect("as many as indices");
    });
    result
}
