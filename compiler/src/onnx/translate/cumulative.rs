//! Linear maps along one axis, by their matrix.

use tract_onnx::tract_core::ops::array::CumSum;

use crate::graph::Tensor;
use crate::graph::limits::check_matrix;
use crate::onnx::translate::{Call, Importer, Translated};

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
    Ok(vec![importer.build.apply_matrix(
        call.inputs[0],
        op.axis,
        Tensor::new(vec![length, length], ones),
    )])
}
