//! All linear claims on the committed rows, in one short sumcheck and one vector.
//!
//! Claim: `total = sum_i s_i * <matrix, w_i (x) e_i>`, rank-one pieces grouped by their distinct weights `e_p` along a row. With `v_p = sum_row w_p[row] * row`:
//! 1. a sumcheck over the row's variables reduces `total = sum_p sum_x v_p(x) e_p(x)` to the values `y_p = v_p(r)`, which are sent;
//! 2. a challenge folds them: `u = sum_p delta^p v_p` is opened when the proof is closed, and checked by `<u, eq(r)> = sum_p delta^p y_p` and
//!    `commit(u) = sum_row (sum_p delta^p w_p[row]) * C_row` *(Hyrax, Wahby et al. 2017/1132, section 6, with many points)*.

use std::collections::BTreeMap;

use ark_ff::{AdditiveGroup, One, Zero};
use rayon::prelude::*;

use crate::argument::inner_product::{bind, next_claim, round};
use crate::argument::schedule::{Challenges, Piece, RowRange, Schedule};
use crate::error::VerifyError;
use crate::field::{Fr, eq_table};
use crate::field::{combine_rows_small, dot};
use crate::statement::model::{ColumnId, ColumnKind, Model};
use crate::transcript::{AffineForm, Equation, ProverTranscript, VerifierTranscript};
use crate::witness::trace::Trace;

const NAME: &str = "opening";

/// Weights of the rows of each column that a functional group reads.
type RowWeights = BTreeMap<ColumnId, Vec<Fr>>;

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
    let weights = row_weights(schedule, &schedule.pieces, coefficients, challenges)
        .expect("schedule and challenges agree");
    let row = 1usize << model.row_log2;
    let combined: Vec<Vec<Fr>> = weights
        .par_iter()
        .map(|group| combine(schedule, group, trace, row))
        .collect();
    let mut claims: Vec<(Vec<Fr>, Vec<Fr>)> = combined
        .par_iter()
        .zip_eq(&schedule.lows)
        .map(|(v, low)| {
            (
                v.clone(),
                low.vector(challenges)
                    .expect("schedule and challenges agree"),
            )
        })
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
    let mut power = Fr::one();
    let mut opened = vec![Fr::zero(); row];
    for v in &combined {
        opened
            .par_iter_mut()
            .with_min_len(256)
            .zip_eq(v)
            .for_each(|(u, v)| *u += power * v);
        power *= delta;
    }
    let folded = fold_rows(model, schedule, &weights, delta).expect("the key is well-formed");
    let pairs = folded.iter().zip(blinders);
    let blinder: Fr = pairs
        .map(|(weights, blinders)| dot(weights, blinders))
        .sum();
    transcript.open_row(&opened, blinder, eq_table(&point));
}

/// `sum_row weight * row` over a group's columns.
fn combine(schedule: &Schedule, group: &RowWeights, trace: &Trace, row: usize) -> Vec<Fr> {
    let mut out = vec![Fr::zero(); row];
    for (&column, weights) in group {
        let values = trace.column(column);
        let used = 1 << schedule.rows[column.0 as usize].row_log2;
        let part = combine_rows_small(values, values.len().min(used), weights);
        out.iter_mut()
            .zip(&part)
            .for_each(|(out, part)| *out += part);
    }
    out
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
    let groups = row_weights(schedule, pieces, coefficients, challenges)
        .expect("schedule and challenges agree");
    let value = |(group, low): (&RowWeights, &crate::argument::schedule::TensorFunctional)| {
        if group.is_empty() {
            return Fr::zero();
        }
        dot(
            &combine(schedule, group, trace, row),
            &low.vector(challenges)
                .expect("schedule and challenges agree"),
        )
    };
    let functionals: Fr = groups.par_iter().zip_eq(&schedule.lows).map(value).sum();
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
    let values = transcript.receive("opened values", schedule.lows.len())?;
    let mut last = claim.times(-Fr::one());
    // len: received as many
    for (value, low) in values.iter().zip(&schedule.lows) {
        last.add(low.evaluate(&point, challenges)?, value);
    }
    transcript.require(Equation::linear(last), VerifyError::Sumcheck(NAME))?;
    let delta = transcript.sponge.challenge("opened vector");
    let row = 1usize
        .checked_shl(u32::from(model.row_log2))
        .ok_or(VerifyError::Key("rows are too long"))?;
    let weights = fold_rows(
        model,
        schedule,
        &row_weights(schedule, &schedule.pieces, coefficients, challenges)?,
        delta,
    )?;
    let opened = transcript.open_row(row, weights)?;
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
fn fold_rows(
    model: &Model,
    schedule: &Schedule,
    groups: &[RowWeights],
    delta: Fr,
) -> Result<[Vec<Fr>; 2], VerifyError> {
    const MISSING: VerifyError = VerifyError::Key("no such column");
    let mut rows = [
        vec![Fr::zero(); schedule.constant_rows],
        vec![Fr::zero(); schedule.witness_rows],
    ];
    let mut power = Fr::one();
    for group in groups {
        for (column, weights) in group {
            let info = model.columns.get(column.0 as usize).ok_or(MISSING)?;
            let RowRange { first, len, .. } =
                *schedule.rows.get(column.0 as usize).ok_or(MISSING)?;
            let [constants, witness] = &mut rows;
            let side = if info.kind == ColumnKind::Constant {
                constants
            } else {
                witness
            };
            let end = first.checked_add(len).ok_or(MISSING)?;
            let slots = side.get_mut(first..end).ok_or(MISSING)?;
            if slots.len() != weights.len() {
                return Err(VerifyError::Key(
                    "a functional does not fit its column's rows",
                ));
            }
            slots
                .iter_mut()
                // len: checked above
                .zip(weights)
                .for_each(|(slot, weight)| *slot += power * weight);
        }
        power *= delta;
    }
    Ok(rows)
}

/// The row weights of each group, claims scaled and summed.
fn row_weights(
    schedule: &Schedule,
    pieces: &[Vec<Piece>],
    coefficients: &[Fr],
    challenges: &Challenges,
) -> Result<Vec<RowWeights>, VerifyError> {
    if coefficients.len() != pieces.len() {
        return Err(VerifyError::Key("a functional has no coefficient"));
    }
    let mut groups = vec![RowWeights::new(); schedule.lows.len()];
    // len: checked above
    for (pieces, coefficient) in pieces.iter().zip(coefficients) {
        for Piece { low, column, high } in pieces {
            let weights = high.vector(challenges)?;
            let group = groups
                .get_mut(*low)
                .ok_or(VerifyError::Key("no such functional"))?;
            let sums = group
                .entry(*column)
                .or_insert_with(|| vec![Fr::zero(); weights.len()]);
            if sums.len() != weights.len() {
                return Err(VerifyError::Key(
                    "a functional does not fit its column's rows",
                ));
            }
            sums.iter_mut()
                // len: checked above
                .zip(&weights)
                .for_each(|(sum, weight)| *sum += *coefficient * weight);
        }
    }
    Ok(groups)
}
// verify-path: end
