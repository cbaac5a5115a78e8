//! A long answer, sent short *(Bootle et al. 2016/263; as the last step of a Sigma protocol, Attema-Cramer 2020/152)*.
//!
//! Claim: `P = sum_j s_j G_j` and `v = <l, s>`, for a form `l` that both sides know. The answer `s` hides nothing, so it may be sent as it is; where
//! that is too long, the prover sends `v`, and a challenge `xi` makes one claim of two: `P + xi v H = sum_j s_j G_j + xi <l, s> H`. Then each
//! round halves everything. Of the halves `s = (s', s'')` the prover sends
//!
//! ```text
//! L = sum_j s'_j G''_j + xi <s', l''> H        R = sum_j s''_j G'_j + xi <s'', l'> H
//! ```
//!
//! and with a challenge `x` both sides go on with `s' + x s''`, `x G' + G''`, `x l' + l''` and the point `L + x P + x^2 R`. What is left is sent.
//!
//! **Sound.** Three answers of a round give the vector before it, or a relation between generators: a tree of `3^rounds` transcripts gives `s` for a
//! given `xi`, and two such trees that `v = <l, s>`, since `P` and `v` were fixed before `xi`. No rounds: nothing but `s` is sent.

use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};

use crate::commitment::{Generators, GroupSum, blinding_generator, msm};
use crate::error::VerifyError;
use crate::field::{Fr, dot};
use crate::transcript::{ELEMENT_BYTES, ProverTranscript, VerifierTranscript};

// verify-path: begin
/// What a verifier knows of an answer: `v`, and that the claim is `sum_j generators_j G_j + blinding H = scale P + sum_i factor_i point_i`.
pub(crate) struct Answer<'a> {
    /// `<l, s>`.
    pub value: Fr,
    /// By generator; without rounds the answer itself.
    pub generators: Vec<Fr>,
    /// Of `H`.
    pub blinding: Fr,
    /// Of the committed point.
    pub scale: Fr,
    /// Cross terms, to be decoded, and their factors.
    pub points: Vec<(&'a [u8; ELEMENT_BYTES], Fr)>,
}

