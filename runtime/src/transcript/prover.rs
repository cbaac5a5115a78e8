//! The prover's recorder: sending is absorbing.

use ark_ff::AdditiveGroup;
use zeroize::{Zeroize, Zeroizing};

use super::{AffineForm, ELEMENT_BYTES, PADS, Sponge, Variable, decode_field, encode_field};
use crate::commitment::{GroupElement, blind_all, commit_row, encode_point};
use crate::field::Fr;
use crate::randomness::Randomness;

/// Sends messages in the clear, or under pads.
pub struct ProverTranscript {
    /// Public data and challenges.
    pub sponge: Sponge,
    proof: Vec<u8>,
    /// None if nothing is hidden, or the proof is closed.
    randomness: Option<Randomness>,
    /// Pads that were not used yet; none if nothing is hidden.
    pads: Option<std::ops::Range<usize>>,
    pub(super) secrets: Secrets,
    #[cfg(test)]
    pub(super) lies: super::adversary::Lies,
    #[cfg(test)]
    pub(super) messages: Vec<super::adversary::Message>,
}

/// What a proof keeps to itself. Wiped when dropped.
#[derive(Default)]
pub(crate) struct Secrets {
    /// Every element that was not sent as it is, by variable.
    pub(crate) values: Vec<Fr>,
    /// Of their commitments, in the order of [`super::Claims::hidden`].
    pub(crate) blinders: Vec<Fr>,
    /// Coefficients of the opened row.
    pub(crate) form: Vec<Fr>,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.values.zeroize();
        self.blinders.zeroize();
    }
}

impl ProverTranscript {
    /// An empty proof over `sponge`'s public data, in the clear.
    pub fn new(sponge: Sponge) -> Self {
        Self {
            sponge,
            proof: Vec::new(),
            randomness: None,
            pads: None,
            secrets: Secrets::default(),
            #[cfg(test)]
            lies: Default::default(),
            #[cfg(test)]
            messages: Vec::new(),
        }
    }

    /// Hides what is sent from here on, by this randomness.
    pub(crate) fn hide(&mut self, randomness: Randomness) {
        self.randomness = Some(randomness);
    }

    /// If anything is to be hidden, commits to `len` pads, where a row of `row` elements will be opened: elements that are sent from here on are
    /// under them.
    pub(crate) fn send_pads(&mut self, len: usize, row: usize) {
        if let Some(randomness) = &mut self.randomness {
            let pads = Zeroizing::new(randomness.scalars(len));
            self.secrets.values = vec![Fr::ZERO; row];
            self.send_hidden(PADS, &pads);
            self.pads = Some(row..row + len);
        }
    }

    /// Sends elements.
    ///
    /// # Panics
    /// If more are sent than there are pads.
    pub fn send(&mut self, label: &'static str, values: &[Fr]) {
        let Some(pads) = &mut self.pads else {
            return self.send_clear(label, values);
        };
        let next = pads.by_ref().take(values.len());
        let next: Vec<Fr> = next.map(|pad| self.secrets.values[pad]).collect();
        #[cfg(test)]
        let next = self.lies.pads_of(&self.sponge, next);
        assert_eq!(next.len(), values.len(), "every element has a pad");
        #[cfg(test)]
        let values = &*self.lies.of_message(
            &self.sponge,
            (pads.start - values.len(), false),
            values,
            &mut self.messages,
        );
        let padded: Vec<Fr> = next.iter().zip(values).map(|(pad, v)| *pad + v).collect();
        self.record(label, &padded);
    }

    /// As [`Self::send`]; gives what the verifier knows of them.
    pub(crate) fn send_forms(&mut self, label: &'static str, values: &[Fr]) -> Vec<AffineForm> {
        let from = self.sent().len();
        self.send(label, values);
        let (sent, _) = self.proof[from..].as_chunks::<ELEMENT_BYTES>();
        let first = self.pads.as_ref().map(|pads| pads.start - values.len());
        let form = |(at, sent): (usize, &[u8; ELEMENT_BYTES])| {
            let sent = decode_field(sent).expect("an element was sent");
            match first {
                Some(first) => AffineForm::padded(sent, (first + at) as Variable),
                None => AffineForm::constant(sent),
            }
        };
        sent.iter().enumerate().map(form).collect()
    }

    /// As [`Self::send_forms`], of exactly `N` elements.
    pub(crate) fn send_array<const N: usize>(
        &mut self,
        label: &'static str,
        values: &[Fr; N],
    ) -> [AffineForm; N] {
        let forms = self.send_forms(label, values);
        forms.try_into().expect("as many forms as values")
    }

    /// Sends elements in one commitment, if anything is to be hidden.
    pub fn send_row(&mut self, label: &'static str, values: &[Fr]) {
        match self.pads {
            None => self.send_clear(label, values),
            Some(_) => self.send_hidden(label, values),
        }
    }

    fn send_hidden(&mut self, label: &'static str, values: &[Fr]) {
        let randomness = self.randomness.as_mut().expect("the proof is not closed");
        let blinder = Zeroizing::new(randomness.scalar());
        let first = self.secrets.values.len();
        #[cfg(test)]
        let values =
            &*self
                .lies
                .of_message(&self.sponge, (first, true), values, &mut self.messages);
        self.secrets.values.extend_from_slice(values);
        self.secrets.blinders.push(*blinder);
        let [blinding] = blind_all(&[*blinder])[..] else {
            unreachable!("one blinding for one factor");
        };
        self.send_points(label, &[commit_row(first, values, blinding)]);
    }

    /// Opens a row whose commitment, under `blinder`, follows from others. It is answered for when the proof is closed; `form` has its coefficients
    /// in the one equation that it is in.
    pub fn open_row(&mut self, values: &[Fr], blinder: Fr, form: Vec<Fr>) {
        self.secrets
            .values
            .resize(self.secrets.values.len().max(values.len()), Fr::ZERO);
        self.secrets.values[..values.len()].copy_from_slice(values);
        self.secrets.blinders.push(blinder);
        self.secrets.form = form;
    }

    /// Sends elements that hide nothing.
    pub(crate) fn send_clear(&mut self, label: &'static str, values: &[Fr]) {
        #[cfg(test)]
        let values = &*self.lies.about(self.sponge.log().len(), values);
        self.record(label, values);
    }

    fn record(&mut self, label: &'static str, values: &[Fr]) {
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
        let blinders = Zeroizing::new(self.randomness.as_mut()?.scalars(len));
        let points = blind_all(&blinders);
        Some((blinders, points))
    }

    /// What was sent so far.
    pub(crate) fn sent(&self) -> &[u8] {
        &self.proof
    }

    /// What was not sent so far.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// What is left of the randomness, to close the proof; none if nothing is hidden.
    pub(crate) fn take_randomness(&mut self) -> Option<Randomness> {
        self.randomness.take()
    }

    /// The proof.
    pub fn finish(self) -> Vec<u8> {
        self.proof
    }
}
