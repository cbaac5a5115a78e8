//! The verifier's steps, as the prover's. No panic site: whatever the bytes, the answer is a [`VerifyError`] or acceptance.

use ark_ff::One;

use super::coefficients::{Coefficients, Fingerprint};
use super::key::VerifierKey;
use super::proof::{PROTOCOL, Proof};
use super::statement::{Shown, Statement};
use crate::argument::schedule::Challenges;
use crate::argument::schedule::cost::row_len;
use crate::argument::{closing, contraction, logup, opening};
use crate::commitment::{GroupElement, decode_points};
use crate::error::VerifyError;
use crate::field::Fr;
use crate::transcript::{AffineForm, Claims, ELEMENT_BYTES, Sponge, VerifierTranscript};

// verify-path: begin
/// A verification in the making, after the step `Step`.
pub struct Verifier<'a, Step = Started> {
    session: Session<'a>,
    step: Step,
}

/// What all steps need.
struct Session<'a> {
    key: &'a VerifierKey,
    statement: &'a Statement,
    transcript: VerifierTranscript<'a>,
}

/// Lengths and ranges fit; nothing is read.
pub struct Started(());

/// The commitments to the witness are read.
pub struct Committed<'a> {
    witness: Witness<'a>,
    fingerprint: Fingerprint,
}

/// Lookups are reduced to a claim on their leaves.
pub struct Reduced<'a> {
    witness: Witness<'a>,
    fingerprint: Fingerprint,
    challenges: Challenges,
    /// Numerator and denominator.
    leaf: (AffineForm, AffineForm),
}

/// Products are reduced to claims on their operands: all claims that are left are linear.
pub struct Contracted<'a> {
    witness: Witness<'a>,
    challenges: Challenges,
    /// Factor of each claim.
    coefficients: Vec<Fr>,
    /// What the claims sum to.
    total: AffineForm,
}

/// All claims are reduced to one row, and to equations in what is hidden.
pub struct Opened<'a> {
    witness: Witness<'a>,
}

/// The rows' commitments in a proof, still to be decoded.
type Witness<'a> = &'a [[u8; ELEMENT_BYTES]];

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
        let session = Session {
            key,
            statement,
            transcript: VerifierTranscript::new(sponge, proof),
        };
        Ok(session.after(Started(())))
    }

    /// All steps but the last.
    ///
    /// # Errors
    /// Those of the steps.
    pub fn steps(self) -> Result<Verifier<'a, Opened<'a>>, VerifyError> {
        self.commit()?.lookups()?.contractions()?.opening()
    }

    /// Reads the commitments to the witness, and to the pads of what is to come.
    ///
    /// # Errors
    /// [`VerifyError::NonCanonical`].
    pub fn commit(self) -> Result<Verifier<'a, Committed<'a>>, VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/commit").entered();
        let Self { mut session, .. } = self;
        let (model, schedule) = (session.key.model(), session.key.schedule());
        let rows = schedule.committed_rows;
        let witness = session.transcript.receive_points("witness rows", rows)?;
        if model.hides() {
            session
                .transcript
                .receive_pads(schedule.pads(model), row_len(model))?;
        }
        let fingerprint = Fingerprint {
            alpha: session.transcript.sponge.challenge("alpha"),
            beta: session.transcript.sponge.challenge("beta"),
        };
        Ok(session.after(Committed {
            witness,
            fingerprint,
        }))
    }
}

impl<'a> Verifier<'a, Committed<'a>> {
    /// Reduces all lookups to a claim on the leaves.
    ///
    /// # Errors
    /// [`VerifyError::Lookup`], [`VerifyError::Sumcheck`].
    pub fn lookups(self) -> Result<Verifier<'a, Reduced<'a>>, VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/lookups").entered();
        let Self { mut session, step } = self;
        let schedule = session.key.schedule();
        let claim = logup::verify(schedule.leaves.len_log2, &mut session.transcript)?;
        let tau = session
            .transcript
            .sponge
            .challenges("tau", schedule.tau_len);
        Ok(session.after(Reduced {
            witness: step.witness,
            fingerprint: step.fingerprint,
            challenges: Challenges::new(claim.point, tau),
            leaf: (claim.numerator, claim.denominator),
        }))
    }
}

impl<'a> Verifier<'a, Reduced<'a>> {
    /// Reduces the products in the one equation to claims on their operands.
    ///
    /// # Errors
    /// [`VerifyError::Sumcheck`].
    pub fn contractions(self) -> Result<Verifier<'a, Contracted<'a>>, VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/contractions").entered();
        let Self { mut session, step } = self;
        let (model, schedule) = (session.key.model(), session.key.schedule());
        let mut challenges = step.challenges;
        let eta = session.transcript.sponge.challenge("eta");
        let coefficients = Coefficients::new(model, schedule, step.fingerprint, &challenges, eta)?;
        let (numerator, denominator) = &step.leaf;
        let target =
            coefficients.target((numerator, denominator), &challenges, session.statement)?;
        let [products, mut linear] = coefficients.factors(&challenges)?;
        let [part] = session.transcript.receive_array("linear part")?;
        let evaluations = contraction::verify(
            schedule,
            target.plus(-Fr::one(), &part),
            &products,
            &mut challenges,
            &mut session.transcript,
        )?;
        let gamma = session.transcript.sponge.challenge("gamma");
        let mut power = gamma;
        let mut total = part;
        for evaluation in &evaluations {
            total.add(power, evaluation);
            linear.push(power);
            power *= gamma;
        }
        let known = opening::known_value(model, schedule, &linear, &challenges)?;
        let total = total.plus_constant(-known);
        Ok(session.after(Contracted {
            witness: step.witness,
            challenges,
            coefficients: linear,
            total,
        }))
    }
}

