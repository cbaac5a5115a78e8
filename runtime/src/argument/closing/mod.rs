//! The last step of a proof: every equation that is left, and every hidden row, at once.
//!
//! Hidden elements `m` are in a few *rows*, under Pedersen commitments `C = sum_j m_j G_j + r H`: the pads, a late row if there is one, and the
//! opened row, whose commitment is a sum of others. All equations in them become one ([`products`]), `m_x m_y + <l, m> + k = 0`, with a single product,
//! of two pads. It is proved by one Sigma protocol *(Schnorr 1989; Cramer-Damgård 1998 for the product)*:
//!
//! 1. The prover masks every row with uniform `d` and sends `D = commit(d; b)` for each, and `T_0`, `T_1`, commitments to
//!    `t_0 = d_x d_y` and `t_1 = d_x m_y + m_x d_y + <l, d>`: with `s = d + c m`, `s_x s_y + c <l, s> + c^2 k = t_0 + c t_1`.
//! 2. A challenge `c`.
//! 3. The prover sends `b + c r` and `s = d + c m` for each row, folded where it is long ([`crate::argument::folding`]), and one blinding factor `z`.
//!
//! The verifier checks `commit(s; b + c r) = D + c C` for each row and
//! `(s_x s_y + c <l, s> + c^2 k) G_0 - c T_1 - T_0 = z H`, all in one multi-scalar multiplication.
//!
//! Rows have one answer each, over the same generators. One answer to the sum of two rows would not do: what a witness' row has at a pad's place
//! would then be added to that pad, with a weight that later challenges say.
//!
//! **Sound.** Two accepting answers give every row's content and blinding; three give `m_x m_y + <l, m> + k = 0`, or else a
//! relation between generators. **Zero-knowledge, perfectly, for a given challenge:** `s`, `b + c r`, `z` and `T_1` are uniform and independent of `m`, and
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
use crate::transcript::{Claims, Committed, HiddenRow, ProverTranscript, VerifierTranscript};
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

/// The prover's first message, and the challenge after it.
struct Announced<'a> {
    /// Commitments to `t_0` and `t_1`.
    sums: [&'a [u8; 32]; 2],
    /// One for each row.
    masks: &'a [[u8; 32]],
    challenge: Fr,
}

impl<'a> Announced<'a> {
    fn receive(rows: usize, transcript: &mut VerifierTranscript<'a>) -> Result<Self, VerifyError> {
        let [zero, one] = transcript.receive_points("closing sums", 2)? else {
            return Err(VerifyError::Truncated);
        };
        let masks = transcript.receive_points("closing masks", rows)?;
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

impl Last {
    /// What a row is asked for.
    fn asked<'l>(
        &'l self,
        row: &HiddenRow,
        coordinates: &'l mut Vec<usize>,
        answer_log2: u8,
    ) -> Result<Asked<'l>, VerifyError> {
        let variables = self.product.iter().flatten();
        let at = variables.filter_map(|variable| variable.checked_sub(row.first));
        coordinates.clear();
        coordinates.extend(at.map(|at| at as usize).filter(|at| *at < row.len));
        let from = row.first as usize;
        let to = from.checked_add(row.len).ok_or(VerifyError::Closing)?;
        let form = self.linear.coefficients.get(from..to);
        Ok(Asked {
            form: form.ok_or(VerifyError::Closing)?,
            coordinates,
            answer_log2,
        })
    }
}

/// Receives the answers to the challenge: for each row, and `s_x s_y + c <l, s> + c^2 k` of all.
fn receive_answers<'c, 'a>(
    hidden: &'c [HiddenRow],
    last: &Last,
    answer_log2: u8,
    announced: Option<&Announced<'a>>,
    transcript: &mut VerifierTranscript<'a>,
) -> Result<(Vec<RowAnswer<'c, 'a>>, Fr), VerifyError> {
    let c = announced.map_or(Fr::ONE, |announced| announced.challenge);
    let mut factors = Vec::new();
    let mut answers = Vec::new();
    let mut value = c.square() * last.linear.known;
    for (index, row) in hidden.iter().enumerate() {
        let (mut mask, mut blinder) = (None, Fr::ZERO);
        if let Some(announced) = announced {
            mask = Some(announced.masks.get(index).ok_or(VerifyError::Truncated)?);
            let sent = transcript.receive_clear("closing blinder", 1)?;
            blinder = sent.iter().sum();
        }
        let mut coordinates = Vec::new();
        let asked = last.asked(row, &mut coordinates, answer_log2)?;
        let answer = folding::verify(asked, transcript)?;
        value += c * answer.value;
        factors.extend_from_slice(&answer.coordinates);
        answers.push(RowAnswer {
            row,
            mask,
            blinder,
            answer,
        });
    }
    match (&last.product, &*factors) {
        (None, []) => {}
        (Some(_), [x, y]) => value += *x * y,
        _ => return Err(VerifyError::Closing),
    }
    Ok((answers, value))
}

