//! Operators whose graph depends on values that are known: branches, loops, constants, optional operands.

mod constants;
mod flow;
mod optional;

use crate::onnx::decompose::operator::Operator;

/// Of each file.
pub(super) const OPERATORS: &[&[Operator]] =
    &[constants::OPERATORS, flow::OPERATORS, optional::OPERATORS];
