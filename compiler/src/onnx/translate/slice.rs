//! Parts of an axis.

use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::ops::Downsample;
use tract_onnx::tract_core::ops::array::Slice;

use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Neighboring positions.
pub fn slice(importer: &mut Importer, call: &Call, op: &Slice) -> Translated {
    let Ok(start) = op.start.to_usize() else {
        return Err(refuse(
            format!("its start {} depends on the data", op.start),
            "make it a constant",
        ));
    };
    Ok(vec![importer.build.slice(
        call.inputs[0],
        op.axis,
        start,
        call.shapes[0][op.axis],
        1,
    )])
}

/// Positions at a distance; with a negative one, from the end.
pub fn downsample(importer: &mut Importer, call: &Call, op: &Downsample) -> Translated {
    let length = importer.build.shape(call.inputs[0])[op.axis];
    let start = if op.stride < 0 { length - 1 } else { op.modulo };
    Ok(vec![importer.build.slice(
        call.inputs[0],
        op.axis,
        start,
        call.shapes[0][op.axis],
        op.stride,
    )])
}
