//! All equations in one, and all its products in one.
//!
//! A challenge folds the equations into `sum_k a_k b_k + l = 0`, where `a_k`, `b_k` and `l` are affine forms in hidden elements. That is an inner
//! product: a sumcheck over the bits of `k` leaves `claim = a(r) b(r)`, where `a(r) = sum_k eq(r, k) a_k` is a form again, and so is `b(r)`. The prover
//! sends both (under pads, like the rounds), and a last challenge folds three equations: that the one is `a(r)`, the other `b(r)`, and that their
//! product is the claim. So one product of two pads is left, whatever the number of equations.

use ark_ff::{AdditiveGroup, Field};

use crate::argument::inner_product::{bind, next_claim, round};
use crate::error::VerifyError;
use crate::field::{Fr, eq_table};
use crate::transcript::{AffineForm, Equation, ProverTranscript, VerifierTranscript};

// verify-path: begin
const ROUND: &str = "product round";
const FACTORS: &str = "product factors";
const LAST: &str = "closing products";

/// An affine form with a coefficient for every variable.
#[derive(Clone)]
pub(super) struct Linear {
    pub coefficients: Vec<Fr>,
    pub known: Fr,
}

impl Linear {
    fn add(&mut self, factor: Fr, form: &AffineForm) -> Result<(), VerifyError> {
        const MISSING: VerifyError = VerifyError::Key("an equation names no hidden element");
        self.known += factor * form.known();
        for (variable, coefficient) in form.terms() {
            let slot = self.coefficients.get_mut(*variable as usize);
            *slot.ok_or(MISSING)? += factor * coefficient;
        }
        Ok(())
    }
}

/// `sum of products + linear = 0`: all equations in one.
pub(super) struct Folded {
    products: Vec<[AffineForm; 2]>,
    linear: Linear,
}

/// `scale x y + linear = 0` for two variables `x` and `y`, or `linear = 0`.
pub(super) struct Last {
    pub product: Option<[usize; 2]>,
    pub scale: Fr,
    pub linear: Linear,
}

/// The sumcheck so far: its claim is `scale` times the first one, and `rest`.
struct Rounds {
    scale: Fr,
    rest: AffineForm,
    point: Vec<Fr>,
}

impl Rounds {
    fn new() -> Self {
        Self {
            scale: Fr::ONE,
            rest: AffineForm::default(),
            point: Vec::new(),
        }
    }

    fn next(&mut self, message: &[AffineForm; 2], r: Fr) {
        self.scale *= r;
        self.rest = next_claim(std::mem::take(&mut self.rest), message, r);
        self.point.push(r);
    }
}

impl Folded {
    /// `sum_i challenge^i equation_i`, in so many variables.
    pub fn new(
        equations: &[Equation],
        variables: usize,
        challenge: Fr,
    ) -> Result<Self, VerifyError> {
        let mut folded = Self {
            products: Vec::new(),
            linear: Linear {
                coefficients: vec![Fr::ZERO; variables],
                known: Fr::ZERO,
            },
        };
        let mut power = Fr::ONE;
        for Equation { products, linear } in equations {
            folded.linear.add(power, linear)?;
            for (scale, left, right) in products {
                let left = left.clone().times(power * scale);
                folded.products.push([left, right.clone()]);
            }
            power *= challenge;
        }
        Ok(folded)
    }

    /// Number of rounds.
    fn rounds(&self) -> u32 {
        self.products.len().next_power_of_two().trailing_zeros()
    }

    /// Receives what leaves one product.
    pub fn receive(self, transcript: &mut VerifierTranscript) -> Result<Last, VerifyError> {
        if self.products.is_empty() {
            return Ok(self.without_products());
        }
        let mut rounds = Rounds::new();
        for _ in 0..self.rounds() {
            let message = transcript.receive_array(ROUND)?;
            let r = transcript.sponge.challenge(ROUND);
            rounds.next(&message, r);
        }
        let factors = transcript.receive_array(FACTORS)?;
        let challenge = transcript.sponge.challenge(LAST);
        self.last(rounds, factors, challenge)
    }

    fn without_products(self) -> Last {
        Last {
            product: None,
            scale: Fr::ZERO,
            linear: self.linear,
        }
    }

    /// `a b - claim + challenge (a(r) - a) + challenge^2 (b(r) - b)`, of the factors `a`, `b` that were sent.
    fn last(
        self,
        rounds: Rounds,
        factors: [AffineForm; 2],
        challenge: Fr,
    ) -> Result<Last, VerifyError> {
        const OTHER: VerifyError = VerifyError::Key("a factor is under no pad");
        let mut linear = self.linear;
        linear.known *= rounds.scale;
        linear
            .coefficients
            .iter_mut()
            .for_each(|c| *c *= rounds.scale);
        linear.add(-Fr::ONE, &rounds.rest)?;
        // len: as many as products, or more
        for ([left, right], weight) in self.products.iter().zip(eq_table(&rounds.point)) {
            linear.add(challenge * weight, left)?;
            linear.add(challenge.square() * weight, right)?;
        }
        let [left, right] = &factors;
        linear.add(-challenge, left)?;
        linear.add(-challenge.square(), right)?;
        let ([(x, minus)], [(y, other)]) = (left.terms(), right.terms()) else {
            return Err(OTHER);
        };
        if [*minus, *other] != [-Fr::ONE; 2] {
            return Err(OTHER);
        }
        // (a - x) (b - y) = x y + a (b - y) + b (a - x) - a b
        linear.add(left.known(), right)?;
        linear.add(right.known(), left)?;
        linear.known -= left.known() * right.known();
        Ok(Last {
            product: Some([*x as usize, *y as usize]),
            scale: Fr::ONE,
            linear,
        })
    }
}
// verify-path: end

impl Folded {
    /// Sends what leaves one product.
    pub fn send(self, transcript: &mut ProverTranscript) -> Last {
        if self.products.is_empty() {
            return self.without_products();
        }
        let values = &transcript.secrets().values;
        let table = |side: usize| -> Vec<Fr> {
            let values = self
                .products
                .iter()
                .map(|forms| forms[side].evaluate(values));
            let mut table: Vec<Fr> = values
                .map(|v| v.expect("all variables are there"))
                .collect();
            table.resize(1 << self.rounds(), Fr::ZERO);
            table
        };
        let [mut left, mut right] = [0, 1].map(table);
        let mut rounds = Rounds::new();
        for _ in 0..self.rounds() {
            let message = transcript.send_array(ROUND, &round(&left, &right));
            let r = transcript.sponge.challenge(ROUND);
            rounds.next(&message, r);
            bind(&mut left, r);
            bind(&mut right, r);
        }
        let factors = transcript.send_array(FACTORS, &[left[0], right[0]]);
        let challenge = transcript.sponge.challenge(LAST);
        self.last(rounds, factors, challenge)
            .expect("what was sent is under pads")
    }
}
