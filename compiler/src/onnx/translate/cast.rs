//! Element types: our values are reals, so only casts that change values do something.

use tract_onnx::prelude::DatumType;
use tract_onnx::tract_core::ops::cast::Cast;

use crate::graph::{Pointwise, UnaryFn};
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Floats to integers truncate; anything to booleans tests for zero; the rest keeps values. Integer types do not wrap here:
/// that a value fits is up to the model.
pub fn translate(importer: &mut Importer, call: &Call, op: &Cast) -> Translated {
    let (from, to) = (call.dtypes[0], op.to);
    let x = call.inputs[0];
    let is_number = |t: DatumType| {
        t.is_number() && !t.is_quantized() || t == DatumType::Bool || t == DatumType::TDim
    };
    if !is_number(from) || !is_number(to) {
        return Err(refuse(
            format!("it casts {from:?} to {to:?}"),
            "export the model in floats",
        ));
    }
    let made = if to == DatumType::Bool && from != DatumType::Bool {
        importer.build.pointwise(
            Pointwise::unary(UnaryFn::Square, Pointwise::of(UnaryFn::Sign)),
            x,
        )
    } else if from.is_float() && !to.is_float() {
        importer
            .build
            .pointwise(Pointwise::truncate(Pointwise::Variable), x)
    } else {
        x
    };
    Ok(vec![made])
}
