//! Operators on quantized tensors and on the bits of integers.

pub(crate) mod bits;
pub(crate) mod qlinear;
