//! What each side holds: the verifier's key, and the prover's with the constants in it.
//!
//! | bytes of an encoded verifier key | meaning |
//! |---|---|
//! | 8 | magic `zkiln-k2` |
//! | 32 | [`protocol_digest`]: which protocol the key is for |
//! | 8 + 8 | bytes of the model, bytes of the commitments, little-endian |
//! | the model | postcard |
//! | the commitments | a nonce, then compressed points, 32 bytes each |
//!
//! With the blinding key, the nonce gives the blinding of the points; it is a hash of the blinding key, and gives nothing without it. All zeros without blinding.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ark_ff::AdditiveGroup;
use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

use super::proof::{Proof, protocol_digest};
use super::security::{Security, SecurityTerm, security, security_terms};
use crate::argument::schedule::{Rows, Schedule};
use crate::commitment::{Generators, GroupElement, commit_rows, decode_points, encode_point};
use crate::commitment::{add_all, blind_all};
use crate::error::{ProveError, VerifyError};
use crate::field::Fr;
use crate::randomness::{Randomness, SEED_BYTES};
use crate::statement::layout::{Kept, kept_lens};
use crate::statement::model::{ColumnId, ColumnKind, Model, Visibility};
use crate::transcript::ELEMENT_BYTES;
use crate::witness::trace::{Constants, kept_constants};

/// First bytes of an encoded key.
const MAGIC: &[u8; 8] = b"zkiln-k2";
/// Bytes before the model.
const HEADER_BYTES: usize = 56;
/// Values that are committed between two reports of progress.
const CHUNK: usize = 1 << 22;

/// The model, the commitments to its constants, and what follows from them.
#[derive(Debug)]
pub struct VerifierKey {
    model: Model,
    nonce: [u8; SEED_BYTES],
    commitments: Vec<GroupElement>,
    schedule: Schedule,
    digest: [u8; 32],
    proof_bytes: usize,
}

// verify-path: begin
impl VerifierKey {
    /// From the model and its constants' row commitments (a nonce and compressed points, concatenated).
    ///
    /// # Errors
    /// [`VerifyError::Key`] when the model is malformed or the commitments do not fit it.
    pub fn from_parts(model: Model, commitments: &[u8]) -> Result<Self, VerifyError> {
        let schedule = Schedule::new(&model)?;
        const COUNT: VerifyError =
            VerifyError::Key("the number of commitments does not fit the model");
        let (nonce, commitments) = commitments.split_first_chunk().ok_or(COUNT)?;
        let (chunks, rest) = commitments.as_chunks::<ELEMENT_BYTES>();
        if !rest.is_empty() || chunks.len() != schedule.rows.constants {
            return Err(COUNT);
        }
        let points = decode_points(chunks)
            .into_iter()
            .collect::<Option<Vec<_>>>();
        let points = points.ok_or(VerifyError::Key("a commitment is not a point"))?;
        let elements = schedule.proof_elements(&model);
        let proof_bytes = elements
            .checked_mul(ELEMENT_BYTES)
            .and_then(|bytes| bytes.checked_add(Proof::HEADER_BYTES))
            .ok_or(VerifyError::Key("proofs would be too long"))?;
        let mut key = Self {
            model,
            nonce: *nonce,
            commitments: points,
            schedule,
            digest: [0; 32],
            proof_bytes,
        };
        key.digest = Keccak256::digest(key.to_bytes()).into();
        Ok(key)
    }

