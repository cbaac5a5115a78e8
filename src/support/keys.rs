//! Keys from what a generated module holds.

use std::sync::LazyLock;

use zkiln_runtime::error::{ProveError, VerifyError};
use zkiln_runtime::key::{ProverKey, VerifierKey};
use zkiln_runtime::model::Model;
use zkiln_runtime::weights::{self, Packed};

// verify-path: begin
/// The verifier key of `model`, held against its digest.
///
/// # Errors
///
/// [`VerifyError::Key`] if the commitments are not those of the module.
pub fn checked_verifier_key(
    model: &Model,
    commitments: &[u8],
    digest: &[u8; 32],
) -> Result<VerifierKey, VerifyError> {
    let key = VerifierKey::from_parts(model.clone(), commitments)?;
    if key.digest() != *digest {
        return Err(VerifyError::Key(
            "the file of commitments does not belong to the module",
        ));
    }
    Ok(key)
}

/// A key that is made on first use.
///
/// # Errors
///
/// Why it could not be made.
pub fn loaded<T, E: Clone>(key: &'static LazyLock<Result<T, E>>) -> Result<&'static T, E> {
    key.as_ref().map_err(E::clone)
}
// verify-path: end

/// The prover key that joins `verifier_key` and the file of weights.
///
/// # Errors
///
/// [`ProveError::Weights`] if one of the files is not that of the module.
pub fn checked_prover_key(
    verifier_key: Result<VerifierKey, VerifyError>,
    file: &[u8],
    digest: &[u8; 32],
) -> Result<ProverKey, ProveError> {
    let verifier_key = verifier_key.map_err(|error| ProveError::Weights(error.to_string()))?;
    let (constants, blinding) = weights::decode(file, digest)?;
    let constants = constants.into_iter().map(Packed::values);
    ProverKey::from_parts(verifier_key, constants, blinding)
}
