//! What the tests' adversaries may do with a transcript: send something else than the prover's message, and turn the order round.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ark_ec::CurveGroup;

use super::{ProverTranscript, Sponge, Variable};
use crate::commitment::GroupElement;
use crate::field::Fr;

/// An element of a proof: the place of its message in the sponge's log, and its place in the message.
pub(crate) type Place = (usize, usize);

/// What is added to what a prover sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lies {
    /// To field elements, hidden or not.
    pub elements: BTreeMap<Place, Fr>,
    /// To points.
    pub points: BTreeMap<Place, GroupElement>,
    /// The place of a message whose elements are under each other's pads.
    pub turned: Option<usize>,
}

/// A message whose elements are hidden.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// In the sponge's log.
    pub place: usize,
    /// The first of its variables.
    pub first: Variable,
    /// Number of elements.
    pub len: usize,
    /// As they are before their pads.
    pub elements: Vec<Fr>,
    /// Whether its variables are its elements, and not pads that are added to them.
    pub is_row: bool,
}

/// Two neighbors in the log that change places, or a message that the hash does not see: for whoever holds the sponge.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange {
    at: Option<usize>,
    deferred: Option<(&'static str, Vec<u8>)>,
    ignored: Option<&'static str>,
}

impl Sponge {
    /// With the absorption at this place of the log put behind what follows it.
    pub(crate) fn exchanged(mut self, at: usize) -> Self {
        self.exchange.at = Some(at);
        self
    }

    /// With absorptions under this label left out of the hash.
    pub(crate) fn ignoring(mut self, label: &'static str) -> Self {
        self.exchange.ignored = Some(label);
        self
    }

    /// Whether an absorption has to wait for what follows it, or is left out.
    pub(super) fn defers(&mut self, label: &'static str, bytes: &[u8]) -> bool {
        if self.exchange.ignored == Some(label) {
            self.log.push(("absorb", label, bytes.len()));
            return true;
        }
        if self.exchange.at != Some(self.log.len()) {
            return false;
        }
        self.exchange = Exchange {
            deferred: Some((label, bytes.to_vec())),
            ..Exchange::default()
        };
        true
    }

    /// Absorbs what had to wait.
    pub(super) fn absorb_deferred(&mut self) {
        if let Some((label, bytes)) = self.exchange.deferred.take() {
            self.absorb(label, &bytes);
        }
    }

    /// All challenges so far, with their places in the log.
    pub(crate) fn drawn(&self) -> &[(usize, Fr)] {
        &self.drawn
    }
}

impl Lies {
    /// Elements of the message at `place`, as they are sent.
    pub(super) fn about<'a>(&self, place: usize, values: &'a [Fr]) -> Cow<'a, [Fr]> {
        let mut values = Cow::Borrowed(values);
        for (&(_, at), lie) in self.elements.range((place, 0)..(place + 1, 0)) {
            values.to_mut()[at] += lie;
        }
        values
    }

    /// Elements of the next message, as they are before their pads; it is noted. Its variables begin with `first`: pads, or, of a row, its elements.
    pub(super) fn of_message<'a>(
        &self,
        sponge: &Sponge,
        (first, is_row): (usize, bool),
        values: &'a [Fr],
        messages: &mut Vec<Message>,
    ) -> Cow<'a, [Fr]> {
        let place = sponge.log().len();
        let values = self.about(place, values);
        messages.push(Message {
            place,
            first: first as Variable,
            len: values.len(),
            elements: values.to_vec(),
            is_row,
        });
        values
    }

    /// The pads of the next message.
    pub(super) fn pads_of(&self, sponge: &Sponge, mut pads: Vec<Fr>) -> Vec<Fr> {
        if self.turned == Some(sponge.log().len()) {
            pads.rotate_left(1);
        }
        pads
    }

    /// Points of the message at `place`, as they are sent.
    pub(super) fn about_points<'a>(
        &self,
        place: usize,
        points: &'a [GroupElement],
    ) -> Cow<'a, [GroupElement]> {
        let mut points = Cow::Borrowed(points);
        for (&(_, at), lie) in self.points.range((place, 0)..(place + 1, 0)) {
            let point = &mut points.to_mut()[at];
            *point = (*point + lie).into_affine();
        }
        points
    }
}

impl ProverTranscript {
    /// Has something added to what is sent.
    pub(crate) fn lie(&mut self, lies: Lies) {
        self.lies = lies;
    }

    /// The hidden messages so far.
    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Every hidden element so far, by variable.
    pub(crate) fn hidden_values(&self) -> &[Fr] {
        &self.secrets.values
    }
}
