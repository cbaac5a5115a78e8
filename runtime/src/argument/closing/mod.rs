//! The last step of a proof: every equation that is left, and every hidden row, at once.
//!
//! Hidden elements `m` are in a few *rows*, each in a segment of its own of the generators: the opened row, whose commitment `U` is a sum of others,
//! the pads' `Pi`, a late row's `O` if there is one. All equations in them become one ([`products`]), `m_x m_y + <l, m> + k = 0`, with a single
//! product, of two pads. A challenge `theta` makes one row of all: `Y = U + theta Pi + theta^3 O`, whose content is `n = (u, theta pi, theta^3 o)`, so that
//!
//! ```text
//! theta n_x n_y + <l', n> + theta^3 k = 0        l' = (theta^3 l_u, theta^2 l_pi, l_o)
//! ```
//!
//! A commitment may have something in another's segment. It enters with other powers of `theta`: that of `theta^3` is the equation, whatever there is.
//! (With `theta^2` in the place of `theta^3`, products of what `U` and `O` have in the pads' segment would enter with the same.) And that `U` has
//! nothing in the others' segments is another equation, of the power of `theta^10`: before `theta`, with coefficients `h` that are powers of a challenge
//! `sigma`, the prover sends the sums `<h, pi>` and `<h, o>`, under pads; then `theta^10 (<h, n> - theta <h, pi> - theta^3 <h, o>)` is `theta^10 <h, U>`.
//!
//! It is proved by one Sigma protocol *(Schnorr 1989; Cramer-Damgård 1998 for the product)*, where `Y = sum_j n_j G_j + r H`:
//!
//! 1. The prover masks the row with a uniform `d` and sends `T_0`, `T_1`, commitments to `t_0 = theta d_x d_y` and
//!    `t_1 = theta (d_x n_y + n_x d_y) + <l', d>`, and `D = commit(d; b)`. With `s = d + c n`: `theta s_x s_y + c <l', s> + c^2 theta^3 k = t_0 + c t_1`.
//! 2. A challenge `c`.
//! 3. The prover sends `b + c r` and `s`, folded where it is long ([`crate::argument::folding`]), and one blinding factor `z`.
//!
//! The verifier checks `commit(s; b + c r) = D + c Y` and `(theta s_x s_y + c <l', s> + c^2 theta^3 k) G_0 - c T_1 - T_0 = z H`, all in one
//! multi-scalar multiplication.
//!
//! **Sound.** Two accepting answers give the row's content and blinding; three give its equation, or else a relation between generators.
//! **Zero-knowledge, perfectly, for a given challenge:** `s`, `b + c r`, `z` and `T_1` are uniform and independent of `m`, and
//! `D` and `T_0` follow from the checks. That is the simulator: `closing/simulator.rs`, which the tests of `protocol/simulator.rs` run.
//!
//! A proof that hides nothing leaves one equation, linear in the opened row: that is answered for without a mask, `c = 1`, `s = m`.

use ark_ff::{AdditiveGroup, Field, Zero};
use zeroize::Zeroizing;

use crate::argument::folding::{self, Asked};
use crate::commitment::{
    Generators, GroupElement, blind, blinding_generator, commit_row, decode_points, msm,
};
use crate::error::VerifyError;
use crate::field::{Fr, dot};
use crate::randomness::Randomness;
use crate::transcript::{Claims, Committed, HiddenRow, ProverTranscript, VerifierTranscript};
use products::{Folded, Last};
use segments::{ROWS, SEGMENTS, SUMS, segment_weights, send_sums};

mod products;
mod segments;
#[cfg(test)]
pub(crate) mod simulator;

// verify-path: begin
/// The committed rows, as points.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Of the verifier key.
    pub constants: &'a [GroupElement],
    /// Of the proof and the statement.
    pub witness: &'a [GroupElement],
}

