//! What generated modules share: tensors as nested arrays, reals as integers, keys on first use.

pub mod keys;
pub mod scale;
pub mod shown;
pub mod tensor;

#[cfg(test)]
mod tests;
