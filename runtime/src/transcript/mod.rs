//! Fiat-Shamir over Keccak-256, and the recorder of prover messages.
//!
//! State `h`: absorbing is `h <- H(h || 0 || label || len || bytes)`, a challenge is `h <- H(h || 1 || label)` read as an integer,
//! most significant byte first, modulo the field order. The prover's [`ProverTranscript`] appends what it absorbs to the proof; the verifier's
//! [`VerifierTranscript`] reads the proof and absorbs what it reads. Neither can do one without the other.
//!
//! This room knows how a message is sent. It must not know what messages mean: no statement, no schedule, no keys.
//!
//! A message of field elements is sent as it is, or, in a proof that hides, under one-time pads *(as in Longfellow, draft-google-cfrg-libzk)*:
//! before the first challenge the prover commits to as many uniform scalars as it will send elements, all in one point, and sends each element
//! plus the next of them. The recorder decides, and neither the provers nor the verifiers of the argument's parts know. There are three kinds:
//!
//! | kind | in the clear | hidden |
//! |---|---|---|
//! | elements | elements | elements, each plus a pad that is used once |
//! | a late row | elements | one commitment |
//! | the opened row | nothing yet | nothing: the commitment follows from others |
//!
//! Hidden elements are *variables*, and variable `j` is committed to over the generator `G_j`: the opened row's come first, as they are the rows' that
//! it is a sum of, then the pads, then a late row's.

use ark_ff::{BigInteger, PrimeField};
use sha3::{Digest, Keccak256};

use crate::field::Fr;

#[cfg(test)]
pub(crate) mod adversary;
mod affine_form;
mod prover;
mod verifier;

pub use affine_form::{AffineForm, Equation, Variable};
pub use prover::ProverTranscript;
pub use verifier::VerifierTranscript;
pub(crate) use verifier::{Claims, Committed, HiddenRow};

/// Label of the commitment to the pads.
const PADS: &str = "pads";

/// Bytes of a field element or a compressed point in a proof.
pub const ELEMENT_BYTES: usize = 32;

// verify-path: begin
/// What both sides' transcripts share: absorbing public data and drawing challenges.
#[derive(Clone)]
pub struct Sponge {
    state: [u8; 32],
    log: Vec<(&'static str, &'static str, usize)>,
    #[cfg(test)]
    oracle: Option<std::vec::IntoIter<Fr>>,
    #[cfg(test)]
    exchange: adversary::Exchange,
    #[cfg(test)]
    drawn: Vec<(usize, Fr)>,
}

impl Sponge {
    /// A fresh sponge for one protocol.
    pub fn new(protocol: &'static str) -> Self {
        let mut sponge = Self {
            state: [0; 32],
            log: Vec::new(),
            #[cfg(test)]
            oracle: None,
            #[cfg(test)]
            exchange: adversary::Exchange::default(),
            #[cfg(test)]
            drawn: Vec::new(),
        };
        sponge.absorb("protocol", protocol.as_bytes());
        sponge
    }

    /// Absorbs public bytes.
    pub fn absorb(&mut self, label: &'static str, bytes: &[u8]) {
        #[cfg(test)]
        if self.defers(label, bytes) {
            return;
        }
        let mut hash = Keccak256::new();
        hash.update(self.state);
        hash.update([0]);
        hash.update(label.as_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
        self.state = hash.finalize().into();
        self.log.push(("absorb", label, bytes.len()));
        #[cfg(test)]
        self.absorb_deferred();
    }

    /// A challenge bound to all that was absorbed.
    pub fn challenge(&mut self, label: &'static str) -> Fr {
        let mut hash = Keccak256::new();
        hash.update(self.state);
        hash.update([1]);
        hash.update(label.as_bytes());
        self.state = hash.finalize().into();
        self.log.push(("challenge", label, 32));
        let challenge = Fr::from_be_bytes_mod_order(&self.state);
        #[cfg(test)]
        let challenge = self.drawn_by_the_tests(challenge);
        challenge
    }

    /// `len` challenges.
    pub fn challenges(&mut self, label: &'static str, len: usize) -> Vec<Fr> {
        (0..len).map(|_| self.challenge(label)).collect()
    }

    /// A digest of everything absorbed and drawn so far.
    pub(crate) fn state(&self) -> &[u8; 32] {
        &self.state
    }

    /// Everything absorbed and drawn so far, in order: (kind, label, bytes).
    pub fn log(&self) -> &[(&'static str, &'static str, usize)] {
        &self.log
    }
}

/// Big-endian canonical bytes.
pub fn encode_field(value: &Fr) -> [u8; ELEMENT_BYTES] {
    let mut bytes = [0; ELEMENT_BYTES];
    // len: four limbs of eight bytes
    for (to, from) in bytes.iter_mut().zip(value.into_bigint().to_bytes_be()) {
        *to = from;
    }
    bytes
}

/// Inverse of [`encode_field`]; `None` unless canonical.
pub fn decode_field(bytes: &[u8; ELEMENT_BYTES]) -> Option<Fr> {
    let mut limbs = [0u64; 4];
    // len: four limbs of eight bytes
    for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.chunks(8)) {
        *limb = chunk
            .iter()
            .fold(0, |acc, &byte| (acc << 8) | u64::from(byte));
    }
    Fr::from_bigint(ark_ff::BigInt(limbs))
}
// verify-path: end

#[cfg(test)]
impl Sponge {
    /// A random oracle whose answers were fixed beforehand: these challenges in this order, whatever is absorbed.
    pub(crate) fn of_oracle(challenges: Vec<Fr>) -> Self {
        let mut sponge = Self::new("programmed");
        sponge.oracle = Some(challenges.into_iter());
        sponge
    }

    /// The next fixed answer, if this is a programmed oracle; else the hash's.
    fn drawn_by_the_tests(&mut self, hashed: Fr) -> Fr {
        let fixed = self.oracle.as_mut();
        let challenge = fixed.map_or(hashed, |oracle| {
            oracle.next().expect("the oracle has answers enough")
        });
        self.drawn.push((self.log.len() - 1, challenge));
        self.absorb_deferred();
        challenge
    }
}
