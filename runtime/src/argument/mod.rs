//! The parts of the argument, each with its prover and its verifier: lookups, contractions, opening, inner products, folding, closing, and the schedule that
//! says what they are about.
//!
//! This room knows the statement, the witness and the transcript. It must not know keys, proofs as bytes, or the order in which its parts are
//! run: that is for `protocol` to say.

pub(crate) mod closing;
pub(crate) mod contraction;
pub(crate) mod folding;
pub(crate) mod inner_product;
pub mod logup;
pub(crate) mod opening;
pub mod schedule;
