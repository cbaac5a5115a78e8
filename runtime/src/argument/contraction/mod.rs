//! All products of views in one batched sumcheck.
//!
//! Claim: `total = sum_t c_t * sum_{x in {0,1}^{n_t}} prod_k F_{t,k}(x)`, where `F_{t,k}` is a bound view (an operand) or the eq factor of
//! the output axes that operands share *(Thaler 2013, sections 4-5)*. Terms are front-aligned: term `t` takes part in the first `n_t` of `n` rounds
//! and is a constant, halved each round, afterwards.
//!
//! | symbol | meaning |
//! |---|---|
//! | `c_t` | coefficient of contraction `t`, known to both sides |
//! | `n_t`, `n` | its rounds, and the most of all |
//! | `D` | greatest degree of a round; a round sends the coefficients 0, 2, .., D |
//!
//! At the end the prover sends the operands' evaluations, and the partial products of contractions with more than two, so that every
//! equation is of degree two. Where there are many, and something is hidden, they are a late row: one commitment.

mod bind;
mod instance;

use ark_ff::{AdditiveGroup, One, Zero};
use rayon::prelude::*;

use crate::argument::schedule::{Challenges, Contraction, Coordinate, Schedule};
use crate::error::VerifyError;
use crate::field::{Fr, eq_eval, half_power};
use crate::transcript::{AffineForm, Equation, ProverTranscript, VerifierTranscript};
use crate::witness::trace::Trace;
use instance::Instance;

const NAME: &str = "contractions";
/// Label of the last message.
const OPERANDS: &str = "operand evaluations";

/// Proves `total = sum_t coefficients[t] * contraction_t`. Extends `challenges.sum` by the rounds' challenges.
pub(crate) fn prove(
    schedule: &Schedule,
    trace: &Trace,
    coefficients: &[Fr],
    challenges: &mut Challenges,
    transcript: &mut ProverTranscript,
) {
    let mut instances: Vec<Instance> = {
        let _span = tracing::info_span!(target: "zkiln", "contractions/bind").entered();
        let pairs = schedule.contractions.par_iter().zip_eq(coefficients);
        pairs
            .map(|(contraction, &coefficient)| {
                Instance::new(contraction, coefficient, trace, challenges)
            })
            .collect()
    };
    for round in 0..schedule.contraction_rounds {
        let message = round_message(&instances, round, schedule.contraction_degree);
        let sent: Vec<Fr> = message
            .iter()
            .enumerate()
            .filter(|&(power, _)| power != 1)
            .map(|(_, &c)| c)
            .collect();
        transcript.send("contraction round", &sent);
        let r = transcript.sponge.challenge("contraction round");
        instances
            .par_iter_mut()
            .with_min_len(8)
            .for_each(|instance| instance.bind(r, round));
        challenges.sum.push(r);
    }
    let mut evaluations: Vec<Fr> = Vec::with_capacity(schedule.factor_count());
    let mut partials = Vec::new();
    for instance in &instances {
        let operands: Vec<Fr> = instance.operand_values().collect();
        let products = operands.iter().scan(Fr::one(), |product, operand| {
            *product *= operand;
            Some(*product)
        });
        partials.extend(products.skip(1).take(operands.len().saturating_sub(2)));
        evaluations.extend(operands);
    }
    evaluations.extend(partials);
    if schedule.has_late_row() {
        transcript.send_row(OPERANDS, &evaluations);
    } else {
        transcript.send(OPERANDS, &evaluations);
    }
}

