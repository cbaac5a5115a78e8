//! Functions of each element.

use super::{Made, Scope};
use crate::graph::{BinaryFn, Pointwise, UnaryFn};
use crate::import::{Refusal, refusal};

/// `max(0, x) + min(0, alpha (exp(x / alpha) - 1))`.
pub(super) fn celu(scope: &mut Scope) -> Result<Vec<Made>, Refusal> {
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

/// `SwiGLU`: `a sigmoid(alpha a) b`.
pub(super) fn swiglu(scope: &mut Scope) -> Result<Vec<Made>, Refusal> {
    let (gate, x) = (scope.operand(0)?, scope.operand(1)?);
    if scope.build.shape(gate) != scope.build.shape(x) {
        return Err(refusal(
            "its operands have different shapes",
            "correct the model",
        ));
    }
    let alpha = Pointwise::Constant(scope.float("alpha").unwrap_or(1.0));
    let inner = Pointwise::binary(BinaryFn::Mul, alpha, Pointwise::Variable);
    let swish = Pointwise::binary(
        BinaryFn::Mul,
        Pointwise::Variable,
        Pointwise::unary(UnaryFn::Sigmoid, inner),
    );
    let opened = scope.build.pointwise(swish.simplify(), gate);
    Ok(vec![(scope.build.multiply(opened, x), scope.dtype(0))])
}
