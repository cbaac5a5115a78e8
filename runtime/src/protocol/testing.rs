//! What the tests need of both sides: a prover that argues for any trace, and the verifier's transcript as a list.

use ark_ff::Field;

use super::fractions::Fractions;
use super::key::{ProverKey, VerifierKey};
use super::proof::Proof;
use super::prover::{ProveOptions, Proven, Prover};
use super::statement::Statement;
use super::verifier::Verifier;
use crate::error::VerifyError;
use crate::field::{Fr, from_i64};
use crate::randomness::Randomness;
use crate::witness::trace::Trace;

/// Argues for any trace and any public values, however false, as well as can be. Slower than [`prove`](super::prove); for a true trace the
/// proof is the same.
pub fn prove_trace(
    key: &ProverKey,
    trace: Trace,
    inputs: &[Vec<i64>],
    outputs: Vec<Vec<i64>>,
    options: &ProveOptions,
    randomness: Randomness,
) -> Proven {
    Prover::of_trace(key, trace, inputs, outputs, options, randomness)
        .steps_with(|committed| committed.lookups_by(of_entries))
        .finish()
}

/// What a verifier that accepts has absorbed and drawn, in order: `(kind, label, bytes)`.
///
/// # Errors
/// [`VerifyError`] if it does not accept.
pub fn transcript_log(
    key: &VerifierKey,
    statement: &Statement,
    proof: &Proof,
) -> Result<Vec<(&'static str, &'static str, usize)>, VerifyError> {
    let opened = Verifier::start(key, statement, proof)?.steps()?;
    Ok(opened.close()?.log().to_vec())
}

/// Appends `alpha - fingerprint` of what the trace makes of a lookup's entries: the slow path that the fast one must equal.
fn of_entries(fractions: &Fractions, index: usize, denominators: &mut Vec<Fr>) {
    let lookup = &fractions.schedule.lookups[index];
    let fingerprint = fractions.fingerprint;
    let base = fingerprint.alpha - fingerprint.tag(lookup.table.0);
    let from = denominators.len();
    let len = 1 << lookup.entries[0].accumulator.len_log2();
    denominators.resize(from + len, base);
    for (power, entry) in lookup.entries.iter().enumerate() {
        let unshift = Fr::from(1u64 << entry.shift_log2)
            .inverse()
            .expect("a power of two is not zero");
        let factor = fingerprint.power(power) * unshift;
        let values = entry.accumulator.evaluate(fractions.trace);
        let pairs = denominators[from..].iter_mut().zip(values);
        pairs.for_each(|(d, value)| *d -= factor * from_i64(value));
    }
}
