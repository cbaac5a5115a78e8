//! The prover's recorder: sending is absorbing.

use zeroize::{Zeroize, Zeroizing};

use super::{Sponge, encode_field};
use crate::commitment::{GroupElement, blind_all, commit_row, commit_scalars, encode_point};
use crate::field::Fr;
use crate::randomness::Randomness;

/// Blinding terms made at a time: many at once are cheaper.
const POOL: usize = 256;

/// Sends messages in the clear, or committed.
pub struct ProverTranscript {
    /// Public data and challenges.
    pub sponge: Sponge,
    proof: Vec<u8>,
    /// Until the proof is closed.
    pub(super) secrets: Option<Secrets>,
    #[cfg(test)]
    pub(super) lies: super::adversary::Lies,
    #[cfg(test)]
    pub(super) messages: Vec<super::adversary::Message>,
}

/// What a proof keeps to itself until it is closed. Wiped when dropped.
#[derive(Default)]
pub(crate) struct Secrets {
    /// None if nothing is hidden.
    pub(crate) randomness: Option<Randomness>,
    /// Every element that was not sent as it is, by variable.
    pub(crate) values: Vec<Fr>,
    /// One for every commitment, in the order of [`super::Claims::hidden`].
    pub(crate) blinders: Vec<Fr>,
    /// Lengths of the rows of factors and the opened rows.
    pub(crate) rows: Vec<usize>,
    /// Coefficients of the opened row.
    pub(crate) form: Vec<Fr>,
    pool: Vec<(Fr, GroupElement)>,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.values.zeroize();
        self.blinders.zeroize();
        self.pool
            .iter_mut()
            .for_each(|(blinder, _)| blinder.zeroize());
    }
}

impl Secrets {
    /// A blinding factor and what it adds to a commitment; none if nothing is hidden.
    fn blind(&mut self) -> Option<(Fr, GroupElement)> {
        if self.pool.is_empty() {
            let blinders = Zeroizing::new(self.randomness.as_mut()?.scalars(POOL));
            let points = blind_all(&blinders);
            self.pool = blinders.iter().copied().zip(points).collect();
        }
        self.pool.pop()
    }
}

impl ProverTranscript {
    /// An empty proof over `sponge`'s public data, in the clear.
    pub fn new(sponge: Sponge) -> Self {
        Self {
            sponge,
            proof: Vec::new(),
            secrets: Some(Secrets::default()),
            #[cfg(test)]
            lies: Default::default(),
            #[cfg(test)]
            messages: Vec::new(),
        }
    }

    /// Hides what is sent from here on.
    pub(crate) fn hide(&mut self, randomness: Randomness) {
        if let Some(secrets) = &mut self.secrets {
            secrets.randomness = Some(randomness);
        }
    }

    /// Sends elements that the verifier only adds and scales.
    pub fn send(&mut self, label: &'static str, values: &[Fr]) {
        let Some(secrets) = &mut self.secrets else {
            return self.send_clear(label, values);
        };
        let mut blindings = Vec::with_capacity(values.len());
        for _ in values {
            let Some((blinder, blinding)) = secrets.blind() else {
                return self.send_clear(label, values);
            };
            secrets.blinders.push(blinder);
            blindings.push(blinding);
        }
        #[cfg(test)]
        let values = &*(self.lies).of_message(&self.sponge, secrets, values, &mut self.messages);
        secrets.values.extend_from_slice(values);
        let points = commit_scalars(values, &blindings);
        self.send_points(label, &points);
    }

    /// Sends elements that the verifier multiplies with each other as well.
    pub fn send_factors(&mut self, label: &'static str, values: &[Fr]) {
        let Some(secrets) = &mut self.secrets else {
            return self.send_clear(label, values);
        };
        let Some((blinder, blinding)) = secrets.blind() else {
            return self.send_clear(label, values);
        };
        #[cfg(test)]
        let values = &*(self.lies).of_message(&self.sponge, secrets, values, &mut self.messages);
        secrets.values.extend_from_slice(values);
        secrets.blinders.push(blinder);
        secrets.rows.push(values.len());
        let point = commit_row(values, blinding);
        self.send_points(label, &[point]);
    }

    /// Opens a row whose commitment, under `blinder`, follows from others. It is answered for when the proof is closed; `form` has its coefficients
    /// in the one equation that it is in.
    pub fn open_row(&mut self, values: &[Fr], blinder: Fr, form: Vec<Fr>) {
        let secrets = self.secrets.as_mut().expect("the proof is not closed");
        secrets.values.extend_from_slice(values);
        secrets.blinders.push(blinder);
        secrets.rows.push(values.len());
        secrets.form = form;
    }

    /// Sends elements that hide nothing.
    pub(crate) fn send_clear(&mut self, label: &'static str, values: &[Fr]) {
        #[cfg(test)]
        let values = &*self.lies.about(self.sponge.log().len(), values);
        let from = self.proof.len();
        for value in values {
            self.proof.extend_from_slice(&encode_field(value));
        }
        self.sponge.absorb(label, &self.proof[from..]);
    }

    /// Sends points.
    pub fn send_points(&mut self, label: &'static str, points: &[GroupElement]) {
        #[cfg(test)]
        let points = &*self.lies.about_points(self.sponge.log().len(), points);
        let from = self.proof.len();
        for point in points {
            self.proof.extend_from_slice(&encode_point(point));
        }
        self.sponge.absorb(label, &self.proof[from..]);
    }

    /// A blinding factor for each of `len` commitments, and what it adds; none if nothing is hidden.
    pub(crate) fn blinds(&mut self, len: usize) -> Option<(Zeroizing<Vec<Fr>>, Vec<GroupElement>)> {
        let randomness = self.secrets.as_mut()?.randomness.as_mut()?;
        let blinders = Zeroizing::new(randomness.scalars(len));
        let points = blind_all(&blinders);
        Some((blinders, points))
    }

    /// What was sent so far.
    pub(crate) fn sent(&self) -> &[u8] {
        &self.proof
    }

    /// What was not sent so far, to close the proof; none if it is closed already.
    pub(crate) fn take_secrets(&mut self) -> Option<Secrets> {
        self.secrets.take()
    }

    /// The proof.
    pub fn finish(self) -> Vec<u8> {
        self.proof
    }
}
