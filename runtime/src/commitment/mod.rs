//! Pedersen commitments to rows of small integers, on BN254's G1: the one room that knows which group it is.
//!
//! A row `v` of at most `C` integers is committed as `sum_j v_j G_j + r H`, where `r` is secret and uniform if `v` is to be hidden, else zero. The
//! group has prime order (cofactor 1), so that a point on the curve is a point of the group.
//!
//! This room knows vectors and points. It must not know which of them a protocol commits to, or when.
//!
//! | file | what |
//! |---|---|
//! | `group` | which group, and what attacks on it cost |
//! | `generators` | `G_j`: hashed to the curve, nothing up the sleeve |
//! | `point` | affine points as the sums below hold them |
//! | `addition`, `addition_avx512` | many independent additions with one inversion: one, or eight, at a time |
//! | `batch_affine` | sums of many points as levels of independent additions |
//! | `commit` | rows of small integers by fixed generators (prover) |
//! | `fixed_base` | the generators by full-width scalars (prover) |
//! | `msm` | any points by full-width scalars (verifier) |
//! | `pedersen` | field elements with blinding (prover) |
//! | `encoding`, `roots_avx512` | 32 canonical bytes a point; square roots, eight at a time |

mod addition;
#[cfg(target_arch = "x86_64")]
mod addition_avx512;
mod batch_affine;
mod commit;
mod encoding;
mod fixed_base;
mod generators;
mod group;
mod msm;
mod pedersen;
mod point;
#[cfg(target_arch = "x86_64")]
mod roots_avx512;

pub use commit::commit_rows;
pub use encoding::{decode_point, decode_points, encode_point};
pub use fixed_base::combine_generators;
pub use generators::{Generators, blinding_generator, stored_are_hashed};
pub use group::{Attack, BEST_ATTACK, GENERIC_ATTACK, GROUP, GroupElement, GroupSum};
pub use msm::msm;
pub use pedersen::{add_all, blind, blind_all, commit_row};
