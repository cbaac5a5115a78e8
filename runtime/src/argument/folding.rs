//! A long answer, sent short *(Bootle et al. 2016/263; as the last step of a Sigma protocol, Attema-Cramer 2020/152)*.
//!
//! Claim: `P = sum_j s_j G_j`, `v = <l, s>` for a form `l` that both sides know, and `v_i = s_i` for some coordinates. The answer `s` hides nothing,
//! so it may be sent as it is; where that is too long, the prover sends `v` and the `v_i`, and a challenge `xi` makes one claim of all: with
//! `l' = l + xi e_1 + xi^2 e_2 + ..` and `v'` likewise, `P + xi v' H = sum_j s_j G_j + xi <l', s> H`. Then each round halves everything. Of the halves
//! `s = (s', s'')` the prover sends
//!
//! ```text
//! L = sum_j s'_j G''_j + xi <s', l''> H        R = sum_j s''_j G'_j + xi <s'', l'> H
//! ```
//!
//! and with a challenge `x` both sides go on with `s' + x s''`, `x G' + G''`, `x l' + l''` and the point `L + x P + x^2 R`. What is left is sent.
//! A vector whose length is no power of two goes on as if there were zeros, as generators and in the form.
//!
//! **Sound.** Three answers of a round give the vector before it, or a relation between generators: a tree of `3^rounds` transcripts gives `s` for a
//! given `xi`, and some more such trees that `v = <l, s>` and `v_i = s_i`, since `P` and these were fixed before `xi`. No rounds: nothing but `s` is sent.

use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};

use crate::argument::schedule::cost::answer_rounds;
use crate::commitment::{GroupSum, blind, combine_generators};
use crate::error::VerifyError;
use crate::field::{Fr, dot};
use crate::transcript::{ELEMENT_BYTES, ProverTranscript, VerifierTranscript};

// verify-path: begin
/// What a verifier knows of an answer: `v`, and that the claim is `sum_j generators_j G_j + blinding H = scale P + sum_i factor_i point_i`.
pub(crate) struct Answer<'a> {
    /// `<l, s>`.
    pub value: Fr,
    /// `s` at the coordinates that were asked for.
    pub coordinates: Vec<Fr>,
    /// By generator; without rounds the answer itself.
    pub generators: Vec<Fr>,
    /// Of `H`.
    pub blinding: Fr,
    /// Of the committed point.
    pub scale: Fr,
    /// Cross terms, to be decoded, and their factors.
    pub points: Vec<(&'a [u8; ELEMENT_BYTES], Fr)>,
}

/// What an answer is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The form whose value is claimed.
    pub form: &'a [Fr],
    /// The coordinates whose values are claimed.
    pub coordinates: &'a [usize],
    /// log2 of the length to which it is folded.
    pub answer_log2: u8,
}

impl Asked<'_> {
    fn rounds(&self) -> usize {
        answer_rounds(self.form.len(), self.answer_log2)
    }

    /// The forms in one, and as long as it is folded.
    fn form_at(&self, xi: Fr) -> Result<Vec<Fr>, VerifyError> {
        let mut form = self.form.to_vec();
        let mut power = xi;
        for at in self.coordinates {
            *form.get_mut(*at).ok_or(MISSING)? += power;
            power *= xi;
        }
        let whole = form.len().checked_next_power_of_two();
        form.resize(whole.ok_or(MISSING)?, Fr::ZERO);
        Ok(form)
    }
}

const MISSING: VerifyError = VerifyError::Key("an answer has no such coordinate");

/// `values_0 + xi values_1 + ..`.
fn at(values: &[Fr], xi: Fr) -> Fr {
    values
        .iter()
        .rev()
        .fold(Fr::ZERO, |sum, value| sum * xi + value)
}

