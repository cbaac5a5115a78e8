//! The verifier's steps. No panic site: whatever the bytes, the answer is a [`VerifyError`] or acceptance.

use ark_bn254::{Fr, G1Affine};
use ark_ff::Zero;

use super::scales::{Fingerprint, Scales};
use super::{PROTOCOL, Proof, Statement};
use crate::error::VerifyError;
use crate::key::VerifierKey;
use crate::schedule::Challenges;
use crate::transcript::{Sponge, VerifierTranscript};
use crate::{contraction, logup, opening};

// verify-path: begin
/// A verification in the making.
pub struct Verifier<'a> {
    key: &'a VerifierKey,
    statement: &'a Statement,
    transcript: VerifierTranscript<'a>,
    challenges: Challenges,
    fingerprint: Fingerprint,
    witness: Vec<G1Affine>,
    leaf: (Fr, Fr),
    scales: Vec<Fr>,
    total: Fr,
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
        statement.check(key.model())?;
        let mut sponge = Sponge::new(PROTOCOL);
        sponge.absorb("model", &key.digest());
        sponge.absorb("statement", &statement.to_bytes());
        let zero = Fr::zero();
        Ok(Self {
            key,
            statement,
            transcript: VerifierTranscript::new(sponge, proof.as_bytes()),
            challenges: Challenges::default(),
            fingerprint: Fingerprint {
                alpha: zero,
                beta: zero,
            },
            witness: Vec::new(),
            leaf: (zero, zero),
            scales: Vec::new(),
            total: zero,
        })
    }

    /// Reads the witness commitments.
    ///
    /// # Errors
    /// [`VerifyError::NonCanonical`].
    pub fn commit(&mut self) -> Result<(), VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/commit").entered();
        self.witness = self
            .transcript
            .receive_points("witness rows", self.key.schedule().witness_rows)?;
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
            self.leaf,
            &self.challenges,
            &self.statement.inputs,
            &self.statement.outputs,
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
            target - part,
            &products,
            &mut self.challenges,
            &mut self.transcript,
        )?;
        let gamma = self.transcript.sponge.challenge("gamma");
        let mut power = gamma;
        let mut total = part - opening::constant_value(schedule, &linear)?;
        for evaluation in &evaluations {
            total += power * evaluation;
            linear.push(power);
            power *= gamma;
        }
        self.scales = linear;
        self.total = total;
        Ok(())
    }

    /// Checks every claim that is left against the commitments.
    ///
    /// # Errors
    /// [`VerifyError::Sumcheck`], [`VerifyError::Opening`].
    pub fn opening(&mut self) -> Result<(), VerifyError> {
        let _span = tracing::info_span!(target: "zkiln", "verify/opening").entered();
        let (model, schedule) = (self.key.model(), self.key.schedule());
        let rows = opening::Rows {
            constants: self.key.commitments(),
            witness: &self.witness,
        };
        opening::verify(
            model,
            schedule,
            rows,
            self.total,
            &self.scales,
            &self.challenges,
            &mut self.transcript,
        )
    }

    /// Rejects leftovers.
    ///
    /// # Errors
    /// [`VerifyError::TrailingBytes`].
    pub fn finish(self) -> Result<(), VerifyError> {
        self.transcript.finish()
    }
}
// verify-path: end
