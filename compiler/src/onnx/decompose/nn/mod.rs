//! Operators of neural networks: activations, attention, recurrence, pooling, losses, training.

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod losses;
pub(crate) mod one_hot;
pub(crate) mod pooling;
pub(crate) mod ranking;
pub(crate) mod recurrent;
pub(crate) mod reductions;
pub(crate) mod stateful;
pub(crate) mod training;