    /// Decodes [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`VerifyError::Key`] for anything but canonical bytes of a well-formed key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VerifyError> {
        const TRUNCATED: VerifyError = VerifyError::Key("truncated");
        if !bytes.starts_with(MAGIC) {
            return Err(VerifyError::Key("not a zkiln verifier key"));
        }
        let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(TRUNCATED)?;
        let (_, header) = header.split_at_checked(MAGIC.len()).ok_or(TRUNCATED)?;
        let (protocol, lens) = header.split_at_checked(32).ok_or(TRUNCATED)?;
        if protocol != protocol_digest() {
            return Err(VerifyError::Key("for another version of the protocol"));
        }
        let [model_len, commitments_len] = lens.as_chunks::<8>().0 else {
            return Err(TRUNCATED);
        };
        let len = |bytes: &[u8; 8]| usize::try_from(u64::from_le_bytes(*bytes)).ok();
        let (encoded, commitments) = len(model_len)
            .and_then(|len| body.split_at_checked(len))
            .ok_or(TRUNCATED)?;
        if len(commitments_len) != Some(commitments.len()) {
            return Err(VerifyError::Key("truncated, or trailing bytes"));
        }
        let (model, rest) = postcard::take_from_bytes(encoded)
            .map_err(|_| VerifyError::Key("cannot be decoded"))?;
        if !rest.is_empty() {
            return Err(VerifyError::Key("trailing bytes"));
        }
        let key = Self::from_parts(model, commitments)?;
        if key.to_bytes() == bytes {
            Ok(key)
        } else {
            Err(VerifyError::Key("not in canonical form"))
        }
    }

    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let model = postcard::to_allocvec(&self.model).unwrap_or_default();
        let commitments = self.commitment_bytes();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(protocol_digest());
        bytes.extend((model.len() as u64).to_le_bytes());
        bytes.extend((commitments.len() as u64).to_le_bytes());
        bytes.extend(model);
        bytes.extend(commitments);
        bytes
    }

    /// The nonce and the constants' row commitments, compressed and concatenated.
    pub fn commitment_bytes(&self) -> Vec<u8> {
        let points = self.commitments.iter().flat_map(encode_point);
        self.nonce.into_iter().chain(points).collect()
    }

    /// Keccak-256 of [`Self::to_bytes`]: what a proof is bound to.
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

    /// The soundness error, term by term.
    pub fn security_terms(&self) -> Vec<SecurityTerm> {
        security_terms(&self.model, &self.schedule)
    }

    /// What proofs rest on, in bits of each.
    pub fn security(&self) -> Security {
        security(&self.model, &self.schedule)
    }

    /// The proving schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn commitments(&self) -> &[GroupElement] {
        &self.commitments
    }
}
// verify-path: end

impl VerifierKey {
    /// The constants' row commitments without their blinding, compressed. Only the right blinding_key removes it; another one gives other points.
    pub fn without_blinding(&self, blinding_key: &[u8; SEED_BYTES]) -> Vec<[u8; ELEMENT_BYTES]> {
        let blinding = WeightBlinding::new(blinding_key, &self.nonce);
        let factors = blinding.factors(&self.model, self.commitments.len());
        let opposite: Vec<Fr> = factors.iter().map(|factor| -*factor).collect();
        let points = add_all(&self.commitments, &blind_all(&opposite));
        points.iter().map(encode_point).collect()
    }
}

/// What the proving side holds: the verifier's key, the constants, and what hides them.
#[derive(Debug)]
pub struct ProverKey {
    verifier: VerifierKey,
    constants: Constants,
    blinding: WeightBlinding,
    blinders: Zeroizing<Vec<Fr>>,
}

/// The secret that hides the constants' commitments: it belongs to these constants and stays with them.
#[derive(Clone, PartialEq, Eq)]
pub struct WeightBlinding([u8; SEED_BYTES]);

impl std::fmt::Debug for WeightBlinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WeightBlinding(..)")
    }
}

impl WeightBlinding {
    /// From a proving side's file.
    pub fn from_bytes(seed: [u8; SEED_BYTES]) -> Self {
        Self(seed)
    }

    /// For a proving side's file.
    pub fn to_bytes(&self) -> [u8; SEED_BYTES] {
        self.0
    }

    /// Of a blinding key and a key's nonce.
    fn new(blinding_key: &[u8; SEED_BYTES], nonce: &[u8; SEED_BYTES]) -> Self {
        let hash = Keccak256::new()
            .chain_update(b"zkiln weight blinding")
            .chain_update(blinding_key)
            .chain_update(nonce);
        Self(hash.finalize().into())
    }

    /// Of a blinding key and the constants, through their commitments without blinding: no two models share factors, whose difference would be
    /// that of their weights.
    fn nonce(blinding_key: &[u8; SEED_BYTES], commitments: &[GroupElement]) -> [u8; SEED_BYTES] {
        let mut hash = Keccak256::new();
        hash.update(b"zkiln weight nonce");
        hash.update(blinding_key);
        commitments
            .iter()
            .for_each(|point| hash.update(encode_point(point)));
        hash.finalize().into()
    }

    /// One factor a row; none for public weights.
    fn factors(&self, model: &Model, rows: usize) -> Vec<Fr> {
        if model.weights == Visibility::Public {
            return vec![Fr::ZERO; rows];
        }
        Randomness::from_seed("zkiln weights", self.0).scalars(rows)
    }
}

