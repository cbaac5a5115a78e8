//! The closing without a witness: what [`super`] says of its zero-knowledge, in code.
//!
//! Where the prover has `s = d + c m` of a secret `m` and a uniform mask `d`, the simulator draws `s` and solves the verifier's check for `D`.
//! Both give the same distribution: uniform `s`, `b + c r`, `z` and `T_1`, and the one `D` and `T_0` that fit them.

use ark_ec::CurveGroup;

use super::{Folded, ROWS, Rows, SEGMENTS, SUMS, segment_weights};
use crate::argument::folding;
use crate::commitment::{GroupSum, blind, commit_row, decode_point, msm};
use crate::field::{Fr, dot};
use crate::randomness::Randomness;
use crate::transcript::{Claims, Committed, ProverTranscript, VerifierTranscript};

/// Bytes of a closing that verifies if the verifier's `transcript`, which goes on with elements for the products and for the sums of segments, has a programmed oracle: then its
/// answers do not depend on what is absorbed. These elements are not among the bytes.
pub(crate) fn simulate(
    claims: &Claims,
    rows: Rows,
    answer_log2: u8,
    transcript: &mut VerifierTranscript,
    randomness: &mut Randomness,
) -> Vec<u8> {
    let fold = transcript.sponge.challenge("closing equations");
    let folded = Folded::new(&claims.equations, claims.variables(), fold).unwrap();
    let mut last = folded.receive(transcript).unwrap();
    let weights = segment_weights(&claims.hidden, transcript.sponge.challenge(SEGMENTS));
    let sums = transcript.receive(SUMS, weights.len()).unwrap();
    let theta = transcript.sponge.challenge(ROWS);
    let factors = last.of_one_row(&claims.hidden, theta).unwrap();
    last.add_segments(&claims.hidden, &weights, (&factors, &sums), theta)
        .unwrap();
    let c = transcript.sponge.challenge("closing");

    let committed = claims.hidden.iter().map(|row| match &row.commitment {
        Committed::Pads(bytes) | Committed::Late(bytes) => decode_point(bytes).unwrap().into(),
        Committed::Opened([constants, witness]) => {
            msm(rows.constants, constants) + msm(rows.witness, witness)
        }
    });
    let weighted = committed
        .zip(&factors)
        .map(|(point, factor): (GroupSum, _)| point * *factor);
    let committed: GroupSum = weighted.sum();
    let answer = randomness.scalars(claims.variables());
    let blinder = randomness.scalar();
    let mask = commit_row(0, &answer, blind(&blinder)) - committed * c;
    let coordinates = last.product.iter().flatten().map(|at| answer[*at]);
    let coordinates: Vec<Fr> = coordinates.collect();
    let of_form = dot(&last.linear.coefficients, &answer);
    let value = last.value(c, of_form, &coordinates).unwrap();
    let z = randomness.scalar();
    let slope = blind(&randomness.scalar());
    let constant = GroupSum::from(commit_row(0, &[value], blind(&-z))) - slope * c;

    let mut transcript = ProverTranscript::new(transcript.sponge.clone());
    transcript.send_points("closing sums", &[constant.into_affine(), slope]);
    transcript.send_points("closing mask", &[mask.into_affine()]);
    transcript.send_clear("closing blinder", &[blinder]);
    folding::prove(answer, last.asked(answer_log2), &mut transcript);
    transcript.send_clear("closing sum blinder", &[z]);
    transcript.finish()
}
