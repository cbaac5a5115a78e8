//! Operators whose graph depends on values that are known: branches, loops, constants, optional operands.

pub(super) mod body;
mod constants;
mod flow;
mod optional;

use crate::onnx::decompose::registry::Operator;

/// Of each file.
pub(super) const OPERATORS: &[&[Operator]] =
    &[constants::OPERATORS, flow::OPERATORS, optional::OPERATORS];
