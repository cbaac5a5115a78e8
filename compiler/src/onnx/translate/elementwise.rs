//! Functions of each element.

use tract_onnx::prelude::DatumType;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::{logic, math, nn, quant};

use crate::graph::{BinaryFn, Pointwise, UnaryFn};
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Our name for one of tract's functions without parameters, if there is one.
fn named(op: &ElementWiseOp) -> Option<UnaryFn> {
    macro_rules! table {
        ($($tract:ty => $ours:ident,)*) => {$(
            if op.0.is::<$tract>() {
                return Some(UnaryFn::$ours);
            }
        )*};
    }
    table! {
        math::Abs => Abs,
        math::Exp => Exp,
        math::Ln => Ln,
        math::Square => Square,
        math::Sqrt => Sqrt,
        math::Recip => Recip,
        math::Rsqrt => Rsqrt,
        math::Ceil => Ceil,
        math::Floor => Floor,
        math::RoundHalfToEven => Round,
        math::Cos => Cos,
        math::Sin => Sin,
        math::Tan => Tan,
        math::Acos => Acos,
        math::Asin => Asin,
        math::Atan => Atan,
        math::Cosh => Cosh,
        math::Sinh => Sinh,
        math::Tanh => Tanh,
        math::Erf => Erf,
        math::Acosh => Acosh,
        math::Asinh => Asinh,
        math::Atanh => Atanh,
        math::Neg => Neg,
        math::Sign => Sign,
        nn::Sigmoid => Sigmoid,
        nn::HardSwish => HardSwish,
        nn::Silu => Silu,
        nn::GeluExact => Gelu,
    }
    None
}

/// Named functions, and expressions for those with parameters.
pub fn translate(importer: &mut Importer, call: &Call, op: &ElementWiseOp) -> Translated {
    let expression = named(op)
        .map(Pointwise::of)
        .or_else(|| with_parameters(op, call.dtypes[0]));
    let Some(expression) = expression else {
        return Err(refuse(
            "this function is not supported",
            "express it with other functions",
        ));
    };
    Ok(vec![importer.build.pointwise(expression, call.inputs[0])])
}

fn with_parameters(op: &ElementWiseOp, dtype: DatumType) -> Option<Pointwise> {
    use BinaryFn::{Add, Max, Min, Mul, Pow, Sub};
    let x = || Pointwise::Variable;
    let c = |value: f64| Pointwise::Constant(value);
    let binary = Pointwise::binary;
    if let Some(op) = op.0.downcast_ref::<math::PowConst>() {
        return Some(binary(Pow, x(), c(op.exponent as f64)));
    }
    if op.0.is::<math::Round>() {
        // Halves away from zero.
        let magnitude = binary(Add, Pointwise::of(UnaryFn::Abs), c(0.5));
        return Some(binary(
            Mul,
            Pointwise::of(UnaryFn::Sign),
            Pointwise::unary(UnaryFn::Floor, magnitude),
        ));
    }
    if let Some(op) = op.0.downcast_ref::<nn::LeakyRelu>() {
        let below = binary(Mul, c(op.alpha as f64), binary(Min, x(), c(0.0)));
        return Some(binary(Add, binary(Max, x(), c(0.0)), below));
    }
    if let Some(op) = op.0.downcast_ref::<nn::GeluApproximate>() {
        return Some(Pointwise::gelu_tanh(if op.fast_impl { 2.0 } else { 3.0 }));
    }
    if op.0.is::<logic::Not>() || op.0.is::<logic::BitNot>() && dtype == DatumType::Bool {
        return Some(binary(Sub, c(1.0), x()));
    }
    if let Some(op) = op.0.downcast_ref::<quant::QuantizeLinearU8>() {
        return Some(quantize(op.scale as f64, op.zero_point as f64, 0.0, 255.0));
    }
    let op = op.0.downcast_ref::<quant::QuantizeLinearI8>()?;
    Some(quantize(
        op.scale as f64,
        op.zero_point as f64,
        -128.0,
        127.0,
    ))
}

/// `(x - zero_point) * scale`.
pub fn dequantize(
    importer: &mut Importer,
    call: &Call,
    op: &quant::DequantizeLinearF32,
) -> Translated {
    let shifted = importer
        .build
        .add_scalar(call.inputs[0], -(op.zero_point as f64));
    Ok(vec![
        importer.build.multiply_scalar(shifted, op.scale as f64),
    ])
}

/// `clamp(round(x * scale) + zero_point)`.
fn quantize(scale: f64, zero_point: f64, least: f64, greatest: f64) -> Pointwise {
    let c = |value: f64| Pointwise::Constant(value);
    let scaled = Pointwise::binary(BinaryFn::Mul, Pointwise::Variable, c(scale));
    let shifted = Pointwise::binary(
        BinaryFn::Add,
        Pointwise::unary(UnaryFn::Round, scaled),
        c(zero_point),
    );
    let above = Pointwise::binary(BinaryFn::Max, shifted, c(least));
    Pointwise::binary(BinaryFn::Min, above, c(greatest))
}
