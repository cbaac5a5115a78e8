//! Joining along an axis.

use tract_onnx::tract_core::ops::array::TypedConcat;

use crate::onnx::translate::{Call, Importer, Translated};

/// What has no elements adds nothing.
pub fn translate(importer: &mut Importer, call: &Call, op: &TypedConcat) -> Translated {
    let build = &mut importer.build;
    let mut parts = call.inputs.clone();
    parts.retain(|part| build.graph.nodes[*part].shape[op.axis] > 0);
    match parts.is_empty() {
        true => Ok(call.inputs[..1].to_vec()),
        false => Ok(vec![build.concat(parts, op.axis)]),
    }
}
