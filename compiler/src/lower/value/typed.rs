//! Values that are integers by their type, and constants that go with others.

use crate::graph::is_whole;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Term, Value};

impl Value {
    /// The value as one of integers.
    pub fn of_integers(self) -> Self {
        Self {
            integer: true,
            ..self
        }
    }

    /// The value with the dimensions of both, where it has length 1.
    pub fn repeated_like(&self, other: &Self) -> Self {
        let dims = self.dims.iter().zip(&other.dims);
        let dims = dims.map(|(a, b)| if a.is_empty() { b.clone() } else { a.clone() });
        Self {
            dims: dims.collect(),
            ..self.clone()
        }
    }

    /// A constant with the dimensions of the value.
    pub fn number_like(&self, number: f64) -> Self {
        Self {
            terms: vec![Term::constant(Weight::new(vec![], vec![number]))],
            range: (number.min(0.0), number.max(0.0)),
            proven: Some((number, number)),
            integer: is_whole(number),
            ..self.clone()
        }
    }

    /// Whether the elements are integers: by their type, or as constants.
    pub fn is_integer(&self) -> bool {
        let whole = |term: &Term| {
            let weight = term.weight.iter().flat_map(|weight| weight.data.iter());
            is_whole(term.scalar) && weight.copied().all(is_whole)
        };
        self.integer || self.is_constant() && self.terms.iter().all(whole)
    }
}
