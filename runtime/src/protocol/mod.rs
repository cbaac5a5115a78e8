//! The argument, side by side: [`Prover`] and [`Verifier`] take the same steps in the same order.
//!
//! This room knows keys, statements and proofs as bytes, and in which order the parts of the argument are run. It must not know how a part works.
//!
//! | step | prover sends | challenges after it | gives |
//! |---|---|---|---|
//! | `start` | nothing; context, digest and statement are absorbed | | `Started` |
//! | `commit` | witness rows, multiplicities among them; pads, where something is hidden | `alpha`, `beta` | `Committed` |
//! | `lookups` | LogUp-GKR | `rho` (inside), `tau`, `eta` | `Reduced` |
//! | `contractions` | the linear part, rounds, operand evaluations | inside, `gamma` | `Contracted` |
//! | `opening` | rounds, values | inside | `Opened` |
//! | `finish` | the closing: products to one, rows to one, a Sigma protocol with its answer | inside | a proof, or a verdict |
//!
//! The sequence stands once a side: [`Prover::steps`], [`Verifier::steps`].
//!
//! One equation ties the steps: `sum_e eta^e value_e = linear part + contractions`, where equation 0 is the leaves' denominators, 1 their numerators,
//! then the zero checks, the public ports, and the rest of committed ports' rows. `Coefficients` is its one formula, evaluated by both sides.

#[cfg(test)]
mod blinding_census;
#[cfg(test)]
mod blinding_rank;
mod coefficients;
mod commitment;
#[cfg(test)]
mod forger;
mod fractions;
pub mod key;
mod proof;
pub mod prover;
pub mod security;
#[cfg(test)]
mod simulator;
mod statement;
#[doc(hidden)]
pub mod testing;
pub mod verifier;

pub use commitment::{Blinding, Commitment, OpeningSeed};
pub use proof::{Proof, protocol_digest};
pub use prover::{CommitmentOpening, ProveOptions, Proven, Prover};
pub use statement::{Context, Shown, Statement};
pub use verifier::Verifier;

use crate::error::{ProveError, VerifyError};
use crate::randomness::Randomness;
use crate::witness::trace;
use key::{ProverKey, VerifierKey};

/// Quantized inference: the integers of every output port, row-major.
///
/// # Errors
/// [`ProveError`] when the inputs do not fit the model or a value leaves its calibrated range.
pub fn run(key: &ProverKey, inputs: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, ProveError> {
    let trace = trace::evaluate(key.verifier_key().model(), key.constants(), inputs)?;
    trace.outputs(key.verifier_key().model())
}

/// Runs the model on `inputs` (the integers of every input port, row-major) and proves it. Blindings are fresh.
///
/// # Errors
/// [`ProveError`] when the inputs do not fit the model or a value leaves its calibrated range.
pub fn prove(key: &ProverKey, inputs: &[Vec<i64>]) -> Result<Proven, ProveError> {
    let options = ProveOptions::default();
    prove_with(key, inputs, &options, Randomness::from_system())
}

/// As [`prove`], with what the prover chooses, and with this randomness: a proof hides nothing from anyone who knows it.
///
/// # Errors
/// Also [`ProveError::Blinding`] when a name is not that of a committed port.
pub fn prove_with(
    key: &ProverKey,
    inputs: &[Vec<i64>],
    options: &ProveOptions,
    randomness: Randomness,
) -> Result<Proven, ProveError> {
    let prover = Prover::start_seeded(key, inputs, options, randomness)?;
    Ok(prover.steps().finish())
}

// verify-path: begin
/// Checks that the model behind `key` maps the statement's inputs to its outputs. That the statement's context is the one that was asked for, and its
/// public values those of interest, is for the caller to see.
///
/// # Errors
/// [`VerifyError`] says which check failed.
pub fn verify(key: &VerifierKey, statement: &Statement, proof: &Proof) -> Result<(), VerifyError> {
    Verifier::start(key, statement, proof)?.steps()?.finish()
}
// verify-path: end
