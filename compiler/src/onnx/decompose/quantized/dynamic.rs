//! Quantization whose scale comes of the data.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::Diagnostic;
use crate::graph::{BinaryFn, Pointwise, Reducer, Rounding};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::quantized::qlinear::clamp;
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] =
    &[op("DynamicQuantizeLinear", 11, dynamic).restricted("its integers not as an output")];

/// `DynamicQuantizeLinear`: integers from 0 to 255, with the scale and the zero point that cover the range of the data.
pub(in crate::onnx::decompose) fn dynamic(
    scope: &mut Scope,
) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let build = &mut scope.build;
    let rank = build.rank(x);
    let axes: Vec<usize> = (0..rank).collect();
    let limit = |f| Pointwise::binary(f, Pointwise::Variable, Pointwise::Constant(0.0));
    let least = build.reduce(Reducer::Min, &axes, x);
    let least = build.pointwise(limit(BinaryFn::Min), least);
    let greatest = build.reduce(Reducer::Max, &axes, x);
    let greatest = build.pointwise(limit(BinaryFn::Max), greatest);
    let span = build.binary(BinaryFn::Sub, greatest, least);
    let scale = build.multiply_scalar(span, 1.0 / 255.0);
    let floor = Pointwise::binary(
        BinaryFn::Max,
        Pointwise::Variable,
        Pointwise::Constant(1e-30),
    );
    let inverse = Pointwise::binary(BinaryFn::Div, Pointwise::Constant(255.0), floor);
    let inverse = build.pointwise(inverse, span);
    let below = build.binary(BinaryFn::Mul, least, inverse);
    let below = build.multiply_scalar(below, -1.0);
    let [one, none] = [1.0, 0.0].map(|value| build.scalar(value, rank));
    let zero = build.rescale(below, [one, none], Rounding::Even, (0.0, 255.0));
    let steps = build.binary(BinaryFn::Mul, x, inverse);
    let [one, none] = [1.0, 0.0].map(|value| build.scalar(value, rank));
    let steps = build.rescale(steps, [one, none], Rounding::Even, (-255.0, 255.0));
    let sum = build.binary(BinaryFn::Add, steps, zero);
    let made = build.pointwise(clamp(0.0, 255.0), sum);
    let (scale, zero) = (build.reshape(scale, &[]), build.reshape(zero, &[]));
    Ok(vec![
        (made, DatumType::U8),
        (scale, DatumType::F32),
        (zero, DatumType::U8),
    ])
}
