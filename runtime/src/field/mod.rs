//! BN254 scalar field and its small-integer kernels.

pub use ark_bn254::Fr;