/// A sum of points that must vanish.
struct Check {
    generators: Vec<Fr>,
    blinding: Fr,
    points: Vec<(GroupElement, Fr)>,
    /// Still to be decoded: message, bytes, factor.
    encoded: Vec<(&'static str, [u8; 32], Fr)>,
}

impl Check {
    fn new() -> Self {
        Self {
            generators: Vec::new(),
            blinding: Fr::ZERO,
            points: Vec::new(),
            encoded: Vec::new(),
        }
    }

    /// Adds `factor * sum_j values[j] G_j`.
    fn add_generators(&mut self, factor: Fr, values: &[Fr]) {
        if self.generators.len() < values.len() {
            self.generators.resize(values.len(), Fr::ZERO);
        }
        // len: resized
        for (slot, value) in self.generators.iter_mut().zip(values) {
            *slot += factor * value;
        }
    }

    fn add(&mut self, factor: Fr, label: &'static str, bytes: &[u8; 32]) {
        self.encoded.push((label, *bytes, factor));
    }

    /// Adds `factor` times the weighted sum of all rows.
    fn add_rows(
        &mut self,
        factor: Fr,
        rows: Rows,
        weights: &[Vec<Fr>; 2],
    ) -> Result<(), VerifyError> {
        let [constants, witness] = weights;
        if rows.constants.len() != constants.len() || rows.witness.len() != witness.len() {
            return Err(VerifyError::Key("commitments do not fit the schedule"));
        }
        let constants = rows.constants.iter().zip(constants); // len: checked above
        let witness = rows.witness.iter().zip(witness); // len: checked above
        let weighted = constants
            .chain(witness)
            .filter(|(_, weight)| !weight.is_zero());
        self.points
            .extend(weighted.map(|(point, weight)| (*point, factor * weight)));
        Ok(())
    }

    /// Whether the sum vanishes.
    ///
    /// # Errors
    /// [`VerifyError::NonCanonical`] for the first point that is none.
    fn holds(mut self) -> Result<bool, VerifyError> {
        let bytes: Vec<[u8; 32]> = self.encoded.iter().map(|(_, bytes, _)| *bytes).collect();
        // len: one point each
        for (point, (label, _, factor)) in decode_points(&bytes).into_iter().zip(&self.encoded) {
            let point = point.ok_or(VerifyError::NonCanonical { label })?;
            self.points.push((point, *factor));
        }
        let generators = Generators::derive(self.generators.len());
        let (mut points, mut scalars): (Vec<GroupElement>, Vec<Fr>) =
            self.points.into_iter().unzip();
        points.extend_from_slice(generators.points());
        scalars.extend(self.generators);
        points.push(blinding_generator());
        scalars.push(self.blinding);
        Ok(points.len() == scalars.len() && msm(&points, &scalars).is_zero())
    }
}

impl Last {
    /// What its answer is asked for.
    fn asked(&self, answer_log2: u8) -> Asked<'_> {
        Asked {
            form: &self.linear.coefficients,
            coordinates: self.product.as_ref().map_or(&[], |pair| pair.as_slice()),
            answer_log2,
        }
    }

    /// `scale s_x s_y + c <l, s> + c^2 k`, of an answer to the challenge `c`.
    fn value(&self, c: Fr, of_form: Fr, coordinates: &[Fr]) -> Result<Fr, VerifyError> {
        let product = match (&self.product, coordinates) {
            (None, []) => Fr::ZERO,
            (Some(_), [x, y]) => self.scale * x * y,
            _ => return Err(VerifyError::Closing),
        };
        Ok(product + c * of_form + c.square() * self.linear.known)
    }
}

impl Check {
    /// Adds `factor` times the rows' commitments with their factors.
    fn add_hidden(
        &mut self,
        factor: Fr,
        hidden: &[HiddenRow],
        factors: &[Fr],
        rows: Rows,
    ) -> Result<(), VerifyError> {
        // len: one for each row
        for (row, of_row) in hidden.iter().zip(factors) {
            let factor = factor * of_row;
            match &row.commitment {
                Committed::Pads(bytes) => self.add(factor, "pads", bytes),
                Committed::Late(bytes) => self.add(factor, "late row", bytes),
                Committed::Opened(weights) => self.add_rows(factor, rows, weights)?,
            }
        }
        Ok(())
    }

