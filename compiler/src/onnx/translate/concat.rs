//! Joining along an axis.

use tract_onnx::tract_core::ops::array::TypedConcat;

use crate::onnx::translate::{Call, Importer, Translated};

/// Unchanged.
pub fn translate(importer: &mut Importer, call: &Call, op: &TypedConcat) -> Translated {
    Ok(vec![importer.build.concat(call.inputs.clone(), op.axis)])
}