/// Receives an answer.
///
/// # Errors
/// [`VerifyError::Truncated`], [`VerifyError::NonCanonical`]; [`VerifyError::Key`] when the form cannot be halved so often.
pub(crate) fn verify<'a>(
    asked: Asked,
    transcript: &mut VerifierTranscript<'a>,
) -> Result<Answer<'a>, VerifyError> {
    let len = asked.form.len();
    let rounds = asked.rounds();
    if rounds == 0 {
        let answer = transcript.receive_clear("answer", len)?;
        let coordinate = |at: &usize| answer.get(*at).copied().ok_or(MISSING);
        let coordinates = asked.coordinates.iter().map(coordinate);
        return Ok(Answer {
            value: dot(asked.form, &answer),
            coordinates: coordinates.collect::<Result<_, _>>()?,
            generators: answer,
            blinding: Fr::ZERO,
            scale: Fr::ONE,
            points: Vec::new(),
        });
    }
    let claimed = asked.coordinates.len().saturating_add(1);
    let claimed = transcript.receive_clear("answer value", claimed)?;
    let xi = transcript.sponge.challenge("answer value");
    let mut form = asked.form_at(xi)?;
    let mut weights = vec![Fr::ONE];
    let mut scale = Fr::ONE;
    let mut points: Vec<(&[u8; ELEMENT_BYTES], Fr)> = Vec::with_capacity(rounds.saturating_mul(2));
    for _ in 0..rounds {
        let [left, right] = transcript.receive_points("answer round", 2)? else {
            return Err(VerifyError::Truncated);
        };
        let x = transcript.sponge.challenge("answer round");
        points.iter_mut().for_each(|(_, factor)| *factor *= x);
        points.extend([(left, Fr::ONE), (right, x.square())]);
        scale *= x;
        weights = halved_weights(&weights, x);
        form = fold(&form, x, Fr::ONE).ok_or(VerifyError::Key("an answer cannot be halved"))?;
    }
    let left = transcript.receive_clear("answer", form.len())?;
    let generators = weights
        .iter()
        .flat_map(|weight| left.iter().map(move |value| *weight * value));
    let (value, coordinates) = claimed.split_first().ok_or(VerifyError::Truncated)?;
    Ok(Answer {
        value: *value,
        coordinates: coordinates.to_vec(),
        generators: generators.take(len).collect(),
        blinding: xi * (dot(&form, &left) - scale * at(&claimed, xi)),
        scale,
        points,
    })
}

/// Weights of the blocks of generators in those that a further round leaves.
fn halved_weights(weights: &[Fr], x: Fr) -> Vec<Fr> {
    let halves = weights.iter().flat_map(|weight| [*weight * x, *weight]);
    halves.collect()
}

/// `low * first half + high * second half`; `None` for an odd length.
fn fold(values: &[Fr], low: Fr, high: Fr) -> Option<Vec<Fr>> {
    let half = values.len().checked_div(2)?;
    let (first, second) = values.split_at_checked(half)?;
    if first.len() != second.len() {
        return None;
    }
    let pairs = first.iter().zip(second); // len: checked above
    Some(pairs.map(|(a, b)| low * a + high * b).collect())
}
// verify-path: end

