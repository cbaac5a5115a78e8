//! What the verifier knows of a hidden value: an affine form in committed elements.
//!
//! The verifier computes with [`AffineForm`]s as it would with numbers. In a proof that hides nothing every form is a constant. In one that hides,
//! each element is what was sent without its pad, which is a variable, and an equation between forms is proved at the end (`argument::closing`).

use ark_ff::{AdditiveGroup, Zero};

use crate::field::Fr;

/// Index of a hidden element, in the order of the proof.
pub type Variable = u32;

// verify-path: begin
/// `constant + sum coefficient * variable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffineForm {
    constant: Fr,
    terms: Vec<(Variable, Fr)>,
}

/// `sum coefficient * left * right + linear`, to be zero.
#[derive(Clone, Debug)]
pub struct Equation {
    /// Products.
    pub products: Vec<(Fr, AffineForm, AffineForm)>,
    /// The rest.
    pub linear: AffineForm,
}

impl Default for AffineForm {
    fn default() -> Self {
        Self::constant(Fr::ZERO)
    }
}

impl AffineForm {
    /// A number.
    pub fn constant(constant: Fr) -> Self {
        Self {
            constant,
            terms: Vec::new(),
        }
    }

    /// A hidden element.
    pub fn variable(variable: Variable) -> Self {
        Self {
            constant: Fr::ZERO,
            terms: vec![(variable, Fr::from(1u64))],
        }
    }

    /// An element under a pad: what was sent, without the pad.
    pub fn padded(sent: Fr, pad: Variable) -> Self {
        Self {
            constant: sent,
            terms: vec![(pad, -Fr::from(1u64))],
        }
    }

    /// Adds `coefficient * other`.
    pub fn add(&mut self, coefficient: Fr, other: &Self) {
        if coefficient.is_zero() {
            return;
        }
        self.constant += coefficient * other.constant;
        let scaled = other.terms.iter().map(|(v, c)| (*v, coefficient * c));
        self.terms.extend(scaled);
    }

    /// With `coefficient * other` added.
    pub fn plus(mut self, coefficient: Fr, other: &Self) -> Self {
        self.add(coefficient, other);
        self
    }

    /// With `constant` added.
    pub fn plus_constant(mut self, constant: Fr) -> Self {
        self.constant += constant;
        self
    }

    /// Times `factor`.
    pub fn times(mut self, factor: Fr) -> Self {
        self.constant *= factor;
        self.terms.iter_mut().for_each(|(_, c)| *c *= factor);
        self
    }

    /// The number, if nothing hidden is in it.
    pub fn value(&self) -> Option<Fr> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// The number that it is, of hidden elements by variable; `None` if there is no such variable.
    pub fn evaluate(&self, values: &[Fr]) -> Option<Fr> {
        let value = |(v, c): &(Variable, Fr)| Some(*c * values.get(*v as usize)?);
        let terms = self.terms.iter().map(value).sum::<Option<Fr>>()?;
        Some(self.constant + terms)
    }

    /// The part without hidden elements.
    pub fn known(&self) -> Fr {
        self.constant
    }

    /// Coefficients of hidden elements; a variable may come more than once.
    pub fn terms(&self) -> &[(Variable, Fr)] {
        &self.terms
    }
}

impl Equation {
    /// `linear = 0`.
    pub fn linear(linear: AffineForm) -> Self {
        Self {
            products: Vec::new(),
            linear,
        }
    }

    /// The left side, if nothing hidden is in it.
    pub fn value(&self) -> Option<Fr> {
        let product = |(c, a, b): &(Fr, AffineForm, AffineForm)| Some(*c * a.value()? * b.value()?);
        let products = self.products.iter().map(product).sum::<Option<Fr>>()?;
        Some(products + self.linear.value()?)
    }
}
// verify-path: end
