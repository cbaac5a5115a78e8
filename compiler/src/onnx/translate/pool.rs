//! Sliding averages.

use tract_onnx::tract_core::ops::cnn::{PoolSpec, SumPool};

use crate::graph::{BinaryFn, Op, Tensor, Window};
use crate::onnx::translate::{Call, Importer, Translated, conv};

/// Averages, and sums as averages times the kernel's volume.
pub fn sum(importer: &mut Importer, call: &Call, op: &SumPool) -> Translated {
    let spec = &op.pool_spec;
    let volume: usize = spec.kernel_shape.iter().product();
    if !op.normalize {
        let made = pool(importer, call, spec, |window| Op::AveragePool {
            window,
            count_padding: true,
        })?;
        return Ok(vec![importer.build.multiply_scalar(made[0], volume as f64)]);
    }
    let count_padding = op.count_include_pad;
    let made = pool(importer, call, spec, |window| Op::AveragePool {
        window,
        count_padding,
    })?;
    if !count_padding {
        return Ok(made);
    }
    overhang(importer, call, spec, made[0])
}

/// A last window that reaches beyond the padding is divided by the number of elements that lie within it: one factor for each position.
fn overhang(importer: &mut Importer, call: &Call, spec: &PoolSpec, x: usize) -> Translated {
    let input = conv::batch_shape(&importer.build.shape(call.inputs[0]), spec.data_format);
    let output = conv::batch_shape(&call.shapes[0], spec.data_format);
    let mut made = x;
    for (axis, dim) in spec.computed_padding(&input[2..]).iter().enumerate() {
        let padded = input[axis + 2] + dim.pad_before + dim.pad_after;
        let kernel = spec.kernel_shape[axis];
        let inside = |at: usize| {
            (0..kernel)
                .filter(|k| at * spec.stride(axis) + k * spec.dilation(axis) < padded)
                .count()
        };
        let factors: Vec<f64> = (0..output[axis + 2])
            .map(|at| kernel as f64 / inside(at) as f64)
            .collect();
        if factors.iter().any(|f| *f != 1.0) {
            let mut shape = vec![1; call.shapes[0].len()];
            shape[axis + spec.data_format.h_axis()] = factors.len();
            let factors = importer.build.constant(Tensor::new(shape, factors));
            made = importer.build.binary(BinaryFn::Mul, made, factors);
        }
    }
    Ok(vec![made])
}

fn pool(
    importer: &mut Importer,
    call: &Call,
    spec: &PoolSpec,
    op: impl FnOnce(Window) -> Op,
) -> Translated {
    let data = conv::to_batch(importer, call.inputs[0], spec.data_format);
    let window = conv::window(spec, &importer.build.shape(data)[2..]);
    let shape = conv::batch_shape(&call.shapes[0], spec.data_format);
    let made = importer.build.push(op(window), vec![data], shape);
    Ok(vec![conv::from_batch(importer, made, spec.data_format)])
}
