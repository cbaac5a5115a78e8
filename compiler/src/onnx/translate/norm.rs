//! Normalizations.

use tract_onnx::tract_core::ops::nn::RmsNorm;

use crate::graph::Op;
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Unchanged.
pub fn rms(importer: &mut Importer, call: &Call, op: &RmsNorm) -> Translated {
    let Ok(epsilon) = op.eps.cast_to_scalar::<f64>() else {
        return Err(refuse("its epsilon is not a number", "correct the model"));
    };
    let op = Op::RmsNorm {
        axis: op.axis,
        epsilon,
    };
    Ok(vec![importer.build.push(
        op,
        call.inputs.clone(),
        call.shapes[0].clone(),
    )])
}
