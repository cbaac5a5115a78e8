//! The last step of a proof: every equation that is left, and every opened row, at once.
//!
//! Hidden elements `m` are under Pedersen commitments `C = sum_j m_j G_j + r H`: *scalars* alone under theirs, which enter the equations linearly,
//! and *rows* (factors, opened rows), which may be multiplied. A challenge folds the equations into one, `Q(m) + L(m) + S(m) + k = 0`,
//! with `Q` the products and `L` the linear part in rows, `S` the linear part in scalars, `k` known. It is proved by one Sigma protocol
//! *(Schnorr 1989; Cramer-Damgård 1998 for products; folding as in Bellare-Garay-Rabin 1998)*:
//!
//! 1. The prover masks every row with uniform `d` and sends `D = commit(d; b)` for each, and `T_0`, `T_1`, commitments to
//!    `t_0 = Q(d)` and `t_1 = B(d, m) + L(d)`, where `B` is `Q`'s bilinear form: `Q(d + c m) = Q(d) + c B(d, m) + c^2 Q(m)`.
//! 2. A challenge `c`.
//! 3. The prover sends `b + c r` and `s = d + c m` for each row, an opened one folded ([`crate::argument::folding`]), and one blinding factor `z`.
//!
//! The verifier checks `commit(s; b + c r) = D + c C` for each row and
//! `(Q(s) + c L(s) + c^2 k) G_0 + c^2 S(C) - c T_1 - T_0 = z H`, all in one multi-scalar multiplication.
//!
//! **Sound.** Two accepting answers give every row's content and blinding; three give `Q(m) + L(m) + S(C) + k = 0` up to a multiple of `H`, or else a
//! relation between generators. **Zero-knowledge, perfectly, for a given challenge:** `s`, `b + c r`, `z` and `T_1` are uniform and independent of `m`, and
//! `D` and `T_0` follow from the checks. That is the simulator: `closing/simulator.rs`, which the tests of `protocol/simulator.rs` run.
//!
//! A proof that hides nothing leaves one equation, linear in the opened row: that is answered for without a mask, `c = 1`, `s = m`.

use ark_ff::{AdditiveGroup, Field, Zero};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::argument::folding;
use crate::commitment::{
    Generators, GroupElement, blind_all, blinding_generator, commit_row, commit_scalars,
    decode_point, msm,
};
use crate::error::VerifyError;
use crate::field::Fr;
use crate::randomness::Randomness;
use crate::transcript::{
    Claims, Committed, Equation, HiddenRow, ProverTranscript, Secrets, VerifierTranscript,
};

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

/// All equations in one.
struct Folded {
    /// By variable.
    linear: Vec<Fr>,
    products: Vec<(usize, usize, Fr)>,
    known: Fr,
}

impl Folded {
    /// `sum_i challenge^i equation_i`.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when anything but factors is multiplied: only they are answered for one by one.
    fn new(claims: &Claims, challenge: Fr) -> Result<Self, VerifyError> {
        const MISSING: VerifyError = VerifyError::Key("an equation names no hidden element");
        const OTHER: VerifyError = VerifyError::Key("an equation multiplies what is not a factor");
        let mut is_factor = vec![false; claims.variables()];
        for row in claims.masked().filter(|row| row.rounds().is_none()) {
            let slots = is_factor.iter_mut().skip(row.first as usize).take(row.len);
            slots.for_each(|slot| *slot = true);
        }
        let factor = |variable: u32| {
            let found = is_factor.get(variable as usize).filter(|found| **found);
            found.map(|_| variable as usize).ok_or(OTHER)
        };
        let mut folded = Self {
            linear: vec![Fr::ZERO; claims.variables()],
            products: Vec::new(),
            known: Fr::ZERO,
        };
        let mut power = Fr::ONE;
        for Equation { products, linear } in &claims.equations {
            folded.known += power * linear.known();
            let mut add = |variable: u32, coefficient: Fr| {
                let slot = folded.linear.get_mut(variable as usize).ok_or(MISSING)?;
                *slot += coefficient;
                Ok(())
            };
            for (variable, coefficient) in linear.terms() {
                add(*variable, power * coefficient)?;
            }
            for (scale, left, right) in products {
                let scale = power * scale;
                folded.known += scale * left.known() * right.known();
                for (form, other) in [(left, right), (right, left)] {
                    for (variable, coefficient) in form.terms() {
                        add(*variable, scale * coefficient * other.known())?;
                    }
                }
                for (left, a) in left.terms() {
                    for (right, b) in right.terms() {
                        let product = (factor(*left)?, factor(*right)?, scale * a * b);
                        folded.products.push(product);
                    }
                }
            }
            power *= challenge;
        }
        Ok(folded)
    }

