//! Functions of each element, and the logarithm of a softmax.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Pointwise, UnaryFn};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("Celu", 12, celu),
    op("LogSoftmax", 1, log_softmax),
    op("SwiGLU", 28, swiglu),
    op("Swish", 24, swish),
];

/// `max(0, x) + min(0, alpha (exp(x / alpha) - 1))`.
fn celu(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let alpha = scope.float("alpha").unwrap_or(1.0);
    let number = Pointwise::Constant;
    let scaled = Pointwise::binary(BinaryFn::Div, Pointwise::Variable, number(alpha));
    let exponential = Pointwise::unary(UnaryFn::Exp, scaled);
    let below = Pointwise::binary(BinaryFn::Sub, exponential, number(1.0));
    let below = Pointwise::binary(BinaryFn::Mul, number(alpha), below);
    let negative = Pointwise::binary(BinaryFn::Min, below, number(0.0));
    let e = Pointwise::binary(BinaryFn::Add, Pointwise::of(UnaryFn::Relu), negative);
    Ok(vec![(scope.build.pointwise(e, x), scope.dtype(0))])
}

/// First opset in which `LogSoftmax` is along one axis; before, it is along all axes from there on.
const ALONG_ONE_AXIS: i64 = 13;

/// `LogSoftmax`: `x - ln(sum(exp(x)))`, which is right also where the softmax itself rounds to zero.
fn log_softmax(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let rank = scope.build.rank(x);
    if rank == 0 {
        return Err(refuse("its operand has no axes", "correct the model"));
    }
    let (default, one) = match scope.opset >= ALONG_ONE_AXIS {
        true => (-1, true),
        false => (1, false),
    };
    let first = Scope::position(scope.int("axis").unwrap_or(default), rank)?;
    let axes: Vec<usize> = (first..if one { first + 1 } else { rank }).collect();
    Ok(vec![(scope.build.log_softmax(x, &axes), scope.dtype(0))])
}

/// `SwiGLU`: `a sigmoid(alpha a) b`.
fn swiglu(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (gate, x) = (scope.operand(0)?, scope.operand(1)?);
    if scope.build.shape(gate) != scope.build.shape(x) {
        return Err(refuse(
            "its operands have different shapes",
            "correct the model",
        ));
    }
    let function = gated(scope);
    let opened = scope.build.pointwise(function, gate);
    Ok(vec![(scope.build.multiply(opened, x), scope.dtype(0))])
}

/// `Swish`: `x sigmoid(alpha x)`.
fn swish(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, function) = (scope.operand(0)?, gated(scope));
    Ok(vec![(scope.build.pointwise(function, x), scope.dtype(0))])
}

fn gated(scope: &Scope) -> Pointwise {
    let alpha = Pointwise::Constant(scope.float("alpha").unwrap_or(1.0));
    let inner = Pointwise::binary(BinaryFn::Mul, alpha, Pointwise::Variable);
    let gate = Pointwise::unary(UnaryFn::Sigmoid, inner);
    Pointwise::binary(BinaryFn::Mul, Pointwise::Variable, gate).simplify()
}
