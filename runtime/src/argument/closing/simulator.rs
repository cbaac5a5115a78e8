//! The closing without a witness: what [`super`] says of its zero-knowledge, in code.
//!
//! Where the prover has `s = d + c m` of a secret `m` and a uniform mask `d`, the simulator draws `s` and solves the verifier's check for `D`.
//! Both give the same distribution: uniform `s`, `b + c r`, `z` and `T_1`, and the one `D` and `T_0` that fit them.

use ark_ec::CurveGroup;
use ark_ff::Field;

use super::{Folded, Last, Rows};
use crate::argument::folding;
use crate::commitment::{GroupSum, blind_all, commit_row, decode_point, msm};
use crate::randomness::Randomness;
use crate::transcript::{Claims, Committed, ProverTranscript, VerifierTranscript};

/// Bytes of a closing that verifies if the verifier's `transcript`, which goes on with elements for the products, has a programmed oracle: then its
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
    let last: Last = folded.receive(transcript).unwrap();
    let c = transcript.sponge.challenge("closing");

    let mut factors = Vec::new();
    let mut value = c.square() * last.linear.known;
    let mut masks = Vec::new();
    let mut answers = Vec::new();
    for row in &claims.hidden {
        let committed: GroupSum = match &row.commitment {
            Committed::Sent(_, bytes) => decode_point(bytes).unwrap().into(),
            Committed::Opened([constants, witness]) => {
                msm(rows.constants, constants) + msm(rows.witness, witness)
            }
        };
        let answer = randomness.scalars(row.len);
        let blinder = randomness.scalar();
        let mask = commit_row(&answer, blind_all(&[blinder])[0]) - committed * c;
        masks.push(mask.into_affine());
        let mut coordinates = Vec::new();
        let asked = last.asked(row, &mut coordinates, answer_log2).unwrap();
        value += c * crate::field::dot(asked.form, &answer);
        factors.extend(coordinates.iter().map(|at| answer[*at]));
        answers.push((row, blinder, answer));
    }
    if let [x, y] = factors[..] {
        value += x * y;
    }
    let z = randomness.scalar();
    let slope = blind_all(&[randomness.scalar()])[0];
    let constant = GroupSum::from(commit_row(&[value], blind_all(&[-z])[0])) - slope * c;

    let mut transcript = ProverTranscript::new(transcript.sponge.clone());
    transcript.send_points("closing sums", &[constant.into_affine(), slope]);
    transcript.send_points("closing masks", &masks);
    for (row, blinder, answer) in answers {
        transcript.send_clear("closing blinder", &[blinder]);
        let mut coordinates = Vec::new();
        let asked = last.asked(row, &mut coordinates, answer_log2).unwrap();
        folding::prove(answer, asked, &mut transcript);
    }
    transcript.send_clear("closing sum blinder", &[z]);
    transcript.finish()
}
