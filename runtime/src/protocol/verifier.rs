//! The verifier's steps. No panic site: whatever the bytes, the answer is a [`VerifyError`] or acceptance.

use ark_bn254::{Fr, G1Affine};
use ark_ff::{One, Zero};
use rayon::prelude::*;

use super::key::VerifierKey;
use super::proof::{PROTOCOL, Proof};
use super::scales::{Fingerprint, Scales};
use super::statement::{Shown, Statement};
use crate::argument::schedule::Challenges;
use crate::argument::{closing, contraction, logup, opening};
use crate::commitment::decode_point;
use crate::error::VerifyError;
use crate::statement::model::{ColumnId, ColumnKind};
use crate::transcript::{Claims, ELEMENT_BYTES, Form, Sponge, VerifierTranscript};

// verify-path: begin
/// A verification in the making.
pub struct Verifier<'a> {
    key: &'a VerifierKey,
    statement: &'a Statement,
    transcript: VerifierTranscript<'a>,
    challenges: Challenges,
    fingerprint: Fingerprint,
    witness: &'a [[u8; ELEMENT_BYTES]],
    leaf: (Form, Form),
    scales: Vec<Fr>,
    total: Form,
}

impl<'a> Verifier<'a> {
    /// Checks lengths and ranges, and binds the transcript to the model and to what is public.
    ///
    /// # Errors
    /// [`VerifyError::Length`], [`VerifyError::Statement`].
    pub fn start(
        key: &'a VerifierKey,
        statement: &'a Statement,
        proof: &'a Proof,
    ) -> Result<Self, VerifyError> {
        if proof.as_bytes().len() != key.proof_bytes() {
            return Err(VerifyError::Length {
                expected: key.proof_bytes(),
                got: proof.as_bytes().len(),
            });
        }
        let sponge = public_sponge(key, statement);
        Self::replay(key, statement, sponge, proof.elements()?)
    }

    /// A verifier of a proof that may not be whole yet.
    pub(super) fn replay(
        key: &'a VerifierKey,
        statement: &'a Statement,
        sponge: Sponge,
        proof: &'a [u8],
    ) -> Result<Self, VerifyError> {
        statement.check(key.model())?;
        let zero = Fr::zero();
        Ok(Self {
            key,
            statement,
            transcript: VerifierTranscript::new(sponge, proof, key.model().hides()),
            challenges: Challenges::default(),
            fingerprint: Fingerprint {
                alpha: zero,
                beta: zero,
            },
            witness: &[],
            leaf: Default::default(),
            scales: Vec::new(),
            total: Form::default(),
        })
    }

    /// What is left to check after all steps but the last.
    pub(super) fn claims(mut self) -> Result<Claims, VerifyError> {
        self.commit()?;
        self.lookups()?;
        self.contractions()?;
        self.opening()?;
        Ok(self.transcript.take_claims())
    }

