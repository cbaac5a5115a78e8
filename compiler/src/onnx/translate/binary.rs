//! Functions of two tensors.

use tract_onnx::prelude::DatumType;
use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::{logic, math};

use crate::graph::{BinaryFn, NodeId, Pointwise, UnaryFn};
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Arithmetic as it is, logic as arithmetic of 0 and 1, comparisons by the sign of a difference.
pub fn translate(importer: &mut Importer, call: &Call, op: &TypedBinOp) -> Translated {
    let mini = &op.0;
    let (a, b) = (call.inputs[0], call.inputs[1]);
    let integer = call.dtypes[0].is_integer();
    let made = if mini.is::<math::Add>() {
        importer.build.binary(BinaryFn::Add, a, b)
    } else if mini.is::<math::Sub>() {
        importer.build.binary(BinaryFn::Sub, a, b)
    } else if mini.is::<math::SubF>() {
        importer.build.binary(BinaryFn::Sub, b, a)
    } else if mini.is::<math::Mul>()
        || mini.is::<logic::And>()
        || is_boolean::<logic::BitAnd>(call, op)
    {
        importer.build.binary(BinaryFn::Mul, a, b)
    } else if mini.is::<math::Max>()
        || mini.is::<logic::Or>()
        || is_boolean::<logic::BitOr>(call, op)
    {
        importer.build.binary(BinaryFn::Max, a, b)
    } else if mini.is::<math::Min>() {
        importer.build.binary(BinaryFn::Min, a, b)
    } else if mini.is::<logic::Xor>() || is_boolean::<logic::BitXor>(call, op) {
        let difference = importer.build.binary(BinaryFn::Sub, a, b);
        importer
            .build
            .pointwise(Pointwise::of(UnaryFn::Square), difference)
    } else if mini.is::<math::Pow>() {
        importer.build.binary(BinaryFn::Pow, a, b)
    } else if mini.is::<math::Div>() {
        if integer {
            importer.build.truncated_quotient(a, b)
        } else {
            importer.build.binary(BinaryFn::Div, a, b)
        }
    } else if mini.is::<math::Rem>() {
        if integer {
            importer.build.truncated_remainder(a, b)
        } else {
            remainder(importer, a, b)
        }
    } else if mini.is::<math::ShiftLeft>() || mini.is::<math::ShiftRight>() {
        let two = importer.build.scalar(2.0, call.shapes[0].len());
        let power = importer.build.binary(BinaryFn::Pow, two, b);
        if mini.is::<math::ShiftLeft>() {
            importer.build.binary(BinaryFn::Mul, a, power)
        } else {
            importer.build.binary(BinaryFn::FloorDiv, a, power)
        }
    } else {
        return comparison(importer, call, op);
    };
    Ok(vec![made])
}

fn is_boolean<T: BinMiniOp>(call: &Call, op: &TypedBinOp) -> bool {
    call.dtypes[0] == DatumType::Bool && op.0.is::<T>()
}

/// `a - b * truncate(a / b)` of floats: the sign is the dividend's.
fn remainder(importer: &mut Importer, a: NodeId, b: NodeId) -> NodeId {
    let build = &mut importer.build;
    let quotient = build.binary(BinaryFn::Div, a, b);
    let whole = build.pointwise(Pointwise::truncate(Pointwise::Variable), quotient);
    let multiple = build.binary(BinaryFn::Mul, whole, b);
    build.binary(BinaryFn::Sub, a, multiple)
}

/// Which sign of `a - b` makes a comparison true, and whether to negate.
enum SignTest {
    Positive { negated: bool },
    Negative { negated: bool },
    Zero { negated: bool },
}

fn comparison(importer: &mut Importer, call: &Call, op: &TypedBinOp) -> Translated {
    let mini = &op.0;
    let test = if mini.is::<logic::CompGT>() {
        SignTest::Positive { negated: false }
    } else if mini.is::<logic::CompLTE>() {
        SignTest::Positive { negated: true }
    } else if mini.is::<logic::CompLT>() {
        SignTest::Negative { negated: false }
    } else if mini.is::<logic::CompGTE>() {
        SignTest::Negative { negated: true }
    } else if mini.is::<logic::CompNE>() {
        SignTest::Zero { negated: true }
    } else if mini.is::<logic::CompEq>() {
        SignTest::Zero { negated: false }
    } else {
        return Err(refuse(
            "this operator is not supported",
            "express it with arithmetic",
        ));
    };
    let (a, b) = (call.inputs[0], call.inputs[1]);
    let difference = importer.build.binary(BinaryFn::Sub, a, b);
    let (e, negated) = match test {
        SignTest::Positive { negated } => (Pointwise::step(Pointwise::Variable), negated),
        SignTest::Negative { negated } => (Pointwise::step(Pointwise::of(UnaryFn::Neg)), negated),
        SignTest::Zero { negated } => (
            Pointwise::unary(UnaryFn::Square, Pointwise::of(UnaryFn::Sign)),
            !negated,
        ),
    };
    let e = if negated {
        Pointwise::binary(BinaryFn::Sub, Pointwise::Constant(1.0), e)
    } else {
        e
    };
    Ok(vec![importer.build.pointwise(e, difference)])
}