// verify-path: begin
/// Verifies what [`prove`] proves. Extends `challenges.sum`; returns the operands' claimed evaluations.
///
/// # Errors
/// [`VerifyError::Sumcheck`] when the last claim is not what the operands' evaluations make it.
pub(crate) fn verify(
    schedule: &Schedule,
    total: AffineForm,
    coefficients: &[Fr],
    challenges: &mut Challenges,
    transcript: &mut VerifierTranscript,
) -> Result<Vec<AffineForm>, VerifyError> {
    let mut claim = total;
    for _ in 0..schedule.contraction_rounds {
        let sent = transcript.receive("contraction round", schedule.contraction_degree)?;
        let r = transcript.sponge.challenge("contraction round");
        claim = evaluate_round(claim, &sent, r);
        challenges.sum.push(r);
    }
    let count = schedule.factor_count();
    let factors = if schedule.has_late_row() {
        transcript.receive_row(OPERANDS, count)?
    } else {
        transcript.receive(OPERANDS, count)?
    };
    let (evaluations, partials) = factors
        .split_at_checked(schedule.operand_count())
        .ok_or(VerifyError::Key("an operand has no evaluation"))?;
    let (mut operands, mut partials) = (evaluations.iter(), partials.iter());
    if coefficients.len() != schedule.contractions.len() {
        return Err(VerifyError::Key("a contraction has no coefficient"));
    }
    const MISSING: VerifyError = VerifyError::Key("an operand has no evaluation");
    let mut last = Equation::linear(claim.times(-Fr::one()));
    // len: checked above
    for (contraction, coefficient) in schedule.contractions.iter().zip(coefficients) {
        let idle = schedule
            .contraction_rounds
            .saturating_sub(contraction.rounds());
        let factor = *coefficient * eq_factor(contraction, challenges)? * half_power(idle);
        // ((o_0 o_1) o_2) o_3: all but the last product are sent.
        let mut product = operands.next().ok_or(MISSING)?;
        let tail = contraction.operands.len().saturating_sub(1);
        for position in 0..tail {
            let operand = operands.next().ok_or(MISSING)?;
            if position.saturating_add(1) == tail {
                last.products
                    .push((factor, product.clone(), operand.clone()));
                continue;
            }
            let partial = partials.next().ok_or(MISSING)?;
            let equation = Equation {
                products: vec![(Fr::one(), product.clone(), operand.clone())],
                linear: partial.clone().times(-Fr::one()),
            };
            transcript.require(equation, VerifyError::Sumcheck(NAME))?;
            product = partial;
        }
        if tail == 0 {
            last.linear.add(factor, product);
        }
    }
    transcript.require(last, VerifyError::Sumcheck(NAME))?;
    Ok(evaluations.to_vec())
}

/// The value at `r` of the round polynomial with coefficients `sent` (0, 2, 3, ..) whose values at 0 and 1 sum to `claim`.
fn evaluate_round(claim: AffineForm, sent: &[AffineForm], r: Fr) -> AffineForm {
    // constant + r (claim - 2 constant - sum high) + r^2 high_2 + r^3 high_3 + ..
    let mut value = claim.times(r);
    let mut power = Fr::one();
    for (index, coefficient) in sent.iter().enumerate() {
        if index == 0 {
            value.add(Fr::one() - r.double(), coefficient);
            power = r;
        } else {
            power *= r;
            value.add(power - r, coefficient);
        }
    }
    value
}

/// `prod eq(point, challenges)` over the contraction's shared output axes.
fn eq_factor(contraction: &Contraction, challenges: &Challenges) -> Result<Fr, VerifyError> {
    let mut at = 0u32;
    let mut value = Fr::one();
    for kept in &contraction.kept {
        let end = at.saturating_add(crate::statement::model::axis_log2(kept.len));
        if let Some(point) = &kept.eq {
            let here: Vec<Coordinate> = (at..end).map(Coordinate::Sum).collect();
            value *= eq_eval(&challenges.point(point)?, &challenges.point(&here)?);
        }
        at = end;
    }
    Ok(value)
}

// verify-path: end

/// Coefficients 0..=degree of the round polynomial, summed over all terms.
fn round_message(instances: &[Instance], round: usize, degree: usize) -> Vec<Fr> {
    let add = |mut a: Vec<Fr>, b: Vec<Fr>| {
        a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
        a
    };
    let zero = || vec![Fr::zero(); degree + 1];
    let pad = |mut coefficients: Vec<Fr>| {
        coefficients.resize(degree + 1, Fr::zero());
        coefficients
    };
    instances
        .par_iter()
        .with_min_len(4)
        .map(|instance| pad(instance.round(round)))
        .reduce(zero, add)
}
