//! All rows in one, by powers of `theta`: what [`super`] says of segments.

use ark_ff::Field;

use super::products::Last;
use crate::error::VerifyError;
use crate::field::{Fr, dot};
use crate::transcript::{AffineForm, Committed, HiddenRow, ProverTranscript};

// verify-path: begin
/// Label of the challenge for the sums of segments.
pub(super) const SEGMENTS: &str = "closing segments";
/// Label of these sums.
pub(super) const SUMS: &str = "segment sums";
/// Label of the challenge that makes one row of all.
pub(super) const ROWS: &str = "closing rows";

/// Powers of `sigma`, one for each variable of the pads and of a late row.
pub(super) fn segment_weights(hidden: &[HiddenRow], sigma: Fr) -> Vec<Vec<Fr>> {
    let mut powers = std::iter::successors(Some(sigma), |power| Some(*power * sigma));
    let is_opened = |row: &&HiddenRow| matches!(row.commitment, Committed::Opened(_));
    let rows = hidden.iter().take_while(|row| !is_opened(row));
    rows.map(|row| powers.by_ref().take(row.variables.len()).collect())
        .collect()
}

impl Last {
    /// Of all rows in one: each segment of `n` is its row, times a power of `theta`. Gives the rows' factors, in their order.
    pub fn of_one_row(&mut self, hidden: &[HiddenRow], theta: Fr) -> Result<Vec<Fr>, VerifyError> {
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
    pub fn add_segments(
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
}
// verify-path: end

/// Sends the sums of the pads and of a late row.
pub(super) fn send_sums(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argument::closing::products::Linear;
    use crate::randomness::Randomness;
    use ark_ff::AdditiveGroup;

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
