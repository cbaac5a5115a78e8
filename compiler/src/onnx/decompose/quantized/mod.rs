//! Operators on quantized tensors and on the bits of integers.

mod bits;
pub(super) mod dynamic;
pub(super) mod qlinear;

use crate::onnx::decompose::operator::Operator;

/// The operators of each file.
pub(super) const OPERATORS: &[&[Operator]] =
    &[bits::OPERATORS, dynamic::OPERATORS, qlinear::OPERATORS];
