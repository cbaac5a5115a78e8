//! Functions of each element.

use super::{Made, Scope};
use crate::graph::{BinaryFn, Pointwise, UnaryFn};
use crate::import::Refusal;

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
