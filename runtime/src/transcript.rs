//! Fiat-Shamir over Keccak-256, and the recorder of prover messages.
//!
//! State `h`: absorbing is `h <- H(h || 0 || label || len || bytes)`, a challenge is `h <- H(h || 1 || label)` read as an integer
//! modulo the field order. The prover's [`ProverTranscript`] appends what it absorbs to the proof; the verifier's
//! [`VerifierTranscript`] reads the proof and absorbs what it reads. Neither can do one without the other.

use ark_bn254::{Fr, G1Affine};
use ark_ff::{BigInteger, PrimeField, Zero};
use sha3::{Digest, Keccak256};

use crate::commitment::{decode_point, encode_point};
use crate::error::VerifyError;

/// Bytes of a field element or a compressed point in a proof.
pub const ELEMENT_BYTES: usize = 32;

// verify-path: begin
/// What both sides' transcripts share: absorbing public data and drawing challenges.
#[derive(Clone)]
pub struct Sponge {
    state: [u8; 32],
    log: Vec<(&'static str, &'static str, usize)>,
}

impl Sponge {
    /// A fresh sponge for one protocol.
    pub fn new(protocol: &'static str) -> Self {
        let mut sponge = Self {
            state: [0; 32],
            log: Vec::new(),
        };
        sponge.absorb("protocol", protocol.as_bytes());
        sponge
    }

    /// Absorbs public bytes.
    pub fn absorb(&mut self, label: &'static str, bytes: &[u8]) {
        let mut hash = Keccak256::new();
        hash.update(self.state);
        hash.update([0]);
        hash.update(label.as_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
        self.state = hash.finalize().into();
        self.log.push(("absorb", label, bytes.len()));
    }

    /// A challenge bound to all that was absorbed.
    pub fn challenge(&mut self, label: &'static str) -> Fr {
        let mut hash = Keccak256::new();
        hash.update(self.state);
        hash.update([1]);
        hash.update(label.as_bytes());
        self.state = hash.finalize().into();
        self.log.push(("challenge", label, 32));
        Fr::from_le_bytes_mod_order(&self.state)
    }

    /// `len` challenges.
    pub fn challenges(&mut self, label: &'static str, len: usize) -> Vec<Fr> {
        (0..len).map(|_| self.challenge(label)).collect()
    }

    /// Everything absorbed and drawn so far, in order: (kind, label, bytes).
    pub fn log(&self) -> &[(&'static str, &'static str, usize)] {
        &self.log
    }
}

/// Little-endian canonical bytes.
pub fn encode_field(value: &Fr) -> [u8; ELEMENT_BYTES] {
    let mut bytes = [0; ELEMENT_BYTES];
    // len: four limbs of eight bytes
    for (to, from) in bytes.iter_mut().zip(value.into_bigint().to_bytes_le()) {
        *to = from;
    }
    bytes
}

/// Inverse of [`encode_field`]; `None` unless canonical.
pub fn decode_field(bytes: &[u8; ELEMENT_BYTES]) -> Option<Fr> {
    let mut limbs = [0u64; 4];
    // len: four limbs of eight bytes
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks(8)) {
        *limb = chunk
            .iter()
            .rev()
            .fold(0, |acc, &byte| (acc << 8) | u64::from(byte));
    }
    Fr::from_bigint(ark_ff::BigInt(limbs))
}
// verify-path: end

/// The prover's recorder: sending is absorbing.
pub struct ProverTranscript {
    /// Public data and challenges.
    pub sponge: Sponge,
    proof: Vec<u8>,
}

impl ProverTranscript {
    /// An empty proof over `sponge`'s public data.
    pub fn new(sponge: Sponge) -> Self {
        Self {
            sponge,
            proof: Vec::new(),
        }
    }

    /// Sends field elements.
    pub fn send(&mut self, label: &'static str, values: &[Fr]) {
        let from = self.proof.len();
        for value in values {
            self.proof.extend_from_slice(&encode_field(value));
        }
        self.sponge.absorb(label, &self.proof[from..]);
    }

    /// Sends points.
    pub fn send_points(&mut self, label: &'static str, points: &[G1Affine]) {
        let from = self.proof.len();
        for point in points {
            self.proof.extend_from_slice(&encode_point(point));
        }
        self.sponge.absorb(label, &self.proof[from..]);
    }

    /// The proof.
    pub fn finish(self) -> Vec<u8> {
        self.proof
    }
}

// verify-path: begin
/// The verifier's side: receiving is absorbing.
pub struct VerifierTranscript<'a> {
    /// Public data and challenges.
    pub sponge: Sponge,
    proof: &'a [u8],
}

impl<'a> VerifierTranscript<'a> {
    /// Reads `proof` from its start.
    pub fn new(sponge: Sponge, proof: &'a [u8]) -> Self {
        Self { sponge, proof }
    }

    fn take(
        &mut self,
        label: &'static str,
        elements: usize,
    ) -> Result<&'a [[u8; ELEMENT_BYTES]], VerifyError> {
        let bytes = elements
            .checked_mul(ELEMENT_BYTES)
            .ok_or(VerifyError::Truncated)?;
        let (head, tail) = self
            .proof
            .split_at_checked(bytes)
            .ok_or(VerifyError::Truncated)?;
        self.proof = tail;
        self.sponge.absorb(label, head);
        let (chunks, _) = head.as_chunks::<ELEMENT_BYTES>();
        Ok(chunks)
    }

    /// Receives `len` canonical field elements.
    pub fn receive(&mut self, label: &'static str, len: usize) -> Result<Vec<Fr>, VerifyError> {
        let chunks = self.take(label, len)?;
        chunks
            .iter()
            .map(|bytes| decode_field(bytes).ok_or(VerifyError::NonCanonical { label }))
            .collect()
    }

    /// Receives exactly `N` canonical field elements.
    pub fn receive_array<const N: usize>(
        &mut self,
        label: &'static str,
    ) -> Result<[Fr; N], VerifyError> {
        let mut values = [Fr::zero(); N];
        // len: `take` gives N
        for (value, bytes) in values.iter_mut().zip(self.take(label, N)?) {
            *value = decode_field(bytes).ok_or(VerifyError::NonCanonical { label })?;
        }
        Ok(values)
    }

    /// Receives `len` curve points in canonical compressed form.
    pub fn receive_points(
        &mut self,
        label: &'static str,
        len: usize,
    ) -> Result<Vec<G1Affine>, VerifyError> {
        use rayon::prelude::*;
        let chunks = self.take(label, len)?;
        chunks
            .par_iter()
            .map(|bytes| decode_point(bytes).ok_or(VerifyError::NonCanonical { label }))
            .collect()
    }

    /// Rejects leftovers.
    pub fn finish(self) -> Result<(), VerifyError> {
        if self.proof.is_empty() {
            Ok(())
        } else {
            Err(VerifyError::TrailingBytes)
        }
    }
}
// verify-path: end