/// Receives an answer for the form `form`.
///
/// # Errors
/// [`VerifyError::Truncated`], [`VerifyError::NonCanonical`]; [`VerifyError::Key`] when the form cannot be halved so often.
pub(crate) fn verify<'a>(
    form: &[Fr],
    rounds: usize,
    transcript: &mut VerifierTranscript<'a>,
) -> Result<Answer<'a>, VerifyError> {
    if rounds == 0 {
        let answer = transcript.receive_clear("answer", form.len())?;
        return Ok(Answer {
            value: dot(form, &answer),
            generators: answer,
            blinding: Fr::ZERO,
            scale: Fr::ONE,
            points: Vec::new(),
        });
    }
    let value: Fr = transcript.receive_clear("answer value", 1)?.iter().sum();
    let xi = transcript.sponge.challenge("answer value");
    let mut form = form.to_vec();
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
    Ok(Answer {
        value,
        generators: generators.collect(),
        blinding: xi * (dot(&form, &left) - scale * value),
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

/// Sends the answer `answer` to the form `form`.
///
/// # Panics
/// If their lengths differ, or cannot be halved so often.
pub(crate) fn prove(
    mut answer: Vec<Fr>,
    form: &[Fr],
    rounds: usize,
    transcript: &mut ProverTranscript,
) {
    assert_eq!(answer.len(), form.len(), "an answer fits its form");
    if rounds > 0 {
        transcript.send_clear("answer value", &[dot(form, &answer)]);
        let xi = transcript.sponge.challenge("answer value");
        let generators = Generators::derive(answer.len());
        let mut form = form.to_vec();
        let mut weights = vec![Fr::ONE];
        for _ in 0..rounds {
            let half = answer.len() / 2;
            let cross = |values: &[Fr], from: usize, other: &[Fr]| -> GroupSum {
                let (mut points, mut scalars) = (Vec::new(), Vec::new());
                // Of each block of generators the half that the values do not belong to.
                let blocks = generators.points().chunks_exact(2 * half);
                for (block, weight) in blocks.zip(&weights) {
                    points.extend_from_slice(&block[from..][..half]);
                    scalars.extend(values.iter().map(|value| *weight * value));
                }
                points.push(blinding_generator());
                scalars.push(xi * dot(values, other));
                msm(&points, &scalars)
            };
            let (first, second) = answer.split_at(half);
            let (l_first, l_second) = form.split_at(half);
            let left = cross(first, half, l_second);
            let right = cross(second, 0, l_first);
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
    use crate::commitment::decode_point;
    use crate::randomness::Randomness;
    use crate::transcript::Sponge;

    const LEN: usize = 16;

    /// Whether the claim holds for the sum of the first generators with these coefficients.
    fn holds(committed: &[Fr], value: Fr, form: &[Fr], rounds: usize, proof: &[u8]) -> bool {
        let mut transcript = VerifierTranscript::new(Sponge::new("test"), proof, false);
        let Ok(answer) = verify(form, rounds, &mut transcript) else {
            return false;
        };
        let generators = Generators::derive(LEN);
        let mut sum = msm(generators.points(), &answer.generators);
        sum += blinding_generator() * answer.blinding;
        sum -= msm(generators.points(), committed) * answer.scale;
        for (bytes, factor) in &answer.points {
            match decode_point(bytes) {
                Some(point) => sum -= point * *factor,
                None => return false,
            }
        }
        transcript.finish().is_ok() && answer.value == value && sum == GroupSum::ZERO
    }

    fn setting() -> (Vec<Fr>, Vec<Fr>, Fr) {
        let mut randomness = Randomness::from_seed("test", [3; 32]);
        let (answer, form) = (randomness.scalars(LEN), randomness.scalars(LEN));
        let value = dot(&answer, &form);
        (answer, form, value)
    }

    fn proof(answer: &[Fr], form: &[Fr], rounds: usize) -> Vec<u8> {
        let mut transcript = ProverTranscript::new(Sponge::new("test"));
        prove(answer.to_vec(), form, rounds, &mut transcript);
        transcript.finish()
    }

    #[test]
    fn true_claims_hold_and_lengths_are_known() {
        let (answer, form, value) = setting();
        for rounds in 0..=4 {
            let proof = proof(&answer, &form, rounds);
            assert_eq!(proof.len(), ELEMENT_BYTES * answer_elements(LEN, rounds));
            assert!(holds(&answer, value, &form, rounds, &proof), "{rounds}");
            assert!(!holds(&answer, value, &form, rounds, &proof[1..]));
        }
    }

    #[test]
    fn false_claims_do_not_hold() {
        let (answer, form, value) = setting();
        for rounds in 0..=4 {
            let honest = proof(&answer, &form, rounds);
            for at in 0..LEN {
                let mut other = answer.clone();
                other[at] += Fr::ONE;
                // An honest answer for another commitment, and another answer, whose value is right or not.
                assert!(!holds(&other, value, &form, rounds, &honest));
                let forged = proof(&other, &form, rounds);
                assert!(!holds(&answer, value, &form, rounds, &forged));
                assert!(!holds(&answer, dot(&other, &form), &form, rounds, &forged));
                let mut form = form.clone();
                form[at] += Fr::ONE;
                assert!(!holds(&answer, value, &form, rounds, &honest));
            }
        }
    }

    /// A value that is not that of the answer, with everything after it honest: only `xi` stands against it.
    #[test]
    fn the_value_is_that_of_the_answer() {
        let (answer, form, value) = setting();
        let mut other = form.clone();
        other[5] += Fr::ONE;
        let forged = dot(&answer, &other);
        let proof = proof(&answer, &other, 2);
        assert!(holds(&answer, forged, &other, 2, &proof));
        assert!(!holds(&answer, forged, &form, 2, &proof));
        assert_ne!(forged, value);
    }

    #[test]
    fn every_element_counts() {
        let (answer, form, value) = setting();
        for rounds in 0..=4 {
            let proof = proof(&answer, &form, rounds);
            for at in (0..proof.len()).step_by(ELEMENT_BYTES) {
                let mut changed = proof.clone();
                changed[at] ^= 1;
                assert!(!holds(&answer, value, &form, rounds, &changed), "{at}");
            }
            for at in 1..proof.len() / ELEMENT_BYTES {
                let mut swapped = proof.clone();
                swapped.rotate_left(at * ELEMENT_BYTES);
                assert!(!holds(&answer, value, &form, rounds, &swapped), "{at}");
            }
        }
    }

    #[test]
    fn forms_that_cannot_be_halved_are_refused() {
        let mut transcript = VerifierTranscript::new(Sponge::new("test"), &[0; 4096], false);
        assert!(verify(&[Fr::ONE; 6], 2, &mut transcript).is_err());
        assert!(verify(&[], 1, &mut transcript).is_ok_and(|answer| answer.generators.is_empty()));
    }
}
