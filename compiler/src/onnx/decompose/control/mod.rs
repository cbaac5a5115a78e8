//! Operators whose graph depends on known values: branches, loops, constants, optional operands.

mod constants;
mod flow;
mod optional;

use crate::onnx::decompose::operator::Operator;

/// The operators of each file.
pub(super) const OPERATORS: &[&[Operator]] =
    &[constants::OPERATORS, flow::OPERATORS, optional::OPERATORS];
