//! Linear maps along one axis, by their matrix.

use tract_onnx::tract_core::ops::array::CumSum;
use tract_onnx::tract_core::ops::nn::Resize;

use super::{Call, Importer, Translated};
use crate::graph::{Op, Tensor};
use crate::import::limits::check_matrix;

/// A triangle of ones.
pub fn cumulative_sum(importer: &mut Importer, call: &Call, op: &CumSum) -> Translated {
    let length = call.shapes[0][op.axis];
    check_matrix(length, length)?;
    let takes = |to: usize, from: usize| {
        let (early, late) = if op.reverse { (to, from) } else { (from, to) };
        early < late || early == late && !op.exclusive
    };
    let ones = (0..length * length)
        .map(|i| takes(i / length, i % length) as u8 as f64)
        .collect();
    Ok(vec![importer.build.matrix(
        call.inputs[0],
        op.axis,
        Tensor::new(vec![length, length], ones),
    )])
}

/// Resampling of each axis. Where every output is one input it is a `Gather`.
pub fn resize(importer: &mut Importer, call: &Call, op: &Resize) -> Translated {
    let mut x = call.inputs[0];
    let scales = op
        .optional_scales_input
        .and_then(|i| importer.build.tensor(call.inputs[i]).cloned());
    for (axis, &to) in call.shapes[0].iter().enumerate() {
        let mut shape = importer.build.shape(x);
        let from = shape[axis];
        let given = scales
            .as_ref()
            .filter(|s| s.data.len() == shape.len())
            .map(|s| s.data[axis] as f32);
        let scale = given.unwrap_or(to as f32 / from as f32);
        if from == to && scale == 1.0 {
            continue;
        }
        check_matrix(to, from)?;
        let plan = op.plan_axis(scale, from, to);
        let mut matrix = Tensor::filled(vec![to, from], 0.0);
        for (tap, (index, weight)) in plan.indices.iter().zip(&plan.weights).enumerate() {
            matrix.data[tap / plan.window * from + index] += *weight as f64;
        }
        let single = |row: &[f64]| {
            row.iter()
                .position(|w| *w == 1.0)
                .filter(|_| row.iter().sum::<f64>() == 1.0)
        };
        let picks: Option<Vec<f64>> = matrix
            .data
            .chunks(from)
            .map(|row| single(row).map(|i| i as f64))
            .collect();
        x = match picks {
            Some(picks) => {
                shape[axis] = to;
                let picks = importer.build.constant(Tensor::new(vec![to], picks));
                importer
                    .build
                    .push(Op::Gather { axis }, vec![x, picks], shape)
            }
            None => importer.build.matrix(x, axis, matrix),
        };
    }
    Ok(vec![x])
}