    /// Adds `factor` times the equation of an answer, but for what was answered for.
    fn add_answer(&mut self, factor: Fr, blinder: Fr, answer: &folding::Answer) {
        self.add_generators(factor, &answer.generators);
        self.blinding += factor * (answer.scale * blinder + answer.blinding);
        for (bytes, weight) in &answer.points {
            self.add(-(factor * weight), "answer round", bytes);
        }
    }
}

/// Checks what the transcript has left open; the answer is folded to `2^answer_log2` elements.
///
/// # Errors
/// [`VerifyError::Closing`], [`VerifyError::Opening`] when it does not hold; [`VerifyError::NonCanonical`], [`VerifyError::Truncated`].
pub(crate) fn verify(
    hides: bool,
    answer_log2: u8,
    rows: Rows,
    transcript: &mut VerifierTranscript,
) -> Result<(), VerifyError> {
    let Claims {
        hidden, equations, ..
    } = &transcript.take_claims();
    let fold = transcript.sponge.challenge("closing equations");
    let variables = hidden.iter().map(|row| row.variables.end).max();
    let folded = Folded::new(equations, variables.unwrap_or(0) as usize, fold)?;
    let mut last = folded.receive(transcript)?;
    if !hides {
        return verify_clear(&last, answer_log2, hidden, rows, transcript);
    }
    let weights = segment_weights(hidden, transcript.sponge.challenge(SEGMENTS));
    let sums = transcript.receive(SUMS, weights.len())?;
    let theta = transcript.sponge.challenge(ROWS);
    let factors = last.of_one_row(hidden, theta)?;
    last.add_segments(hidden, &weights, (&factors, &sums), theta)?;
    let [zero, one] = transcript.receive_points("closing sums", 2)? else {
        return Err(VerifyError::Truncated);
    };
    let [mask] = transcript.receive_points("closing mask", 1)? else {
        return Err(VerifyError::Truncated);
    };
    let c = transcript.sponge.challenge("closing");
    let blinder = transcript.receive_clear("closing blinder", 1)?;
    let answer = folding::verify(last.asked(answer_log2), transcript)?;
    let sum_blinder = transcript.receive_clear("closing sum blinder", 1)?;

    // The equation, in the exponent.
    let mut check = Check::new();
    check.add(-Fr::ONE, "closing sums", zero);
    check.add(-c, "closing sums", one);
    let value = last.value(c, answer.value, &answer.coordinates)?;
    check.add_generators(Fr::ONE, &[value]);
    check.blinding -= sum_blinder.iter().sum::<Fr>();
    // That of the row.
    let batch = transcript.sponge.challenge("closing batch");
    check.add_answer(batch, blinder.iter().sum(), &answer);
    let scale = batch * answer.scale;
    check.add(-scale, "closing mask", mask);
    check.add_hidden(-(scale * c), hidden, &factors, rows)?;
    if check.holds()? {
        Ok(())
    } else {
        Err(VerifyError::Closing)
    }
}

/// Without a mask.
fn verify_clear(
    last: &Last,
    answer_log2: u8,
    hidden: &[HiddenRow],
    rows: Rows,
    transcript: &mut VerifierTranscript,
) -> Result<(), VerifyError> {
    let answer = folding::verify(last.asked(answer_log2), transcript)?;
    if !last
        .value(Fr::ONE, answer.value, &answer.coordinates)?
        .is_zero()
    {
        return Err(VerifyError::Opening);
    }
    let batch = transcript.sponge.challenge("closing batch");
    let mut check = Check::new();
    check.add_answer(batch, Fr::ZERO, &answer);
    check.add_hidden(-(batch * answer.scale), hidden, &[Fr::ONE], rows)?;
    if check.holds()? {
        Ok(())
    } else {
        Err(VerifyError::Opening)
    }
}
// verify-path: end

