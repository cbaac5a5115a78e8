//! All linear claims on the committed rows, in one short sumcheck and one vector.
//!
//! Claim: `total = sum_i s_i * <matrix, w_i (x) e_i>`, rank-one pieces grouped by their distinct weights `e_p` along a row. With `v_p = sum_row w_p[row] * row`:
//! 1. a sumcheck over the row's variables reduces `total = sum_p sum_x v_p(x) e_p(x)` to the values `y_p = v_p(r)`, which are sent;
//! 2. a challenge folds them: `u = sum_p delta^p v_p` is opened when the proof is closed, and checked by `<u, eq(r)> = sum_p delta^p y_p` and
//!    `commit(u) = sum_row (sum_p delta^p w_p[row]) * C_row` *(Hyrax, Wahby et al. 2017/1132, section 6, with many points)*.

pub(crate) mod gather;

use std::collections::BTreeMap;

use ark_ff::{AdditiveGroup, One, Zero};
use rayon::prelude::*;

use crate::argument::inner_product::{bind, next_claim, round};
use crate::argument::schedule::{Challenges, Group, Piece, Rows, Schedule, TensorFunctional};
use crate::error::VerifyError;
use crate::field::{Fr, dot, eq_at, eq_table, scale_and_add};
use crate::statement::model::Model;
use crate::transcript::{AffineForm, Equation, ProverTranscript, VerifierTranscript};
use crate::witness::trace::Trace;

const NAME: &str = "opening";

/// What is claimed of a group: weights of the rows of each span, and of the entries of a row, as a sum of `factor * weights` from an entry on.
#[derive(Clone, Default)]
struct GroupWeights<'s> {
    rows: BTreeMap<usize, Vec<Fr>>,
    entries: Vec<(usize, Fr, &'s TensorFunctional)>,
}

/// `sum_i coefficients[i] * functional_i`, with functionals in the order of [`Schedule::pieces`]: what is opened.
#[derive(Clone, Copy)]
pub(crate) struct BatchedClaims<'a> {
    pub model: &'a Model,
    pub schedule: &'a Schedule,
    pub coefficients: &'a [Fr],
    pub challenges: &'a Challenges,
}

