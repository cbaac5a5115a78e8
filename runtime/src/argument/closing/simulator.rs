//! The closing without a witness: what [`super`] says of its zero-knowledge, in code.
//!
//! Where the prover has `s = d + c m` of a secret `m` and a uniform mask `d`, the simulator draws `s` and solves the verifier's check for `D`.
//! Both give the same distribution: uniform `s`, `b + c r`, `z` and `T_1`, and the one `D` and `T_0` that fit them.

use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};

use super::{Folded, Rows};
use crate::argument::folding;
use crate::commitment::{GroupSum, blind_all, commit_row, decode_point, msm};
use crate::field::{Fr, dot};
use crate::randomness::Randomness;
use crate::transcript::{Claims, Committed, ProverTranscript, Sponge};

/// Bytes of a closing that verifies if `sponge` is a programmed oracle in the state that the verifier's will have: then its answers do not
/// depend on what is absorbed.
pub(crate) fn simulate(
    claims: &Claims,
    rows: Rows,
    sponge: &mut Sponge,
    randomness: &mut Randomness,
) -> Vec<u8> {
    let fold = sponge.challenge("closing equations");
    let c = sponge.challenge("closing");
    let folded = Folded::new(claims, fold).unwrap();

    let mut factors = vec![Fr::ZERO; claims.variables()];
    let mut value = c.square() * folded.known;
    let mut scalars = GroupSum::ZERO;
    let mut masks = Vec::new();
    let mut answers = Vec::new();
    for row in &claims.hidden {
        let range = row.first as usize..row.first as usize + row.len;
        let linear = &folded.linear[range.clone()];
        let committed = match &row.commitment {
            Committed::Scalar(bytes) => {
                scalars += decode_point(bytes).unwrap() * linear[0];
                continue;
            }
            Committed::Factors(bytes) => decode_point(bytes).unwrap().into(),
            Committed::Opened { weights, .. } => {
                let [constants, witness] = weights;
                msm(rows.constants, constants) + msm(rows.witness, witness)
            }
        };
        let answer = randomness.scalars(row.len);
        let blinder = randomness.scalar();
        let mask = commit_row(&answer, blind_all(&[blinder])[0]) - committed * c;
        masks.push(mask.into_affine());
        value += c * dot(linear, &answer);
        if row.rounds().is_none() {
            factors[range].copy_from_slice(&answer);
        }
        answers.push((row, linear, blinder, answer));
    }
    value += folded.quadratic(&factors).unwrap();
    let z = randomness.scalar();
    let slope = blind_all(&[randomness.scalar()])[0];
    let constant: GroupSum =
        commit_row(&[value], blind_all(&[-z])[0]) + scalars * c.square() - slope * c;

    let mut transcript = ProverTranscript::new(sponge.clone());
    transcript.send_points("closing sums", &[constant.into_affine(), slope]);
    transcript.send_points("closing masks", &masks);
    for (row, linear, blinder, answer) in answers {
        transcript.send_clear("closing blinder", &[blinder]);
        folding::prove(answer, linear, row.rounds().unwrap_or(0), &mut transcript);
    }
    transcript.send_clear("closing sum blinder", &[z]);
    transcript.finish()
}