/// A uniform mask, and a commitment to it.
pub(crate) struct Mask {
    row: Zeroizing<Vec<Fr>>,
    blinder: Zeroizing<Fr>,
    point: GroupElement,
}

impl Mask {
    /// For an answer of this length; needs to know nothing else.
    pub(crate) fn new(len: usize, randomness: &mut Randomness) -> Self {
        let row = Zeroizing::new(randomness.scalars(len));
        let blinder = Zeroizing::new(randomness.scalar());
        let point = commit_row(0, &row, blind(&blinder));
        Self {
            row,
            blinder,
            point,
        }
    }
}

/// Proves what is left where nothing is hidden: the one opened row, with its one equation.
pub(crate) fn prove_clear(answer_log2: u8, transcript: &mut ProverTranscript) {
    transcript.sponge.challenge("closing equations");
    let secrets = transcript.secrets();
    let (row, form) = (secrets.values.clone(), secrets.form.clone());
    let asked = Asked {
        form: &form,
        coordinates: &[],
        answer_log2,
    };
    folding::prove(row, asked, transcript);
}

/// Proves the `claims` that a verifier of what was sent so far has left open, with fresh `randomness`.
///
/// # Panics
/// If `claims` and `mask` are not of the transcript.
pub(crate) fn prove(
    claims: &Claims,
    mask: &Mask,
    answer_log2: u8,
    randomness: &mut Randomness,
    transcript: &mut ProverTranscript,
) {
    const ABOUT: &str = "claims are about the transcript";
    let fold = transcript.sponge.challenge("closing equations");
    let folded = Folded::new(&claims.equations, claims.variables(), fold).expect(ABOUT);
    let mut last = folded.send(transcript);
    let weights = segment_weights(&claims.hidden, transcript.sponge.challenge(SEGMENTS));
    let sums = send_sums(&claims.hidden, &weights, transcript);
    let theta = transcript.sponge.challenge(ROWS);
    let factors = last.of_one_row(&claims.hidden, theta).expect(ABOUT);
    last.add_segments(&claims.hidden, &weights, (&factors, &sums), theta)
        .expect(ABOUT);
    let secrets = transcript.secrets();
    let mut row = Zeroizing::new(secrets.values.clone());
    let blinder = Zeroizing::new(dot(&factors, &secrets.blinders));
    for (hidden, factor) in claims.hidden.iter().zip(&factors) {
        let range = hidden.variables.start as usize..hidden.variables.end as usize;
        row[range].iter_mut().for_each(|value| *value *= factor);
    }

    let mut sums = [Fr::ZERO, dot(&last.linear.coefficients, &mask.row)];
    if let Some([x, y]) = last.product {
        sums[0] = last.scale * mask.row[x] * mask.row[y];
        sums[1] += last.scale * (mask.row[x] * row[y] + row[x] * mask.row[y]);
    }
    let sum_blinders = Zeroizing::new(randomness.scalars(2));
    let pairs = sums.iter().zip(sum_blinders.iter());
    let sums: Vec<GroupElement> = pairs
        .map(|(sum, blinder)| commit_row(0, &[*sum], blind(blinder)))
        .collect();
    transcript.send_points("closing sums", &sums);
    transcript.send_points("closing mask", &[mask.point]);

    let c = transcript.sponge.challenge("closing");
    transcript.send_clear("closing blinder", &[*mask.blinder + c * *blinder]);
    let pairs = mask.row.iter().zip(row.iter());
    let answer = pairs.map(|(mask, value)| *mask + c * value).collect();
    folding::prove(answer, last.asked(answer_log2), transcript);
    transcript.send_clear(
        "closing sum blinder",
        &[-(c * sum_blinders[1]) - sum_blinders[0]],
    );
}