    /// `Q(s)`, of values by variable.
    fn quadratic(&self, values: &[Fr]) -> Result<Fr, VerifyError> {
        let at = |index: usize| values.get(index).copied().ok_or(VerifyError::Closing);
        let product =
            |(left, right, factor): &(usize, usize, Fr)| Ok(*factor * at(*left)? * at(*right)?);
        self.products.iter().map(product).sum()
    }
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

/// The prover's first message, and the challenge after it.
struct Announced<'a> {
    /// Commitments to `t_0` and `t_1`.
    sums: [&'a [u8; 32]; 2],
    /// One for each row that is answered for.
    masks: &'a [[u8; 32]],
    challenge: Fr,
}

impl<'a> Announced<'a> {
    fn receive(
        claims: &Claims,
        transcript: &mut VerifierTranscript<'a>,
    ) -> Result<Self, VerifyError> {
        let [zero, one] = transcript.receive_points("closing sums", 2)? else {
            return Err(VerifyError::Truncated);
        };
        let masks = transcript.receive_points("closing masks", claims.masked().count())?;
        Ok(Self {
            sums: [zero, one],
            masks,
            challenge: transcript.sponge.challenge("closing"),
        })
    }
}

/// What is answered for one row.
struct RowAnswer<'c, 'a> {
    row: &'c HiddenRow,
    /// Commitment to its mask; none where nothing is hidden.
    mask: Option<&'a [u8; 32]>,
    /// `b + c r`.
    blinder: Fr,
    /// `s`.
    answer: folding::Answer<'a>,
}

/// Receives the answers to the challenge: for each row, and `Q(s) + c L(s) + c^2 k` of all.
fn receive_answers<'c, 'a>(
    claims: &'c Claims,
    folded: &Folded,
    announced: Option<&Announced<'a>>,
    transcript: &mut VerifierTranscript<'a>,
) -> Result<(Vec<RowAnswer<'c, 'a>>, Fr), VerifyError> {
    let c = announced.map_or(Fr::ONE, |announced| announced.challenge);
    let mut factors = vec![Fr::ZERO; claims.variables()];
    let mut answers = Vec::new();
    let mut value = c.square() * folded.known;
    for (index, row) in claims.masked().enumerate() {
        let linear = row.of(&folded.linear)?;
        let (mut mask, mut blinder) = (None, Fr::ZERO);
        if let Some(announced) = announced {
            mask = Some(announced.masks.get(index).ok_or(VerifyError::Truncated)?);
            let sent = transcript.receive_clear("closing blinder", 1)?;
            blinder = sent.iter().sum();
        }
        let rounds = row.rounds();
        let answer = folding::verify(linear, rounds.unwrap_or(0), transcript)?;
        value += c * answer.value;
        if rounds.is_none() {
            let slots = factors.iter_mut().skip(row.first as usize);
            // len: a row's
            for (slot, factor) in slots.zip(&answer.generators) {
                *slot = *factor;
            }
        }
        answers.push(RowAnswer {
            row,
            mask,
            blinder,
            answer,
        });
    }
    value += folded.quadratic(&factors)?;
    Ok((answers, value))
}

impl Check {
    /// Adds the folded equation, whose terms in rows and in what is known are `value`.
    fn add_equation(
        &mut self,
        claims: &Claims,
        folded: &Folded,
        announced: &Announced,
        (value, blinder): (Fr, Fr),
    ) -> Result<(), VerifyError> {
        let c = announced.challenge;
        for row in &claims.hidden {
            if let Committed::Scalar(bytes) = &row.commitment {
                let factor: Fr = row.of(&folded.linear)?.iter().sum();
                self.add(c.square() * factor, "hidden scalar", bytes);
            }
        }
        let [zero, one] = announced.sums;
        self.add(-Fr::ONE, "closing sums", zero);
        self.add(-c, "closing sums", one);
        self.add_generators(Fr::ONE, &[value]);
        self.blinding -= blinder;
        Ok(())
    }