/// Opens the claims for rows that were committed under `blinders`: constants' rows, then the witness'.
pub(crate) fn prove(
    claims: &BatchedClaims,
    trace: &Trace,
    blinders: [&[Fr]; 2],
    transcript: &mut ProverTranscript,
) {
    let &BatchedClaims {
        model,
        schedule,
        coefficients,
        challenges,
    } = claims;
    let weights = group_weights(schedule, &schedule.pieces, coefficients, challenges)
        .expect("schedule and challenges agree");
    let row = 1usize << model.row_log2;
    let combined: Vec<Vec<Fr>> = weights
        .par_iter()
        .map(|group| combine(&schedule.rows, &group.rows, trace, row))
        .collect();
    let mut claims: Vec<(Vec<Fr>, Vec<Fr>)> = combined
        .par_iter()
        .zip_eq(&weights)
        .map(|(v, group)| (v.clone(), group.vector(row, challenges)))
        .collect();
    let mut point = Vec::with_capacity(usize::from(model.row_log2));
    for _ in 0..model.row_log2 {
        let [constant, square] = claims
            .par_iter()
            .with_min_len(4)
            .map(|(v, e)| round(v, e))
            .reduce(|| [Fr::ZERO; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
        transcript.send("opening round", &[constant, square]);
        let r = transcript.sponge.challenge("opening round");
        claims.par_iter_mut().with_min_len(4).for_each(|(v, e)| {
            bind(v, r);
            bind(e, r);
        });
        point.push(r);
    }
    let values: Vec<Fr> = claims.iter().map(|(v, _)| v[0]).collect();
    transcript.send("opened values", &values);
    let delta = transcript.sponge.challenge("opened vector");
    let mut opened = vec![Fr::zero(); row];
    for v in combined.iter().rev() {
        scale_and_add(&mut opened, &delta, v);
    }
    let folded = fold_rows(&schedule.rows, &weights, delta).expect("the key is well-formed");
    let pairs = folded.iter().zip(blinders);
    let blinder: Fr = pairs
        .map(|(weights, blinders)| dot(weights, blinders))
        .sum();
    transcript.open_row(&opened, blinder, eq_table(&point));
}

/// `sum_row weight * row` over the rows of some spans.
fn combine(rows: &Rows, weights: &BTreeMap<usize, Vec<Fr>>, trace: &Trace, row: usize) -> Vec<Fr> {
    let parts = weights.par_iter();
    let parts =
        parts.map(|(&span, of_rows)| gather::combine(rows, &rows.spans[span], of_rows, row, trace));
    parts
        .fold(|| vec![Fr::zero(); row], add)
        .reduce_with(add)
        .unwrap_or_else(|| vec![Fr::zero(); row])
}

fn add(mut sum: Vec<Fr>, other: Vec<Fr>) -> Vec<Fr> {
    sum.iter_mut()
        .zip(other)
        .for_each(|(sum, other)| *sum += other);
    sum
}

/// Value of the linear summands, which come first in [`Schedule::pieces`], and of what is known among them.
pub(crate) fn linear_value(
    model: &Model,
    schedule: &Schedule,
    trace: &Trace,
    coefficients: &[Fr],
    challenges: &Challenges,
) -> Fr {
    let row = 1usize << model.row_log2;
    let pieces = schedule
        .pieces
        .get(..coefficients.len())
        .expect("linear summands come first");
    let groups = group_weights(schedule, pieces, coefficients, challenges)
        .expect("schedule and challenges agree");
    let value = |group: &GroupWeights| {
        if group.rows.is_empty() {
            return Fr::zero();
        }
        dot(
            &combine(&schedule.rows, &group.rows, trace, row),
            &group.vector(row, challenges),
        )
    };
    let functionals: Fr = groups.par_iter().map(value).sum();
    let known = known_value(model, schedule, coefficients, challenges);
    functionals + known.expect("schedule and challenges agree")
}

// verify-path: begin
/// Value of the first claims, as many as there are coefficients, that read nothing which is committed: constants, and structural columns.
pub(crate) fn known_value(
    model: &Model,
    schedule: &Schedule,
    coefficients: &[Fr],
    challenges: &Challenges,
) -> Result<Fr, VerifyError> {
    let mut sum = Fr::zero();
    // len: as many as coefficients
    for (functional, coefficient) in schedule.claims().zip(coefficients) {
        if let Some(value) = functional.known_value(model, challenges)? {
            sum += *coefficient * value;
        }
    }
    Ok(sum)
}

/// Verifies that the claims sum to `total` for the committed rows, whose opening is left to the transcript.
///
/// # Errors
/// [`VerifyError::Sumcheck`] or [`VerifyError::Opening`].
pub(crate) fn verify(
    claims: &BatchedClaims,
    total: AffineForm,
    transcript: &mut VerifierTranscript,
) -> Result<(), VerifyError> {
    let &BatchedClaims {
        model,
        schedule,
        coefficients,
        challenges,
    } = claims;
    let mut claim = total;
    let mut point = Vec::with_capacity(usize::from(model.row_log2));
    for _ in 0..model.row_log2 {
        let message = transcript.receive_array("opening round")?;
        let r = transcript.sponge.challenge("opening round");
        claim = next_claim(claim, &message, r);
        point.push(r);
    }
    let weights = group_weights(schedule, &schedule.pieces, coefficients, challenges)?;
    let values = transcript.receive("opened values", weights.len())?;
    let mut last = claim.times(-Fr::one());
    // len: received as many
    for (value, group) in values.iter().zip(&weights) {
        last.add(group.evaluate(&point, challenges)?, value);
    }
    transcript.require(Equation::linear(last), VerifyError::Sumcheck(NAME))?;
    let delta = transcript.sponge.challenge("opened vector");
    let row = 1usize
        .checked_shl(u32::from(model.row_log2))
        .ok_or(VerifyError::Key("rows are too long"))?;
    let opened = transcript.open_row(row, fold_rows(&schedule.rows, &weights, delta)?)?;
    let mut folded = AffineForm::default();
    let mut power = -Fr::one();
    for value in &values {
        folded.add(power, value);
        power *= delta;
    }
    // len: both of a row's length
    for (entry, weight) in opened.iter().zip(&eq_table(&point)) {
        folded.add(*weight, entry);
    }
    transcript.require(Equation::linear(folded), VerifyError::Opening)
}

/// The weight of every row, constants' and witness', in the folded vector.
fn fold_rows(rows: &Rows, groups: &[GroupWeights], delta: Fr) -> Result<[Vec<Fr>; 2], VerifyError> {
    const MISSING: VerifyError = VerifyError::Key("no such rows");
    let mut folded = [
        vec![Fr::zero(); rows.constants],
        vec![Fr::zero(); rows.witness],
    ];
    let mut power = Fr::one();
    for group in groups {
        for (&index, weights) in &group.rows {
            let span = rows.spans.get(index).ok_or(MISSING)?;
            let [constants, witness] = &mut folded;
            let side = if span.is_constant { constants } else { witness };
            let end = span.first.checked_add(span.len).ok_or(MISSING)?;
            let slots = side.get_mut(span.first..end).ok_or(MISSING)?;
            if slots.len() != weights.len() {
                return Err(UNFIT);
            }
            slots
                .iter_mut()
                // len: checked above
                .zip(weights)
                .for_each(|(slot, weight)| *slot += power * weight);
        }
        power *= delta;
    }
    Ok(folded)
}

const UNFIT: VerifyError = VerifyError::Key("a functional does not fit its column's rows");

/// The weights of each group: claims scaled and summed.
fn group_weights<'s>(
    schedule: &'s Schedule,
    pieces: &[Vec<Piece>],
    coefficients: &[Fr],
    challenges: &Challenges,
) -> Result<Vec<GroupWeights<'s>>, VerifyError> {
    if coefficients.len() != pieces.len() {
        return Err(VerifyError::Key("a functional has no coefficient"));
    }
    let mut groups: Vec<_> = schedule.groups.iter().map(GroupWeights::new).collect();
    // len: checked above
    for (pieces, coefficient) in pieces.iter().zip(coefficients) {
        for piece in pieces {
            let group = match piece {
                Piece::Rows { group, .. } | Piece::Entries { group, .. } => *group,
            };
            let group = groups
                .get_mut(group)
                .ok_or(VerifyError::Key("no such group"))?;
            group.add(piece, *coefficient, challenges)?;
        }
    }
    Ok(groups)
}