    /// Reads the witness commitments.
    ///
    /// # Errors
    /// [`VerifyError::NonCanonical`].
    pub fn commit(&mut self) -> Result<(), VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/commit").entered();
        self.witness = self
            .transcript
            .receive_points("witness rows", self.key.schedule().committed_rows)?;
        self.fingerprint.alpha = self.transcript.sponge.challenge("alpha");
        self.fingerprint.beta = self.transcript.sponge.challenge("beta");
        Ok(())
    }

    /// Reduces all lookups to a claim on the leaves.
    ///
    /// # Errors
    /// [`VerifyError::Lookup`], [`VerifyError::Sumcheck`].
    pub fn lookups(&mut self) -> Result<(), VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/lookups").entered();
        let claim = logup::verify(self.key.schedule().leaves.len_log2, &mut self.transcript)?;
        self.leaf = (claim.numerator, claim.denominator);
        self.challenges.rho = claim.point;
        self.challenges.tau = self
            .transcript
            .sponge
            .challenges("tau", self.key.schedule().tau_len);
        Ok(())
    }

    /// Reduces the products in the one equation to claims on their operands.
    ///
    /// # Errors
    /// [`VerifyError::Sumcheck`].
    pub fn contractions(&mut self) -> Result<(), VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/contractions").entered();
        let (model, schedule) = (self.key.model(), self.key.schedule());
        let eta = self.transcript.sponge.challenge("eta");
        let scales = Scales::new(model, schedule, self.fingerprint, &self.challenges, eta)?;
        let target = scales.target(
            (&self.leaf.0, &self.leaf.1),
            &self.challenges,
            self.statement,
        )?;
        let factors = schedule
            .contractions
            .iter()
            .map(|contraction| scales.factor(&contraction.scale, &self.challenges));
        let products = factors.collect::<Result<Vec<_>, _>>()?;
        let factors = schedule
            .linear
            .iter()
            .map(|linear| scales.factor(&linear.scale, &self.challenges));
        let mut linear = factors.collect::<Result<Vec<_>, _>>()?;
        let [part] = self.transcript.receive_array("linear part")?;
        let evaluations = contraction::verify(
            schedule,
            target.plus(-Fr::one(), &part),
            &products,
            &mut self.challenges,
            &mut self.transcript,
        )?;
        let gamma = self.transcript.sponge.challenge("gamma");
        let mut power = gamma;
        let mut total = part.plus_constant(-opening::constant_value(schedule, &linear)?);
        for evaluation in &evaluations {
            total.add(power, evaluation);
            linear.push(power);
            power *= gamma;
        }
        self.scales = linear;
        self.total = total;
        Ok(())
    }

    /// Reduces every claim that is left to one row of the commitments.
    ///
    /// # Errors
    /// [`VerifyError::Sumcheck`], [`VerifyError::Opening`].
    pub fn opening(&mut self) -> Result<(), VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/opening").entered();
        opening::verify(
            self.key.model(),
            self.key.schedule(),
            std::mem::take(&mut self.total),
            &self.scales,
            &self.challenges,
            &mut self.transcript,
        )
    }

    /// Checks all that is left, and rejects leftovers.
    ///
    /// # Errors
    /// [`VerifyError::Closing`], [`VerifyError::Opening`], [`VerifyError::NonCanonical`], [`VerifyError::TrailingBytes`].
    pub fn finish(mut self) -> Result<(), VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/closing").entered();
        let witness = self.witness_points()?;
        let rows = closing::Rows {
            constants: self.key.commitments(),
            witness: &witness,
        };
        closing::verify(self.key.model().hides(), rows, &mut self.transcript)?;
        self.transcript.finish()
    }

    /// Commitments to all witness columns: from the statement what is shown there, the rest from the proof.
    fn witness_points(&self) -> Result<Vec<G1Affine>, VerifyError> {
        const LABEL: VerifyError = VerifyError::NonCanonical {
            label: "witness rows",
        };
        const SHORT: VerifyError = VerifyError::Key("a column has no commitments");
        let sent = self
            .witness
            .par_iter()
            .map(|bytes| decode_point(bytes).ok_or(LABEL))
            .collect::<Result<Vec<_>, _>>()?;
        let schedule = self.key.schedule();
        let mut shown = self.statement.shown().filter_map(Shown::commitment);
        let mut commitments = Vec::with_capacity(schedule.shown.len());
        for id in &schedule.shown {
            commitments.push((*id, shown.next().ok_or(SHORT)?));
        }
        let mut rest = sent.as_slice();
        let mut points = Vec::with_capacity(schedule.witness_rows);
        let columns = self.key.model().columns.iter();
        // len: one range a column, 2^32 ids suffice
        for ((id, column), range) in (0u32..).map(ColumnId).zip(columns).zip(&schedule.rows) {
            if column.kind == ColumnKind::Constant {
                continue;
            }
            if let Some((_, commitment)) = commitments.iter().find(|(shown, _)| *shown == id) {
                points.extend_from_slice(commitment.rows());
            } else {
                let (head, tail) = rest.split_at_checked(range.len).ok_or(SHORT)?;
                points.extend_from_slice(head);
                rest = tail;
            }
        }
        Ok(points)
    }
}

/// What both sides know before the proof.
pub(super) fn public_sponge(key: &VerifierKey, statement: &Statement) -> Sponge {
    let mut sponge = Sponge::new(PROTOCOL);
    sponge.absorb("model", &key.digest());
    sponge.absorb("statement", &statement.to_bytes());
    sponge
}
// verify-path: end

#[cfg(test)]
impl Verifier<'_> {
    /// What [`Self::finish`] goes by once all other steps are taken: what is left to check, the witness' rows, and the transcript's state.
    pub(super) fn before_closing(mut self) -> Result<(Claims, Vec<G1Affine>, Sponge), VerifyError> {
        self.commit()?;
        self.lookups()?;
        self.contractions()?;
        self.opening()?;
        let witness = self.witness_points()?;
        Ok((
            self.transcript.take_claims(),
            witness,
            self.transcript.sponge,
        ))
    }
}