    /// Adds `factor` times the equation of one row, answered for under the challenge `c`.
    fn add_answer(
        &mut self,
        factor: Fr,
        c: Fr,
        received: &RowAnswer,
        rows: Rows,
    ) -> Result<(), VerifyError> {
        let RowAnswer {
            row,
            mask,
            blinder,
            answer,
        } = received;
        self.add_generators(factor, &answer.generators);
        self.blinding += factor * (answer.scale * blinder + answer.blinding);
        for (bytes, weight) in &answer.points {
            self.add(-(factor * weight), "answer round", bytes);
        }
        let scale = factor * answer.scale;
        if let Some(mask) = mask {
            self.add(-scale, "closing masks", mask);
        }
        match &row.commitment {
            Committed::Scalar(_) => return Err(VerifyError::Closing),
            Committed::Factors(bytes) => self.add(-(scale * c), "hidden row", bytes),
            Committed::Opened { weights, .. } => self.add_rows(-(scale * c), rows, weights)?,
        }
        Ok(())
    }
}

/// Checks what the transcript has left open.
///
/// # Errors
/// [`VerifyError::Closing`], [`VerifyError::Opening`] when it does not hold; [`VerifyError::NonCanonical`], [`VerifyError::Truncated`].
pub(crate) fn verify(
    hides: bool,
    rows: Rows,
    transcript: &mut VerifierTranscript,
) -> Result<(), VerifyError> {
    let claims = transcript.take_claims();
    let fold = transcript.sponge.challenge("closing equations");
    let folded = Folded::new(&claims, fold)?;
    let mut announced = None;
    if hides {
        announced = Some(Announced::receive(&claims, transcript)?);
    }
    let announced = announced.as_ref();
    let c = announced.map_or(Fr::ONE, |announced| announced.challenge);
    let (answers, value) = receive_answers(&claims, &folded, announced, transcript)?;

    // The folded equation, in the exponent if it is hidden.
    let mut check = Check::new();
    if let Some(announced) = announced {
        let sent = transcript.receive_clear("closing sum blinder", 1)?;
        let z = sent.iter().sum();
        check.add_equation(&claims, &folded, announced, (value, z))?;
    } else if !value.is_zero() {
        return Err(VerifyError::Opening);
    }
    // One equation for each row.
    let batch = transcript.sponge.challenge("closing batch");
    let mut power = batch;
    for answer in &answers {
        check.add_answer(power, c, answer, rows)?;
        power *= batch;
    }
    if check.holds()? {
        Ok(())
    } else if hides {
        Err(VerifyError::Closing)
    } else {
        Err(VerifyError::Opening)
    }
}

impl HiddenRow {
    /// Its part of values by variable.
    fn of<'a>(&self, values: &'a [Fr]) -> Result<&'a [Fr], VerifyError> {
        let from = self.first as usize;
        let to = from.checked_add(self.len).ok_or(VerifyError::Closing)?;
        values.get(from..to).ok_or(VerifyError::Closing)
    }

    /// How often its answer is folded; `None` for what is answered for one by one.
    fn rounds(&self) -> Option<usize> {
        match &self.commitment {
            Committed::Opened { rounds, .. } => Some(*rounds),
            _ => None,
        }
    }
}

