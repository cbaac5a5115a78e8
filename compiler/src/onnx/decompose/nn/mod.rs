//! Operators of neural networks: activations, attention, recurrence, pooling, losses, training.

mod activations;
pub(super) mod attention;
pub(super) mod finite;
mod losses;
mod one_hot;
mod pooling;
pub(super) mod ranking;
mod recurrent;
pub(super) mod reductions;
mod stateful;
mod training;

use crate::onnx::decompose::operator::Operator;

/// The operators of each file.
pub(super) const OPERATORS: &[&[Operator]] = &[
    activations::OPERATORS,
    attention::OPERATORS,
    finite::OPERATORS,
    losses::OPERATORS,
    one_hot::OPERATORS,
    pooling::OPERATORS,
    ranking::OPERATORS,
    recurrent::OPERATORS,
    reductions::OPERATORS,
    stateful::OPERATORS,
    training::OPERATORS,
];