impl<'a> Verifier<'a, Contracted<'a>> {
    /// Reduces every claim that is left to one row of the commitments.
    ///
    /// # Errors
    /// [`VerifyError::Sumcheck`], [`VerifyError::Opening`].
    pub fn opening(self) -> Result<Verifier<'a, Opened<'a>>, VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/opening").entered();
        let Self { mut session, step } = self;
        let claims = opening::BatchedClaims {
            model: session.key.model(),
            schedule: session.key.schedule(),
            coefficients: &step.coefficients,
            challenges: &step.challenges,
        };
        opening::verify(&claims, step.total, &mut session.transcript)?;
        Ok(session.after(Opened {
            witness: step.witness,
        }))
    }
}

impl<'a> Verifier<'a, Opened<'a>> {
    /// Checks all that is left, and rejects leftovers.
    ///
    /// # Errors
    /// [`VerifyError::Closing`], [`VerifyError::Opening`], [`VerifyError::NonCanonical`], [`VerifyError::TrailingBytes`].
    pub fn finish(self) -> Result<(), VerifyError> {
        self.close().map(drop)
    }

    /// As [`Self::finish`]; gives the transcript to its last challenge.
    pub(super) fn close(self) -> Result<Sponge, VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/closing").entered();
        let witness = self.witness_points()?;
        let Session {
            key,
            mut transcript,
            ..
        } = self.session;
        let rows = closing::Rows {
            constants: key.commitments(),
            witness: &witness,
        };
        let model = key.model();
        closing::verify(model.hides(), model.answer_log2, rows, &mut transcript)?;
        transcript.finish()?;
        Ok(transcript.sponge)
    }

    /// What [`Self::finish`] has to check.
    pub(super) fn claims(mut self) -> Claims {
        self.session.transcript.take_claims()
    }

    /// Commitments to all witness columns: from the statement what is shown there, the rest from the proof.
    fn witness_points(&self) -> Result<Vec<GroupElement>, VerifyError> {
        const MALFORMED_POINT: VerifyError = VerifyError::NonCanonical {
            label: "witness rows",
        };
        const MISSING_ROWS: VerifyError = VerifyError::Key("a column has no commitments");
        let sent = decode_points(self.step.witness).into_iter();
        let sent = sent.collect::<Option<Vec<_>>>().ok_or(MALFORMED_POINT)?;
        let schedule = self.session.key.schedule();
        let mut shown = self.session.statement.shown().filter_map(Shown::commitment);
        let mut commitments = Vec::with_capacity(schedule.shown.len());
        for _ in &schedule.shown {
            commitments.push(shown.next().ok_or(MISSING_ROWS)?);
        }
        let mut rest = sent.as_slice();
        let mut points = Vec::with_capacity(schedule.rows.witness);
        for (span, shown) in schedule.rows.witness_spans(&schedule.shown) {
            if let Some(place) = shown {
                let commitment = commitments.get(place).ok_or(MISSING_ROWS)?;
                points.extend_from_slice(commitment.rows());
            } else {
                let (head, tail) = rest.split_at_checked(span.len).ok_or(MISSING_ROWS)?;
                points.extend_from_slice(head);
                rest = tail;
            }
        }
        Ok(points)
    }
}

impl<'a> Session<'a> {
    /// The verifier after `step`.
    fn after<Step>(self, step: Step) -> Verifier<'a, Step> {
        Verifier {
            session: self,
            step,
        }
    }
}

/// What both sides know before the proof.
pub(super) fn public_sponge(key: &VerifierKey, statement: &Statement) -> Sponge {
    let mut sponge = Sponge::new(PROTOCOL);
    sponge.absorb("context", statement.context.as_bytes());
    sponge.absorb("model", &key.digest());
    sponge.absorb("statement", &statement.port_bytes());
    sponge
}
// verify-path: end

#[cfg(test)]
impl<'a> Verifier<'a, Opened<'a>> {
    /// Everything absorbed and drawn so far.
    pub(super) fn log(&self) -> &[(&'static str, &'static str, usize)] {
        self.session.transcript.sponge.log()
    }

    /// What [`Self::finish`] goes by: what is left to check, the witness' rows, and the transcript.
    pub(super) fn before_closing(
        self,
    ) -> Result<(Claims, Vec<GroupElement>, VerifierTranscript<'a>), VerifyError> {
        let witness = self.witness_points()?;
        let mut transcript = self.session.transcript;
        Ok((transcript.take_claims(), witness, transcript))
    }
}