impl Claims {
    /// Rows that are answered with a mask: all but the scalars.
    fn masked(&self) -> impl Iterator<Item = &HiddenRow> {
        self.hidden
            .iter()
            .filter(|row| !matches!(row.commitment, Committed::Scalar(_)))
    }
}
// verify-path: end

/// Uniform masks for every row, and commitments to them.
pub(crate) struct Masks {
    rows: Vec<Zeroizing<Vec<Fr>>>,
    blinders: Zeroizing<Vec<Fr>>,
    points: Vec<GroupElement>,
}

impl Masks {
    /// For rows of these lengths; needs to know nothing else.
    pub(crate) fn new(lens: &[usize], randomness: &mut Randomness) -> Self {
        let rows = lens
            .iter()
            .map(|&len| Zeroizing::new(randomness.scalars(len)));
        let rows: Vec<_> = rows.collect();
        let blinders = Zeroizing::new(randomness.scalars(rows.len()));
        let points = rows
            .par_iter()
            .zip_eq(blind_all(&blinders))
            .map(|(row, blinding)| commit_row(row, blinding))
            .collect();
        Self {
            rows,
            blinders,
            points,
        }
    }
}

/// Proves what is left where nothing is hidden: the one opened row, with its one equation.
pub(crate) fn prove_clear(mut secrets: Secrets, rounds: usize, transcript: &mut ProverTranscript) {
    transcript.sponge.challenge("closing equations");
    let row = std::mem::take(&mut secrets.values);
    folding::prove(row, &secrets.form, rounds, transcript);
}

/// Proves the `claims` that a verifier of what was sent so far has left open, with fresh `randomness`.
///
/// # Panics
/// If `claims`, `masks` and `secrets` are not of the same transcript.
pub(crate) fn prove(
    claims: &Claims,
    masks: &Masks,
    secrets: Secrets,
    randomness: &mut Randomness,
    transcript: &mut ProverTranscript,
) {
    assert_eq!(claims.variables(), secrets.values.len(), "hidden elements");
    assert_eq!(claims.hidden.len(), secrets.blinders.len(), "commitments");
    let fold = transcript.sponge.challenge("closing equations");
    let folded = Folded::new(claims, fold).expect("claims are about the transcript");
    let values = &secrets.values;
    let range = |row: &HiddenRow| row.first as usize..row.first as usize + row.len;

    let mut spread = Zeroizing::new(vec![Fr::ZERO; values.len()]);
    let mut at_mask = Fr::ZERO;
    for (row, mask) in claims.masked().zip(&masks.rows) {
        spread[range(row)].copy_from_slice(mask);
        at_mask += crate::field::dot(&folded.linear[range(row)], mask);
    }
    let constant: Fr = folded.quadratic(&spread).expect("all variables are there");
    let cross = folded.products.iter().map(|&(left, right, factor)| {
        factor * (spread[left] * values[right] + values[left] * spread[right])
    });
    let slope: Fr = at_mask + cross.sum::<Fr>();
    let sum_blinders = Zeroizing::new(randomness.scalars(2));
    let sums = commit_scalars(&[constant, slope], &blind_all(&sum_blinders));
    transcript.send_points("closing sums", &sums);
    transcript.send_points("closing masks", &masks.points);

    let c = transcript.sponge.challenge("closing");
    let mut z = -(c * sum_blinders[1]) - sum_blinders[0];
    let mut rows = masks.rows.iter().zip(masks.blinders.iter());
    for (row, blinder) in claims.hidden.iter().zip(&secrets.blinders) {
        let linear = &folded.linear[range(row)];
        if let Committed::Scalar(_) = row.commitment {
            z += c.square() * linear[0] * blinder;
            continue;
        }
        let (mask, mask_blinder) = rows.next().expect("one for each masked row");
        let pairs = mask.iter().zip(&values[range(row)]);
        let answer = pairs.map(|(mask, value)| *mask + c * value).collect();
        transcript.send_clear("closing blinder", &[*mask_blinder + c * blinder]);
        folding::prove(answer, linear, row.rounds().unwrap_or(0), transcript);
    }
    transcript.send_clear("closing sum blinder", &[z]);
}
