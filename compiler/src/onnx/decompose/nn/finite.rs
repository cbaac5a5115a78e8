//! `IsNaN` and `IsInf`: what is proved is finite, so neither is ever true where no infinity is written into the model. An operand that becomes
//! one while the model runs has no proof.

use std::collections::HashSet;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::nn::Softmax;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph;
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("IsInf", 10, never).restricted(WHERE),
    op("IsNaN", 9, never).restricted(WHERE),
];

const WHERE: &str = "no infinities among the constants before it, but for masks of a softmax";

/// False everywhere.
fn never(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let shape = scope.build.shape(x);
    let constant = scope
        .build
        .tensor(x)
        .is_some_and(|t| t.data.iter().any(|v| !v.is_finite()));
    if constant {
        return Err(of_infinities());
    }
    let made = scope.build.constant(graph::Tensor::filled(shape, 0.0));
    Ok(vec![(made, bool::datum_type())])
}

fn of_infinities() -> Diagnostic {
    refuse(
        "a constant before it is infinite or not a number",
        "mask with a finite number, or leave the test out",
    )
}

/// Whether an operator tests for what is not finite.
pub(crate) fn is_test(operator: &str) -> bool {
    ["IsInf", "IsNaN"].contains(&operator)
}

/// Refuses to say that values are finite where a constant that they come from is not; a softmax has finite results.
pub(crate) fn check(
    operator: &str,
    model: &TypedModel,
    values: &[OutletId],
) -> Result<(), Diagnostic> {
    if !is_test(operator) {
        return Ok(());
    }
    let mut stack: Vec<OutletId> = values.to_vec();
    let mut seen = HashSet::new();
    while let Some(outlet) = stack.pop() {
        if !seen.insert(outlet) {
            continue;
        }
        let constant = model
            .outlet_fact(outlet)
            .ok()
            .and_then(|fact| fact.konst.clone());
        match constant {
            Some(tensor) if is_infinite(&tensor) => return Err(of_infinities()),
            Some(_) => {}
            None if model.node(outlet.node).op_is::<Softmax>() => {}
            None => stack.extend(&model.node(outlet.node).inputs),
        }
    }
    Ok(())
}

fn is_infinite(tensor: &Tensor) -> bool {
    let floats = tensor.datum_type().is_float();
    let wide = tensor.cast_to::<f64>().ok().filter(|_| floats);
    let values = wide
        .as_ref()
        .and_then(|wide| wide.to_plain_array_view::<f64>().ok());
    values.is_some_and(|values| values.iter().any(|v| !v.is_finite()))
}
