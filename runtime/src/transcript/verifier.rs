//! The verifier's side: receiving is absorbing.

use std::ops::Range;

use super::{AffineForm, ELEMENT_BYTES, Equation, PADS, Sponge, Variable, decode_field};
use crate::error::VerifyError;
use crate::field::Fr;

// verify-path: begin
/// Reads messages in the clear, or under pads.
pub struct VerifierTranscript<'a> {
    /// Public data and challenges.
    pub sponge: Sponge,
    proof: &'a [u8],
    /// Those that are left; none where nothing is hidden.
    pads: Option<Range<Variable>>,
    /// Those of the opened row.
    row: Range<Variable>,
    claims: Claims,
}

/// What is left to check when all messages were read.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Commitments to hidden elements: the pads, a late row if there is one, the opened row.
    pub hidden: Vec<HiddenRow>,
    /// Equations in hidden elements.
    pub equations: Vec<Equation>,
    variables: Variable,
}

/// Hidden elements under one commitment.
#[derive(Debug)]
pub(crate) struct HiddenRow {
    /// Its variables.
    pub variables: Range<Variable>,
    /// Their commitment.
    pub commitment: Committed,
}

/// Where a commitment to hidden elements is.
#[derive(Debug)]
pub(crate) enum Committed {
    /// In the proof.
    Pads([u8; ELEMENT_BYTES]),
    /// In the proof.
    Late([u8; ELEMENT_BYTES]),
    /// The sum of the constants' and the witness' rows with these weights.
    Opened([Vec<Fr>; 2]),
}

impl<'a> VerifierTranscript<'a> {
    /// Reads `proof` from its start.
    pub fn new(sponge: Sponge, proof: &'a [u8]) -> Self {
        Self {
            sponge,
            proof,
            pads: None,
            row: 0..0,
            claims: Claims::default(),
        }
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

    /// The next `len` variables.
    fn variables(&mut self, len: usize) -> Result<Range<Variable>, VerifyError> {
        let first = self.claims.variables;
        let count = Variable::try_from(len).map_err(|_| VerifyError::Truncated)?;
        let end = first.checked_add(count).ok_or(VerifyError::Truncated)?;
        self.claims.variables = end;
        Ok(first..end)
    }

    /// Receives `len` canonical field elements in the clear.
    pub(crate) fn receive_clear(
        &mut self,
        label: &'static str,
        len: usize,
    ) -> Result<Vec<Fr>, VerifyError> {
        let chunks = self.take(label, len)?;
        chunks
            .iter()
            .map(|bytes| decode_field(bytes).ok_or(VerifyError::NonCanonical { label }))
            .collect()
    }

    /// Receives the commitment to `len` pads, where a row of `row` elements will be opened: what is received from here on is under them.
    pub(crate) fn receive_pads(&mut self, len: usize, row: usize) -> Result<(), VerifyError> {
        self.row = self.variables(row)?;
        let variables = self.variables(len)?;
        self.receive_hidden(PADS, variables.clone(), Committed::Pads)?;
        self.pads = Some(variables);
        Ok(())
    }

    /// Receives `len` elements.
    pub fn receive(
        &mut self,
        label: &'static str,
        len: usize,
    ) -> Result<Vec<AffineForm>, VerifyError> {
        let values = self.receive_clear(label, len)?;
        let Some(pads) = &mut self.pads else {
            return Ok(values.into_iter().map(AffineForm::constant).collect());
        };
        let padded = |value| pads.next().map(|pad| AffineForm::padded(value, pad));
        let forms = values.into_iter().map(padded);
        let forms: Option<Vec<AffineForm>> = forms.collect();
        forms.ok_or(VerifyError::Key("an element has no pad"))
    }

    /// Receives exactly `N` elements.
    pub fn receive_array<const N: usize>(
        &mut self,
        label: &'static str,
    ) -> Result<[AffineForm; N], VerifyError> {
        let forms = self.receive(label, N)?;
        forms.try_into().map_err(|_| VerifyError::Truncated)
    }

    /// Receives `len` elements in one commitment, where something is hidden.
    pub fn receive_row(
        &mut self,
        label: &'static str,
        len: usize,
    ) -> Result<Vec<AffineForm>, VerifyError> {
        if self.pads.is_none() {
            return self.receive(label, len);
        }
        let variables = self.variables(len)?;
        self.receive_hidden(label, variables.clone(), Committed::Late)?;
        Ok(variables.map(AffineForm::variable).collect())
    }

    fn receive_hidden(
        &mut self,
        label: &'static str,
        variables: Range<Variable>,
        committed: fn([u8; ELEMENT_BYTES]) -> Committed,
    ) -> Result<(), VerifyError> {
        let [bytes] = self.take(label, 1)? else {
            return Err(VerifyError::Truncated);
        };
        self.claims.hidden.push(HiddenRow {
            variables,
            commitment: committed(*bytes),
        });
        Ok(())
    }

    /// A row of `len` elements whose commitment is the weighted sum of the constants' and the witness' rows. It is answered for when the proof is
    /// closed.
    pub fn open_row(
        &mut self,
        len: usize,
        weights: [Vec<Fr>; 2],
    ) -> Result<Vec<AffineForm>, VerifyError> {
        if self.pads.is_none() {
            self.row = self.variables(len)?;
        }
        if self.row.len() != len {
            return Err(VerifyError::Key("another row was to be opened"));
        }
        self.claims.hidden.push(HiddenRow {
            variables: self.row.clone(),
            commitment: Committed::Opened(weights),
        });
        Ok(self.row.clone().map(AffineForm::variable).collect())
    }

    /// Receives `len` curve points in compressed form, to be decoded later.
    pub fn receive_points(
        &mut self,
        label: &'static str,
        len: usize,
    ) -> Result<&'a [[u8; ELEMENT_BYTES]], VerifyError> {
        self.take(label, len)
    }

    /// Requires that an equation holds: now if nothing in it is hidden, else when the proof is closed.
    ///
    /// # Errors
    /// `otherwise` if it is known not to hold.
    pub fn require(
        &mut self,
        equation: Equation,
        otherwise: VerifyError,
    ) -> Result<(), VerifyError> {
        match equation.value() {
            Some(value) if value == Fr::from(0u64) => Ok(()),
            Some(_) => Err(otherwise),
            None => {
                self.claims.equations.push(equation);
                Ok(())
            }
        }
    }

    /// What is left to check.
    pub(crate) fn take_claims(&mut self) -> Claims {
        std::mem::take(&mut self.claims)
    }

    /// Rejects leftovers.
    pub fn finish(&self) -> Result<(), VerifyError> {
        if self.proof.is_empty() {
            Ok(())
        } else {
            Err(VerifyError::TrailingBytes)
        }
    }
}

impl Claims {
    /// Number of hidden elements.
    pub fn variables(&self) -> usize {
        self.variables as usize
    }
}
// verify-path: end
