//! Convolution, and the layouts of data and kernels that go with it.

use tract_onnx::tract_core::ops::cnn::conv::KernelFormat;
use tract_onnx::tract_core::ops::cnn::{Conv, PoolSpec};
use tract_onnx::tract_core::ops::nn::DataFormat;

use crate::graph::{BinaryFn, NodeId, Op, Tensor, Window};
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Data is brought to `[n, c, spatial...]` and back, the kernel to `[o, c/groups, spatial...]`.
pub fn translate(importer: &mut Importer, call: &Call, op: &Conv) -> Translated {
    if op.q_params.is_some() {
        return Err(refuse(
            "it computes in quantized integers",
            "export the float model; quantization is done here",
        ));
    }
    let format = op.pool_spec.data_format;
    let data = to_batch(importer, call.inputs[0], format);
    let kernel = kernel(importer, call.inputs[1], op.kernel_fmt, op.group);
    let shape = batch_shape(&call.shapes[0], format);
    let (bias, computed_bias) = bias(importer, call.inputs[2], shape[1]);
    let window = window(&op.pool_spec, &importer.build.shape(data)[2..]);
    let made = importer.build.push(
        Op::Convolution {
            window,
            groups: op.group,
        },
        vec![data, kernel, bias],
        shape,
    );
    let made = add_bias(importer, made, computed_bias);
    Ok(vec![from_batch(importer, made, format)])
}

/// A constant bias of one value a channel, and the bias to add where it is computed.
pub fn bias(importer: &mut Importer, bias: NodeId, channels: usize) -> (NodeId, Option<NodeId>) {
    match importer.build.tensor(bias).cloned() {
        Some(tensor) if tensor.data.len() == channels => {
            (importer.build.reshape(bias, &[channels]), None)
        }
        Some(tensor) => (
            importer
                .build
                .constant(Tensor::filled(vec![channels], tensor.data[0])),
            None,
        ),
        None => (
            importer.build.constant(Tensor::filled(vec![channels], 0.0)),
            Some(bias),
        ),
    }
}

/// Adds a computed bias to the channels of `[n, c, spatial...]`.
pub fn add_bias(importer: &mut Importer, x: NodeId, bias: Option<NodeId>) -> NodeId {
    let Some(bias) = bias else { return x };
    let mut shape = vec![1; importer.build.shape(x).len()];
    shape[1] = importer.build.graph.nodes[bias].volume();
    let bias = importer.build.reshape(bias, &shape);
    importer.build.binary(BinaryFn::Add, x, bias)
}

/// The window, padding resolved for the given spatial lengths.
pub fn window(spec: &PoolSpec, spatial: &[usize]) -> Window {
    Window {
        kernel: spec.kernel_shape.to_vec(),
        stride: spec.strides().to_vec(),
        dilation: spec.dilations().to_vec(),
        pad_before: spec
            .computed_padding(spatial)
            .iter()
            .map(|d| d.pad_before)
            .collect(),
    }
}

/// `[n, c, spatial...]` from a layout.
pub fn to_batch(importer: &mut Importer, x: NodeId, format: DataFormat) -> NodeId {
    let mut shape = importer.build.shape(x);
    if !format.has_n() {
        shape.insert(0, 1);
    }
    let x = importer.build.reshape(x, &shape);
    if !format.c_is_last() {
        return x;
    }
    let mut permutation: Vec<usize> = (0..shape.len()).collect();
    let channels = permutation.pop().expect("data has axes");
    permutation.insert(1, channels);
    importer.build.transpose(x, &permutation)
}

/// A layout from `[n, c, spatial...]`.
pub fn from_batch(importer: &mut Importer, x: NodeId, format: DataFormat) -> NodeId {
    let rank = importer.build.shape(x).len();
    let mut permutation: Vec<usize> = (0..rank).collect();
    if format.c_is_last() {
        let channels = permutation.remove(1);
        permutation.push(channels);
    }
    let x = importer.build.transpose(x, &permutation);
    let shape = importer.build.shape(x);
    importer
        .build
        .reshape(x, if format.has_n() { &shape } else { &shape[1..] })
}

/// `[n, c, spatial...]` of a shape in a layout.
pub fn batch_shape(shape: &[usize], format: DataFormat) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if !format.has_n() {
        shape.insert(0, 1);
    }
    if format.c_is_last() {
        let channels = shape.pop().expect("data has axes");
        shape.insert(1, channels);
    }
    shape
}

/// A kernel as `[o, c/groups, spatial...]`.
pub fn kernel(
    importer: &mut Importer,
    kernel: NodeId,
    format: KernelFormat,
    groups: usize,
) -> NodeId {
    let shape = importer.build.shape(kernel);
    let spatial = shape.len() - 2;
    // In all but OIHW the groups are the outer part of the input channels.
    let (input, output, first_spatial) = match format {
        KernelFormat::OIHW => return kernel,
        KernelFormat::HWIO => (spatial, spatial + 1, 0),
        KernelFormat::OHWI => (spatial + 1, 0, 1),
    };
    let mut split = shape.clone();
    split[input] = groups;
    split.insert(input + 1, shape[input] / groups);
    let after = |axis: usize| if axis > input { axis + 1 } else { axis };
    let mut permutation = vec![input, after(output), input + 1];
    permutation.extend((0..spatial).map(|s| after(first_spatial + s)));
    let mut merged = vec![groups * shape[output], shape[input] / groups];
    merged.extend(&shape[first_spatial..first_spatial + spatial]);
    let split = importer.build.reshape(kernel, &split);
    let moved = importer.build.transpose(split, &permutation);
    importer.build.reshape(moved, &merged)
}
