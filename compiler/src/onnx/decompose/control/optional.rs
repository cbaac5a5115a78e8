//! Optional values that are plain tensors, or absent.

use tract_onnx::prelude::*;

use crate::diagnostic::Diagnostic;
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("OptionalGetElement", 15, get_element).restricted("plain tensors"),
    op("OptionalHasElement", 15, has_element).restricted("plain tensors"),
];

/// `OptionalHasElement`: whether there is an operand.
fn has_element(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let has = f64::from(scope.optional(0).is_some());
    Ok(vec![(scope.build.scalar(has, 0), bool::datum_type())])
}

/// `OptionalGetElement`: the operand.
fn get_element(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    Ok(vec![(scope.operand(0)?, scope.dtype(0))])
}
