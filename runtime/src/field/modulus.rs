//! The two fields of the group in `commitment`, which alone says what group that is: scalars, and coordinates of points.

#[cfg(any(test, target_arch = "x86_64"))]
pub use ark_bn254::FqConfig;
pub use ark_bn254::{Fr, FrConfig};