impl Check {
    /// Adds the one equation, whose left side is `value`.
    fn add_equation(&mut self, announced: &Announced, (value, blinder): (Fr, Fr)) {
        let [zero, one] = announced.sums;
        self.add(-Fr::ONE, "closing sums", zero);
        self.add(-announced.challenge, "closing sums", one);
        self.add_generators(Fr::ONE, &[value]);
        self.blinding -= blinder;
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
            Committed::Sent(label, bytes) => self.add(-(scale * c), label, bytes),
            Committed::Opened(weights) => self.add_rows(-(scale * c), rows, weights)?,
        }
        Ok(())
    }
}

/// Checks what the transcript has left open; answers are folded to `2^answer_log2` elements.
///
/// # Errors
/// [`VerifyError::Closing`], [`VerifyError::Opening`] when it does not hold; [`VerifyError::NonCanonical`], [`VerifyError::Truncated`].
pub(crate) fn verify(
    hides: bool,
    answer_log2: u8,
    rows: Rows,
    transcript: &mut VerifierTranscript,
) -> Result<(), VerifyError> {
    let claims = transcript.take_claims();
    let fold = transcript.sponge.challenge("closing equations");
    let folded = Folded::new(&claims.equations, claims.variables(), fold)?;
    let last = folded.receive(transcript)?;
    let mut announced = None;
    if hides {
        announced = Some(Announced::receive(claims.hidden.len(), transcript)?);
    }
    let announced = announced.as_ref();
    let c = announced.map_or(Fr::ONE, |announced| announced.challenge);
    let (answers, value) =
        receive_answers(&claims.hidden, &last, answer_log2, announced, transcript)?;

    // The one equation, in the exponent if it is hidden.
    let mut check = Check::new();
    if let Some(announced) = announced {
        let sent = transcript.receive_clear("closing sum blinder", 1)?;
        check.add_equation(announced, (value, sent.iter().sum()));
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
/// If `claims` and `masks` are not of the transcript.
pub(crate) fn prove(
    claims: &Claims,
    masks: &Masks,
    answer_log2: u8,
    randomness: &mut Randomness,
    transcript: &mut ProverTranscript,
) {
    let fold = transcript.sponge.challenge("closing equations");
    let folded = Folded::new(&claims.equations, claims.variables(), fold);
    let last = folded
        .expect("claims are about the transcript")
        .send(transcript);
    let values = Zeroizing::new(transcript.secrets().values.clone());
    let blinders = transcript.secrets().rows.iter();
    let blinders = Zeroizing::new(blinders.map(|(_, blinder)| *blinder).collect::<Vec<_>>());
    assert_eq!(claims.variables(), values.len(), "hidden elements");
    assert_eq!(claims.hidden.len(), blinders.len(), "commitments");

    let mask = Zeroizing::new(
        masks
            .rows
            .iter()
            .flat_map(|row| row.iter().copied())
            .collect::<Vec<_>>(),
    );
    let mut sums = [Fr::ZERO, dot(&last.linear.coefficients, &mask)];
    if let Some([x, y]) = last
        .product
        .map(|pair| pair.map(|variable| variable as usize))
    {
        sums[0] = mask[x] * mask[y];
        sums[1] += mask[x] * values[y] + values[x] * mask[y];
    }
    let sum_blinders = Zeroizing::new(randomness.scalars(2));
    let sums = sums.iter().zip(blind_all(&sum_blinders));
    let sums: Vec<GroupElement> = sums
        .map(|(sum, blinding)| commit_row(&[*sum], blinding))
        .collect();
    transcript.send_points("closing sums", &sums);
    transcript.send_points("closing masks", &masks.points);

    let c = transcript.sponge.challenge("closing");
    for (index, row) in claims.hidden.iter().enumerate() {
        let secrets = &values[row.first as usize..][..row.len];
        let pairs = masks.rows[index].iter().zip(secrets);
        let answer = pairs.map(|(mask, value)| *mask + c * value).collect();
        transcript.send_clear(
            "closing blinder",
            &[masks.blinders[index] + c * blinders[index]],
        );
        let mut coordinates = Vec::new();
        let asked = last.asked(row, &mut coordinates, answer_log2);
        folding::prove(answer, asked.expect("a row of the transcript"), transcript);
    }
    transcript.send_clear(
        "closing sum blinder",
        &[-(c * sum_blinders[1]) - sum_blinders[0]],
    );
}