impl VerifierKey {
    /// Commits to the constants, hidden by `blinding_key` unless they are public: the same blinding key and constants give the same key. Constants are taken,
    /// padded and committed one at a time; an event of target `zkiln` tells how many rows are `done` `of` all.
    ///
    /// # Errors
    /// [`ProveError::Weights`] when constants or model are malformed.
    pub fn commit<'a, C: Into<Cow<'a, [i32]>>>(
        model: Model,
        constants: impl IntoIterator<Item = C, IntoIter: ExactSizeIterator>,
        blinding_key: &[u8; SEED_BYTES],
    ) -> Result<(Self, WeightBlinding), ProveError> {
        let malformed = |error: VerifyError| ProveError::Weights(error.to_string());
        let rows = Schedule::new(&model).map_err(malformed)?.rows;
        let mut points = commit_constants(&model, &rows, constants)?;
        let nonce = match model.weights {
            Visibility::Public => [0; SEED_BYTES],
            _ => WeightBlinding::nonce(blinding_key, &points),
        };
        let blinding = WeightBlinding::new(blinding_key, &nonce);
        if model.weights != Visibility::Public {
            let factors = Zeroizing::new(blinding.factors(&model, points.len()));
            points = add_all(&points, &blind_all(&factors));
        }
        let points = points.iter().flat_map(encode_point);
        let commitments: Vec<u8> = nonce.into_iter().chain(points).collect();
        let key = Self::from_parts(model, &commitments).map_err(malformed)?;
        Ok((key, blinding))
    }
}

/// Commitments to the constants' rows, without blinding.
fn commit_constants<'a, C: Into<Cow<'a, [i32]>>>(
    model: &Model,
    rows: &Rows,
    constants: impl IntoIterator<Item = C, IntoIter: ExactSizeIterator>,
) -> Result<Vec<GroupElement>, ProveError> {
    let row = 1usize << model.row_log2;
    let generators = Generators::derive(row);
    let mut points = vec![GroupElement::default(); rows.constants];
    let mut done = 0;
    let mut commit = |first: usize, values: &[i32]| {
        let commitments = commit_rows(&generators, values, row);
        points[first..][..commitments.len()].copy_from_slice(&commitments);
        done += commitments.len();
        tracing::info!(target: "zkiln", done, of = rows.constants, "committing to the weights");
    };
    let mut shared: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
    let ids = (0u32..).map(ColumnId).zip(model.columns.iter());
    let ids = ids.filter(|(_, column)| column.kind == ColumnKind::Constant);
    for ((id, column), values) in ids.zip(kept_constants(model, constants)?) {
        let (values, lens) = (values?, kept_lens(column, model.row_log2));
        let kept = Kept {
            values: &values,
            lens: &lens,
        };
        let tiles = rows.of_column[id.0 as usize].iter();
        for tile in tiles.map(|&index| &rows.tiles[index]) {
            let (span, len) = (&rows.spans[tile.span], 1usize << tile.len_log2());
            if span.is_shared() {
                let of_row = shared.entry(span.first).or_insert_with(|| vec![0; row]);
                kept.copy(&tile.ranges, 0..len, &mut of_row[tile.at..]);
                continue;
            }
            let chunk = CHUNK.max(row);
            for from in (0..len).step_by(chunk) {
                let entries = from..len.min(from + chunk);
                let mut of_rows = vec![0; entries.len()];
                kept.copy(&tile.ranges, entries, &mut of_rows);
                commit(span.first + from / row, &of_rows);
            }
        }
    }
    for (first, values) in shared {
        commit(first, &values);
    }
    Ok(points)
}

impl ProverKey {
    /// Commits to the constants, as [`VerifierKey::commit`] does, and keeps them.
    ///
    /// # Errors
    /// [`ProveError::Weights`] when constants or model are malformed.
    pub fn new(
        model: Model,
        constants: Vec<Vec<i32>>,
        blinding_key: &[u8; SEED_BYTES],
    ) -> Result<Self, ProveError> {
        let (verifier, blinding) = VerifierKey::commit(model, &constants, blinding_key)?;
        Self::from_parts(verifier, constants, blinding)
    }

    /// Joins a key with its constants and their blinding, without committing to them again. Constants are taken and padded one at a time.
    ///
    /// # Errors
    /// [`ProveError::Weights`] when the constants' shapes do not fit. That their values do is not checked: a proof would not verify.
    pub fn from_parts<'a, C: Into<Cow<'a, [i32]>>>(
        verifier: VerifierKey,
        constants: impl IntoIterator<Item = C, IntoIter: ExactSizeIterator>,
        blinding: WeightBlinding,
    ) -> Result<Self, ProveError> {
        let constants = Constants::new(verifier.model(), constants)?;
        let factors = blinding.factors(verifier.model(), verifier.commitments().len());
        Ok(Self {
            verifier,
            constants,
            blinding,
            blinders: Zeroizing::new(factors),
        })
    }

    /// The public half.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// What hides the constants.
    pub fn blinding(&self) -> &WeightBlinding {
        &self.blinding
    }

    pub(crate) fn constants(&self) -> &Constants {
        &self.constants
    }

    /// Blinding factors of the constants' rows.
    pub(crate) fn blinders(&self) -> &[Fr] {
        &self.blinders
    }
}
