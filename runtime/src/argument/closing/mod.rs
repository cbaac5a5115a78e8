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
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::argument::folding::{self, Asked};
use crate::commitment::{
    Generators, GroupElement, blind_all, blinding_generator, commit_row, decode_point, msm,
};
use crate::error::VerifyError;
use crate::field::{Fr, dot};
use crate::randomness::Randomness;
use crate::transcript::{
    AffineForm, Claims, Committed, HiddenRow, ProverTranscript, VerifierTranscript,
};
use products::{Folded, Last};

mod products;
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
        let decode = |(label, bytes, factor): &(&'static str, [u8; 32], Fr)| {
            let point = decode_point(bytes);
            let point = point.ok_or(VerifyError::NonCanonical { label })?;
            Ok((point, *factor))
        };
        let decoded: Vec<Result<_, VerifyError>> = self.encoded.par_iter().map(decode).collect();
        for point in decoded {
            self.points.push(point?);
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

/// Powers of `sigma`, one for each variable of the pads and of a late row.
fn segment_weights(hidden: &[HiddenRow], sigma: Fr) -> Vec<Vec<Fr>> {
    let mut powers = std::iter::successors(Some(sigma), |power| Some(*power * sigma));
    let is_opened = |row: &&HiddenRow| matches!(row.commitment, Committed::Opened(_));
    let rows = hidden.iter().take_while(|row| !is_opened(row));
    rows.map(|row| powers.by_ref().take(row.variables.len()).collect())
        .collect()
}

impl Last {
    /// Of all rows in one: each segment of `n` is its row, times a power of `theta`. Gives the rows' factors, in their order.
    fn of_one_row(&mut self, hidden: &[HiddenRow], theta: Fr) -> Result<Vec<Fr>, VerifyError> {
        let [square, cube] = [theta.square(), theta.square() * theta];
        self.scale *= theta;
        self.linear.known *= cube;
        let mut factors = Vec::with_capacity(hidden.len());
        for row in hidden {
            let (factor, scale) = match row.commitment {
                Committed::Opened(_) => (Fr::ONE, cube),
                Committed::Pads(_) => (theta, square),
                Committed::Late(_) => (cube, Fr::ONE),
            };
            factors.push(factor);
            let range = row.variables.start as usize..row.variables.end as usize;
            let part = self.linear.coefficients.get_mut(range);
            let part = part.ok_or(VerifyError::Closing)?;
            part.iter_mut()
                .for_each(|coefficient| *coefficient *= scale);
        }
        Ok(factors)
    }

    /// Adds, to the equation of one row, that the opened one has nothing in the others' segments: `theta^10 (<h, n> - sum factor sum)`.
    fn add_segments(
        &mut self,
        hidden: &[HiddenRow],
        weights: &[Vec<Fr>],
        (factors, sums): (&[Fr], &[AffineForm]),
        theta: Fr,
    ) -> Result<(), VerifyError> {
        const MISSING: VerifyError = VerifyError::Key("a row has no sum");
        let power = theta.pow([10]);
        let inverse = theta.inverse().ok_or(VerifyError::Closing)?;
        // len: one for each row but the opened one, which is the last
        for (index, (row, weights)) in hidden.iter().zip(weights).enumerate() {
            let slots = self.linear.coefficients.iter_mut();
            let slots = slots.skip(row.variables.start as usize);
            // len: one for each variable
            for (slot, weight) in slots.zip(weights) {
                *slot += power * weight;
            }
            let factor = power * factors.get(index).ok_or(MISSING)?;
            let sum = sums.get(index).ok_or(MISSING)?;
            // A pad is `1 / theta` of what the row has there.
            self.linear.known -= factor * sum.known();
            for (pad, coefficient) in sum.terms() {
                let slot = self.linear.coefficients.get_mut(*pad as usize);
                *slot.ok_or(MISSING)? -= factor * inverse * coefficient;
            }
        }
        Ok(())
    }

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

/// Label of the challenge for the sums of segments.
const SEGMENTS: &str = "closing segments";
/// Label of these sums.
const SUMS: &str = "segment sums";
/// Label of the challenge that makes one row of all.
const ROWS: &str = "closing rows";

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
        let point = commit_row(0, &row, blinded(*blinder));
        Self {
            row,
            blinder,
            point,
        }
    }
}