impl<'s> GroupWeights<'s> {
    /// Of a group without claims.
    fn new(group: &'s Group) -> Self {
        let entries = match group {
            Group::Alike(weights) => vec![(0, Fr::one(), weights)],
            Group::Shared(list) => {
                let entries = list.iter();
                entries
                    .map(|(at, weights)| (*at, Fr::zero(), weights))
                    .collect()
            }
        };
        Self {
            rows: BTreeMap::new(),
            entries,
        }
    }

    fn add(
        &mut self,
        piece: &Piece,
        coefficient: Fr,
        challenges: &Challenges,
    ) -> Result<(), VerifyError> {
        match piece {
            Piece::Rows { span, high, .. } => {
                let weights = high.vector(challenges)?;
                let sums = self
                    .rows
                    .entry(*span)
                    .or_insert_with(|| vec![Fr::zero(); weights.len()]);
                if sums.len() != weights.len() {
                    return Err(UNFIT);
                }
                sums.iter_mut()
                    // len: checked above
                    .zip(&weights)
                    .for_each(|(sum, weight)| *sum += coefficient * weight);
            }
            Piece::Entries {
                span,
                weights,
                factor,
                ..
            } => {
                self.rows.insert(*span, vec![Fr::one()]);
                let slot = self.entries.get_mut(*weights);
                let (_, sum, _) = slot.ok_or(UNFIT)?;
                *sum += coefficient * factor.evaluate(&[], challenges)?;
            }
        }
        Ok(())
    }

    /// The multilinear extension of the entries' weights at a point of a row's variables.
    fn evaluate(&self, point: &[Fr], challenges: &Challenges) -> Result<Fr, VerifyError> {
        let mut sum = Fr::zero();
        for (at, factor, weights) in &self.entries {
            if factor.is_zero() {
                continue;
            }
            let bits = weights.log2();
            let (above, below) = point
                .len()
                .checked_sub(bits as usize)
                .and_then(|len| point.split_at_checked(len))
                .ok_or(UNFIT)?;
            let place = eq_at(above, at.checked_shr(bits).unwrap_or(0));
            sum += *factor * place * weights.evaluate(below, challenges)?;
        }
        Ok(sum)
    }
}
// verify-path: end

impl GroupWeights<'_> {
    /// The weights of a row's entries.
    fn vector(&self, row: usize, challenges: &Challenges) -> Vec<Fr> {
        let mut out = vec![Fr::zero(); row];
        for (at, factor, weights) in &self.entries {
            if factor.is_zero() {
                continue;
            }
            let weights = weights
                .vector(challenges)
                .expect("schedule and challenges agree");
            let slots = out[*at..].iter_mut().zip(weights);
            slots.for_each(|(slot, weight)| *slot += *factor * weight);
        }
        out
    }
}

#[cfg(test)]
mod tests;
