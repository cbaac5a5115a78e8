//! What each side holds: the verifier's key, and the prover's with the constants in it.

use ark_bn254::G1Affine;
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use crate::commitment::{Generators, commit_rows, decode_point, encode_point};
use crate::error::{ProveError, VerifyError};
use crate::model::Model;
use crate::schedule::Schedule;
use crate::security::security_bits;
use crate::trace::Constants;
use crate::transcript::ELEMENT_BYTES;

/// First bytes of an encoded key.
const MAGIC: &[u8; 8] = b"zkiln-k1";

/// The model, the commitments to its constants, and what follows from them.
#[derive(Debug)]
pub struct VerifierKey {
    model: Model,
    commitments: Vec<G1Affine>,
    schedule: Schedule,
    digest: [u8; 32],
    proof_bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Encoded {
    model: Model,
    commitments: Vec<u8>,
}

// verify-path: begin
impl VerifierKey {
    /// From the model and its constants' row commitments (compressed points, concatenated).
    ///
    /// # Errors
    /// [`VerifyError::Key`] when the model is malformed or the commitments do not fit it.
    pub fn from_parts(model: Model, commitments: &[u8]) -> Result<Self, VerifyError> {
        let schedule = Schedule::new(&model)?;
        let (chunks, rest) = commitments.as_chunks::<ELEMENT_BYTES>();
        if !rest.is_empty() || chunks.len() != schedule.constant_rows {
            return Err(VerifyError::Key(
                "the number of commitments does not fit the model",
            ));
        }
        let points = chunks
            .iter()
            .map(|bytes| decode_point(bytes).ok_or(VerifyError::Key("a commitment is no point")));
        let points = points.collect::<Result<Vec<_>, _>>()?;
        let encoded = postcard::to_allocvec(&model)
            .map_err(|_| VerifyError::Key("the model cannot be encoded"))?;
        let mut hash = Keccak256::new();
        hash.update(MAGIC);
        hash.update((encoded.len() as u64).to_le_bytes());
        hash.update(&encoded);
        hash.update(commitments);
        let elements = schedule.proof_elements(model.row_log2);
        let proof_bytes = elements
            .checked_mul(ELEMENT_BYTES)
            .ok_or(VerifyError::Key("proofs would be too long"))?;
        Ok(Self {
            model,
            commitments: points,
            schedule,
            digest: hash.finalize().into(),
            proof_bytes,
        })
    }

    /// Decodes [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`VerifyError::Key`] for anything but canonical bytes of a well-formed key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VerifyError> {
        let body = bytes
            .strip_prefix(MAGIC)
            .ok_or(VerifyError::Key("not a zkiln verifier key"))?;
        let (Encoded { model, commitments }, rest) =
            postcard::take_from_bytes(body).map_err(|_| VerifyError::Key("cannot be decoded"))?;
        if !rest.is_empty() {
            return Err(VerifyError::Key("trailing bytes"));
        }
        let key = Self::from_parts(model, &commitments)?;
        if key.to_bytes() == bytes {
            Ok(key)
        } else {
            Err(VerifyError::Key("not in canonical form"))
        }
    }

    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let encoded = Encoded {
            model: self.model.clone(),
            commitments: self.commitment_bytes(),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(postcard::to_allocvec(&encoded).unwrap_or_default());
        bytes
    }

    /// The constants' row commitments, compressed and concatenated.
    pub fn commitment_bytes(&self) -> Vec<u8> {
        self.commitments.iter().flat_map(encode_point).collect()
    }

    /// Keccak-256 of the model and the commitments: what a proof is bound to.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The statement that proofs are about.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Exact length of every proof.
    pub fn proof_bytes(&self) -> usize {
        self.proof_bytes
    }

    /// Computed security level.
    pub fn security_bits(&self) -> u32 {
        security_bits(&self.schedule)
    }

    /// The proving schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn commitments(&self) -> &[G1Affine] {
        &self.commitments
    }
}
// verify-path: end

/// What the proving side holds: the verifier's key and the constants.
#[derive(Debug)]
pub struct ProverKey {
    verifier: VerifierKey,
    constants: Constants,
}

impl ProverKey {
    /// Commits to the constants.
    ///
    /// # Errors
    /// [`ProveError::Weights`] when constants or model are malformed.
    pub fn new(model: Model, constants: Vec<Vec<i32>>) -> Result<Self, ProveError> {
        let malformed = |error: VerifyError| ProveError::Weights(error.to_string());
        model.validate().map_err(malformed)?;
        let constants = Constants::new(&model, constants)?;
        let row = 1usize << model.row_log2;
        let generators = Generators::derive(row);
        let commitments: Vec<u8> = constants
            .columns()
            .flat_map(|column| commit_rows(&generators, column, row))
            .flat_map(|point| encode_point(&point))
            .collect();
        let verifier = VerifierKey::from_parts(model, &commitments).map_err(malformed)?;
        Ok(Self {
            verifier,
            constants,
        })
    }

    /// Joins a key with its constants, without committing to them again.
    ///
    /// # Errors
    /// [`ProveError::Weights`] when the constants' shapes do not fit. That their values do is not checked: a proof would not verify.
    pub fn from_parts(verifier: VerifierKey, constants: Vec<Vec<i32>>) -> Result<Self, ProveError> {
        let constants = Constants::new(verifier.model(), constants)?;
        Ok(Self {
            verifier,
            constants,
        })
    }

    /// The public half.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(crate) fn constants(&self) -> &Constants {
        &self.constants
    }
}