/// `blinder * H`.
fn blinded(blinder: Fr) -> GroupElement {
    let [point] = blind_all(&[blinder])[..] else {
        unreachable!("one for one");
    };
    point
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

/// Sends the sums of the pads and of a late row.
fn send_sums(
    hidden: &[HiddenRow],
    weights: &[Vec<Fr>],
    transcript: &mut ProverTranscript,
) -> Vec<AffineForm> {
    let values = &transcript.secrets().values;
    let sum = |(row, weights): (&HiddenRow, &Vec<Fr>)| {
        dot(
            weights,
            &values[row.variables.start as usize..][..weights.len()],
        )
    };
    let sums: Vec<Fr> = hidden.iter().zip(weights).map(sum).collect();
    transcript.send_forms(SUMS, &sums)
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
        .map(|(sum, blinder)| commit_row(0, &[*sum], blinded(*blinder)))
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

#[cfg(test)]
mod tests {
    use super::products::Linear;
    use super::*;

    /// Greatest power of `theta`.
    const DEGREE: usize = 15;

    /// The coefficients of the polynomial with these values at `1, 2, ..`.
    fn coefficients(values: &[Fr]) -> Vec<Fr> {
        let point = |at: usize| Fr::from(at as u64 + 1);
        let mut sum = vec![Fr::ZERO; values.len()];
        for (at, value) in values.iter().enumerate() {
            let others = (0..values.len()).filter(|other| *other != at);
            let mut basis = vec![*value];
            for other in others {
                let scale = (point(at) - point(other)).inverse().unwrap();
                let mut next = vec![Fr::ZERO; basis.len() + 1];
                for (power, coefficient) in basis.iter().enumerate() {
                    next[power + 1] += scale * coefficient;
                    next[power] -= scale * coefficient * point(other);
                }
                basis = next;
            }
            sum.iter_mut()
                .zip(basis)
                .for_each(|(sum, term)| *sum += term);
        }
        sum
    }

    /// Rows that have something in every segment, with a random equation.
    struct Setting {
        hidden: Vec<HiddenRow>,
        contents: Vec<Vec<Fr>>,
        form: Vec<Fr>,
        known: Fr,
        sums: [AffineForm; 2],
        weights: Vec<Vec<Fr>>,
    }

    /// Of the pads, a late row and the opened row.
    const SEGMENTS: [std::ops::Range<u32>; 3] = [4..9, 9..12, 0..4];
    /// Variables that are multiplied.
    const FACTORS: [usize; 2] = [5, 7];
    /// Pads of the sums.
    const PADS: [u32; 2] = [6, 8];

    impl Setting {
        fn new() -> Self {
            let commitments = [
                Committed::Pads([0; 32]),
                Committed::Late([0; 32]),
                Committed::Opened([vec![], vec![]]),
            ];
            let pairs = SEGMENTS.into_iter().zip(commitments);
            let hidden: Vec<HiddenRow> = pairs
                .map(|(variables, commitment)| HiddenRow {
                    variables,
                    commitment,
                })
                .collect();
            let mut randomness = Randomness::from_seed("test", [1; 32]);
            let contents = (0..3).map(|_| randomness.scalars(12)).collect();
            Self {
                contents,
                form: randomness.scalars(12),
                known: randomness.scalar(),
                weights: segment_weights(&hidden, randomness.scalar()),
                sums: PADS.map(|pad| AffineForm::padded(randomness.scalar(), pad)),
                hidden,
            }
        }

        /// The left side of the equation of one row.
        fn left_side(&self, theta: Fr) -> Fr {
            let mut last = Last {
                product: Some(FACTORS),
                scale: Fr::ONE,
                linear: Linear {
                    coefficients: self.form.clone(),
                    known: self.known,
                },
            };
            let factors = last.of_one_row(&self.hidden, theta).unwrap();
            last.add_segments(&self.hidden, &self.weights, (&factors, &self.sums), theta)
                .unwrap();
            let mut row = vec![Fr::ZERO; 12];
            for (factor, content) in factors.iter().zip(&self.contents) {
                row.iter_mut()
                    .zip(content)
                    .for_each(|(n, v)| *n += *factor * v);
            }
            let of_form = dot(&last.linear.coefficients, &row);
            last.value(Fr::ONE, of_form, &FACTORS.map(|at| row[at]))
                .unwrap()
        }

        /// What each row has in its own segment.
        fn own(&self) -> Vec<Fr> {
            let mut own = vec![Fr::ZERO; 12];
            for (segment, content) in SEGMENTS.iter().zip(&self.contents) {
                let range = segment.start as usize..segment.end as usize;
                own[range.clone()].copy_from_slice(&content[range]);
            }
            own
        }

        /// The left side of the equation in what each row has in its own segment.
        fn of_own(&self) -> Fr {
            let own = self.own();
            own[FACTORS[0]] * own[FACTORS[1]] + dot(&self.form, &own) + self.known
        }
    }

    /// A plain sum of the rows would not do: something at a pad's place in the opened row makes a false equation hold.
    #[test]
    fn a_plain_sum_of_the_rows_would_not_do() {
        let mut setting = Setting::new();
        let (place, one) = (PADS[0] as usize, Fr::ONE);
        let off = setting.left_side(one);
        setting.contents[2][place] += one;
        let slope = setting.left_side(one) - off;
        setting.contents[2][place] -= one + off * slope.inverse().unwrap();
        assert_eq!(setting.left_side(one), Fr::ZERO);
        assert_ne!(setting.of_own(), Fr::ZERO);
        // What `theta` is for.
        assert_ne!(setting.left_side(Fr::from(77u64)), Fr::ZERO);
    }

    /// Each commitment has something in every segment: the power of `theta^3` is the equation in what each has in its own, and that of `theta^10` sees
    /// what the opened row has in others'.
    #[test]
    fn what_is_in_anothers_segment_has_another_power() {
        let setting = Setting::new();
        let points = 1..=DEGREE as u64 + 2;
        let values: Vec<Fr> = points
            .map(|theta| setting.left_side(theta.into()))
            .collect();
        let powers = coefficients(&values);
        assert_eq!(powers[DEGREE + 1], Fr::ZERO);
        assert_ne!(powers[DEGREE], Fr::ZERO);
        assert_eq!(powers[3], setting.of_own());
        let Setting {
            contents,
            sums,
            weights,
            ..
        } = &setting;
        let weights = weights.concat();
        let [pads, _, opened] = &contents[..] else {
            panic!("three rows");
        };
        let pad = PADS[0] as usize;
        assert_eq!(powers[10], dot(&weights, &opened[4..]) + opened[pad]);
        // The sum is what was sent less its pad.
        let sum = sums[0].known() - pads[pad];
        assert_eq!(powers[11], dot(&weights, &pads[4..]) - sum);
    }
}
