//! The prover's integers: the columns of one execution, and the evaluation of accumulators over them.
//!
//! This room knows a model and its values. It must not know the field, challenges or commitments: what it computes is the same whether
//! it is proved or not.

pub mod accumulate;
pub mod trace;
