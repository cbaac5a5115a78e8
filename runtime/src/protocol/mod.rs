//! The argument, side by side: [`Prover`] and [`Verifier`] take the same steps in the same order.
//!
//! | step | prover sends | challenges after it |
//! |---|---|---|
//! | `start` | nothing; digest and statement are absorbed | |
//! | `commit` | witness rows, multiplicities among them | `alpha`, `beta` |
//! | `lookups` | LogUp-GKR | `rho` (inside), `tau`, `eta` |
//! | `contractions` | the linear part, rounds, operand evaluations | inside, `gamma` |
//! | `opening` | rounds, values | inside |
//! | `finish` | the closing Sigma protocol, with one vector's answer | inside |
//!
//! One equation ties them: `sum_e eta^e value_e = linear part + contractions`, where equation 0 is the leaves' denominators, 1 their numerators, then
//! the zero checks and the public ports. [`Scales`] is its one formula, evaluated by both sides.

mod commitment;
pub mod key;
mod proof;
mod prover;
mod scales;
pub mod security;
#[cfg(test)]
mod simulator;
mod statement;
mod verifier;
#[cfg(test)]
mod walk;

pub use commitment::{Blinding, Commitment};
pub use proof::{Proof, protocol_digest};
pub use prover::{Opening, Proven, Prover};
pub use statement::{Shown, Statement};
pub use verifier::Verifier;

use crate::error::{ProveError, VerifyError};
use crate::witness::trace;
use key::{ProverKey, VerifierKey};

/// Quantised inference: the integers of every output port, row-major.
///
/// # Errors
/// [`ProveError`] when the inputs do not fit the model or a value leaves its calibrated range.
pub fn run(key: &ProverKey, inputs: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, ProveError> {
    let trace = trace::run(key.verifier_key().model(), key.constants(), inputs)?;
    trace.outputs(key.verifier_key().model())
}

/// Runs the model on `inputs` (the integers of every input port, row-major) and proves it.
///
/// # Errors
/// [`ProveError`] when the inputs do not fit the model or a value leaves its calibrated range.
pub fn prove(key: &ProverKey, inputs: &[Vec<i64>]) -> Result<Proven, ProveError> {
    let mut prover = Prover::start(key, inputs)?;
    prover.commit();
    prover.lookups();
    prover.contractions();
    prover.opening();
    Ok(prover.finish())
}

// verify-path: begin
/// Checks that the model behind `key` maps the statement's inputs to its outputs.
///
/// # Errors
/// [`VerifyError`] says which check failed.
pub fn verify(key: &VerifierKey, statement: &Statement, proof: &Proof) -> Result<(), VerifyError> {
    let mut verifier = Verifier::start(key, statement, proof)?;
    verifier.commit()?;
    verifier.lookups()?;
    verifier.contractions()?;
    verifier.opening()?;
    verifier.finish()
}
// verify-path: end
