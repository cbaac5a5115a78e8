//! Axes added, removed, moved and reinterpreted.

use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::identity::Identity;

use crate::onnx::translate::{Call, Importer, Translated};

/// `Move` is a transposition; the others keep the elements in order.
pub fn translate(importer: &mut Importer, call: &Call, op: &AxisOp) -> Translated {
    let x = call.inputs[0];
    let shape = &call.shapes[0];
    let made = match op {
        AxisOp::Move(from, to) => {
            let mut permutation: Vec<usize> = (0..shape.len()).collect();
            let axis = permutation.remove(*from);
            permutation.insert(*to, axis);
            importer.build.transpose(x, &permutation)
        }
        AxisOp::Add(_) | AxisOp::Rm(_) | AxisOp::Reshape(..) => importer.build.reshape(x, shape),
    };
    Ok(vec![made])
}

/// Nothing.
pub fn identity(_: &mut Importer, call: &Call, _: &Identity) -> Translated {
    Ok(call.inputs.clone())
}
