//! Claims on what nobody commits to: constants, and columns that follow from a formula. The verifier knows their values.

use ark_ff::{One, Zero};

use super::axis::AxisFunctional;
use super::bounds::Cost;
use super::functional::{Challenges, Functional};
use crate::error::VerifyError;
use crate::field::{Fr, eq_at, from_i64};
use crate::statement::model::{Model, Powers, Structure};

// verify-path: begin
impl Functional {
    /// Whether nothing that it reads is committed.
    pub fn is_known(&self, model: &Model) -> bool {
        self.is_constant() || self.structure(model).is_some()
    }

    fn structure(&self, model: &Model) -> Option<Structure> {
        model.columns.get(self.column.0 as usize)?.structure()
    }

    /// Its value, if it is known.
    pub fn known_value(
        &self,
        model: &Model,
        challenges: &Challenges,
    ) -> Result<Option<Fr>, VerifyError> {
        if self.is_constant() {
            return Ok(Some(Fr::one()));
        }
        let Some(structure) = self.structure(model) else {
            return Ok(None);
        };
        let [axis] = self.axes.as_slice() else {
            return Err(VerifyError::Key("a structural column has one axis"));
        };
        if let AxisFunctional::Eq(point) = axis {
            return Ok(Some(evaluate(structure, &challenges.point(point)?)));
        }
        let elements = (0u32..).map(|index| from_i64(structure.at(index)));
        // len: as many as weights, which are zero beyond the column's end
        let products = elements.zip(axis.vector(challenges)?);
        Ok(Some(
            products.map(|(element, weight)| element * weight).sum(),
        ))
    }

    /// What [`Self::known_value`] takes.
    pub(super) fn known_cost(&self) -> Cost {
        match self.axes.as_slice() {
            [axis @ AxisFunctional::Pushed { .. }] => axis.cost(),
            _ => Cost::default(),
        }
    }
}

/// The multilinear extension of `2^n` elements at a point of `n` coordinates.
fn evaluate(structure: Structure, point: &[Fr]) -> Fr {
    match structure {
        Structure::Index => point.iter().fold(Fr::zero(), |sum, r| sum + sum + r),
        Structure::First => eq_at(point, 0),
        Structure::Powers(Powers { last, .. }) => {
            let len = 1u32.checked_shl(point.len() as u32).unwrap_or(u32::MAX);
            let indices = (0..len).take(usize::from(last).saturating_add(1));
            indices
                .map(|index| from_i64(structure.at(index)) * eq_at(point, index as usize))
                .sum()
        }
    }
}
// verify-path: end

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::eq_table;

    #[test]
    fn extensions_are_those_of_the_elements() {
        let powers = |step, last| Structure::Powers(Powers { step, last });
        for structure in [
            Structure::Index,
            Structure::First,
            powers(1, 6),
            powers(2, 3),
            powers(3, 9),
        ] {
            for log2 in 0..5u64 {
                let point: Vec<Fr> = (0..log2).map(|i| Fr::from(i * i + 7)).collect();
                let weights = eq_table(&point);
                let elements = (0..1 << log2).map(|index| from_i64(structure.at(index)));
                let sum: Fr = elements.zip(weights).map(|(x, w)| x * w).sum();
                assert_eq!(evaluate(structure, &point), sum, "{structure:?}, 2^{log2}");
            }
        }
    }
}