/// Sends the answer `answer` to what is asked for.
///
/// # Panics
/// If they do not fit.
pub(crate) fn prove(mut answer: Vec<Fr>, asked: Asked, transcript: &mut ProverTranscript) {
    assert_eq!(answer.len(), asked.form.len(), "an answer fits its form");
    let rounds = asked.rounds();
    if rounds > 0 {
        let coordinates = asked.coordinates.iter().map(|at| answer[*at]);
        let claimed = [dot(asked.form, &answer)].into_iter().chain(coordinates);
        transcript.send_clear("answer value", &claimed.collect::<Vec<_>>());
        let xi = transcript.sponge.challenge("answer value");
        let len = answer.len();
        let mut form = asked.form_at(xi).expect("an answer has its coordinates");
        answer.resize(form.len(), Fr::ZERO);
        let mut weights = vec![Fr::ONE];
        for _ in 0..rounds {
            let half = answer.len() / 2;
            let cross = |values: &[Fr], from: usize, other: &[Fr]| -> GroupSum {
                // Of each block of generators the half that the values do not belong to.
                let blocks = (from..len).step_by(2 * half).zip(&weights);
                let terms: Vec<(usize, Fr)> = blocks
                    .flat_map(|(first, weight)| {
                        let generators = (first..len).zip(values);
                        generators.map(move |(index, value)| (index, *weight * value))
                    })
                    .collect();
                combine_generators(&terms) + blind(&(xi * dot(values, other)))
            };
            let (first, second) = answer.split_at(half);
            let (l_first, l_second) = form.split_at(half);
            let (left, right) = rayon::join(
                || cross(first, half, l_second),
                || cross(second, 0, l_first),
            );
            transcript.send_points("answer round", &GroupSum::normalize_batch(&[left, right]));
            let x = transcript.sponge.challenge("answer round");
            weights = halved_weights(&weights, x);
            answer = fold(&answer, Fr::ONE, x).expect("an even length");
            form = fold(&form, x, Fr::ONE).expect("an even length");
        }
    }
    transcript.send_clear("answer", &answer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argument::schedule::cost::answer_elements;
    use crate::commitment::{Generators, blinding_generator, decode_point, msm};
    use crate::randomness::Randomness;
    use crate::transcript::Sponge;

    /// Lengths of answers; that of the second is no power of two.
    const LENS: [usize; 2] = [16, 13];
    /// Coordinates whose values are claimed.
    const COORDINATES: [usize; 2] = [3, 11];

    /// A claim on an answer.
    #[derive(Clone)]
    struct Claim {
        committed: Vec<Fr>,
        form: Vec<Fr>,
        value: Fr,
        coordinates: Vec<Fr>,
    }

    impl Claim {
        fn new(len: usize) -> Self {
            let mut randomness = Randomness::from_seed("test", [3; 32]);
            let (committed, form) = (randomness.scalars(len), randomness.scalars(len));
            Self::of(committed, form)
        }

        /// The true one.
        fn of(committed: Vec<Fr>, form: Vec<Fr>) -> Self {
            Self {
                value: dot(&committed, &form),
                coordinates: COORDINATES.map(|at| committed[at]).to_vec(),
                committed,
                form,
            }
        }

        fn asked(&self, answer_log2: u8) -> Asked<'_> {
            Asked {
                form: &self.form,
                coordinates: &COORDINATES,
                answer_log2,
            }
        }

        fn proof(&self, answer_log2: u8) -> Vec<u8> {
            let mut transcript = ProverTranscript::new(Sponge::new("test"));
            let answer = self.committed.clone();
            prove(answer, self.asked(answer_log2), &mut transcript);
            transcript.finish()
        }

        /// Whether it holds for the sum of the first generators with the committed coefficients.
        fn holds(&self, answer_log2: u8, proof: &[u8]) -> bool {
            let mut transcript = VerifierTranscript::new(Sponge::new("test"), proof);
            let Ok(answer) = verify(self.asked(answer_log2), &mut transcript) else {
                return false;
            };
            let generators = Generators::derive(self.committed.len());
            let mut sum = msm(generators.points(), &answer.generators);
            sum += blinding_generator() * answer.blinding;
            sum -= msm(generators.points(), &self.committed) * answer.scale;
            for (bytes, factor) in &answer.points {
                match decode_point(bytes) {
                    Some(point) => sum -= point * *factor,
                    None => return false,
                }
            }
            let claimed =
                (answer.value, answer.coordinates) == (self.value, self.coordinates.clone());
            transcript.finish().is_ok() && claimed && sum == GroupSum::ZERO
        }
    }

    /// Every claim, and every length to which its answer may be folded.
    fn claims() -> impl Iterator<Item = (Claim, u8)> {
        let claims = LENS.into_iter().map(Claim::new);
        claims.flat_map(|claim| (0..=4).map(move |answer_log2| (claim.clone(), answer_log2)))
    }

    #[test]
    fn true_claims_hold_and_lengths_are_known() {
        for (claim, answer_log2) in claims() {
            let proof = claim.proof(answer_log2);
            let elements = answer_elements(claim.form.len(), COORDINATES.len(), answer_log2);
            assert_eq!(proof.len(), ELEMENT_BYTES * elements);
            assert!(claim.holds(answer_log2, &proof), "{answer_log2}");
            assert!(!claim.holds(answer_log2, &proof[1..]));
        }
    }

    #[test]
    fn false_claims_do_not_hold() {
        for (claim, answer_log2) in claims() {
            let honest = claim.proof(answer_log2);
            for at in 0..claim.form.len() {
                let mut other = claim.committed.clone();
                other[at] += Fr::ONE;
                // An honest answer for another commitment, and another answer, whose claims are those or are its own.
                let other = Claim::of(other, claim.form.clone());
                let moved = Claim {
                    committed: other.committed.clone(),
                    ..claim.clone()
                };
                assert!(!moved.holds(answer_log2, &honest));
                let forged = other.proof(answer_log2);
                assert!(!claim.holds(answer_log2, &forged));
                let moved = Claim {
                    committed: claim.committed.clone(),
                    ..other
                };
                assert!(!moved.holds(answer_log2, &forged));
                let mut moved = claim.clone();
                moved.form[at] += Fr::ONE;
                assert!(!moved.holds(answer_log2, &honest));
            }
        }
    }

    /// Values that are not those of the answer, with everything after them honest: only `xi` stands against it.
    #[test]
    fn the_values_are_those_of_the_answer() {
        let claim = Claim::new(13);
        let mut other = claim.clone();
        other.form[5] += Fr::ONE;
        other.value = dot(&other.form, &other.committed);
        let proof = other.proof(2);
        assert!(other.holds(2, &proof));
        let claimed = Claim {
            value: other.value,
            ..claim.clone()
        };
        assert_ne!(claimed.value, claim.value);
        assert!(!claimed.holds(2, &proof));
        // A coordinate, in the place of another.
        let at = |coordinates: [usize; 2]| {
            let mut transcript = ProverTranscript::new(Sponge::new("test"));
            let asked = Asked {
                coordinates: &coordinates,
                ..claim.asked(2)
            };
            prove(claim.committed.clone(), asked, &mut transcript);
            transcript.finish()
        };
        let mut claimed = claim.clone();
        claimed.coordinates[1] = claim.committed[10];
        assert!(claim.holds(2, &at(COORDINATES)));
        assert!(!claimed.holds(2, &at([COORDINATES[0], 10])));
    }

    #[test]
    fn every_element_counts() {
        for (claim, answer_log2) in claims() {
            let proof = claim.proof(answer_log2);
            for at in (0..proof.len()).step_by(ELEMENT_BYTES) {
                let mut changed = proof.clone();
                changed[at + ELEMENT_BYTES - 1] ^= 1;
                assert!(!claim.holds(answer_log2, &changed), "{at}");
            }
            for at in 1..proof.len() / ELEMENT_BYTES {
                let mut swapped = proof.clone();
                swapped.rotate_left(at * ELEMENT_BYTES);
                assert!(!claim.holds(answer_log2, &swapped), "{at}");
            }
        }
    }

    #[test]
    fn coordinates_that_are_not_there_are_refused() {
        for answer_log2 in [0, 2] {
            let asked = Asked {
                form: &[Fr::ONE; 4],
                coordinates: &[4],
                answer_log2,
            };
            let mut transcript = VerifierTranscript::new(Sponge::new("test"), &[0; 4096]);
            assert!(verify(asked, &mut transcript).is_err());
        }
    }
}
