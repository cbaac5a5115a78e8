//! `q = floor(n / d)` for exact integers `n` and `d >= 1`, both computed.
//!
//! `q - least`, the remainder `r = n - q d` and the slack `d - 1 - r` are looked up limb by limb.
//!
//! **Unique**, because `0 <= r < d`: the slack bounds `r` from above by the virtual `d` itself, and `r + slack` bound `d`, so that with `q`
//! bounded too `q d` cannot wrap the field. So a divisor that is zero or negative has no proof.

use serde::{Deserialize, Serialize};

use super::limbs::constrain_remainder;
use super::{Columns, Constraints, Limbs, Provable, narrow, out_of_range};
use crate::error::{ProveError, VerifyError};
use crate::statement::layout::true_offsets;
use crate::statement::model::{Accumulator, ColumnId, Model};

/// `quotient = floor(numerator / divisor)` with `divisor >= 1`.
///
/// Neither accumulator has whole columns: both are zero in the padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Division {
    /// Exact integers of any sign.
    pub numerator: Accumulator,
    /// Exact integers of the same shape, each term at most of degree 3 and with operands to spare for one more.
    pub divisor: Accumulator,
    /// Of the same shape.
    pub quotient: ColumnId,
    /// What the quotient is at least.
    pub least: i64,
    /// Limbs of `quotient - least`.
    pub quotient_limbs: Limbs,
    /// Limbs of `numerator - quotient * divisor`.
    pub remainder: Limbs,
    /// Limbs of `divisor - 1 - remainder`.
    pub slack: Limbs,
}

impl Provable for Division {
    /// Fills the quotient and all limbs; everything is zero in the padding.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        let numerators = columns.evaluate(&self.numerator);
        let divisors = columns.evaluate(&self.divisor);
        let zeros = || vec![0i64; numerators.len()];
        let (mut quotients, mut shifted) = (zeros(), zeros());
        let (mut remainders, mut slacks) = (zeros(), zeros());
        for at in true_offsets(&self.numerator.shape) {
            let (numerator, divisor) = (numerators[at], divisors[at]);
            if divisor < 1 {
                return Err(out_of_range(node, divisor, (1, i64::MAX)));
            }
            quotients[at] = numerator.div_euclid(divisor);
            shifted[at] = quotients[at].saturating_sub(self.least);
            remainders[at] = numerator.rem_euclid(divisor);
            slacks[at] = divisor - 1 - remainders[at];
        }
        let range = (i32::MIN.into(), i32::MAX.into());
        let quotient = narrow(node, &quotients, |quotient| quotient, range)?;
        columns.set(self.quotient, quotient);
        self.quotient_limbs.fill(node, model, columns, &shifted)?;
        self.remainder.fill(node, model, columns, &remainders)?;
        self.slack.fill(node, model, columns, &slacks)
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        if !self.numerator.columns.is_empty() || !self.divisor.columns.is_empty() {
            return Err(VerifyError::Key("a division reads what is in the padding"));
        }
        let least = (self.least.checked_neg())
            .ok_or(VerifyError::Key("the least quotient is too large"))?;
        let quotient = Accumulator::of_column(self.divisor.shape.clone(), self.quotient);
        self.quotient_limbs
            .constrain(model, quotient.plus_constant(least), constraints)?;
        let product = self.divisor.times_column(self.quotient)?;
        let remainder = self.numerator.clone().minus(&product)?;
        let limbs = (&self.remainder, &self.slack);
        constrain_remainder(model, remainder, &self.divisor, limbs, constraints)
    }

    fn reads(&self) -> Vec<&Accumulator> {
        vec![&self.numerator, &self.divisor]
    }

    fn writes(&self) -> Vec<ColumnId> {
        let limbs = [&self.quotient_limbs, &self.remainder, &self.slack];
        let limbs = limbs.into_iter().flat_map(|limbs| limbs.columns.iter());
        [self.quotient].iter().chain(limbs).copied().collect()
    }

    fn bounds(&self) -> bool {
        false
    }
    // verify-path: end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::model::{List, View};
    use crate::statement::relations::Relation;
    use crate::statement::relations::testing::Draft;

    /// `q[i] = floor(n[i] / d[i])` for quotients from -64 to 63.
    fn draft() -> (Draft, Division) {
        let mut draft = Draft::new();
        let mut read = |name: &str| {
            let (column, _) = draft.input(name, &[3]);
            let view = View::identity(column, 1).unwrap();
            Accumulator::zero(vec![3].into()).plus_product(1, vec![], vec![view])
        };
        let (numerator, divisor) = (read("n"), read("d"));
        let mut limbs = |bits: u8| Limbs {
            tables: vec![draft.table(&format!("range{bits}"), 0, bits, &[])].into(),
            columns: List::default(),
        };
        let (quotient_limbs, remainder) = (limbs(7), limbs(5));
        let division = Division {
            numerator,
            divisor,
            quotient: draft.witness("q", &[3]),
            least: -64,
            quotient_limbs,
            slack: remainder.clone(),
            remainder,
        };
        draft.node("divide", Relation::Division(division.clone()));
        (draft, division)
    }

    fn input() -> [Vec<i64>; 2] {
        [vec![-7, 100, 62], vec![2, 9, 31]]
    }

    #[test]
    fn rounds_down() {
        let (draft, division) = draft();
        let trace = draft.run(&input());
        assert_eq!(trace.column(division.quotient), [-4, 11, 2, 0]);
    }

    #[test]
    fn tampering_is_caught() {
        let (draft, division) = draft();
        let mut trace = draft.run(&input());
        for at in 0..3 {
            for by in [-2, -1, 1, 2, 60] {
                draft.assert_caught(&mut trace, &[(division.quotient, at, by)]);
            }
        }
        // In the padding nothing reads the quotient: only its range is checked.
        draft.assert_caught(&mut trace, &[(division.quotient, 3, -1)]);
        draft.assert_caught(&mut trace, &[(division.quotient, 3, 1 << 7)]);
    }

    #[test]
    fn divisors_and_quotients_out_of_range_are_typed_errors() {
        let (mut draft, _) = draft();
        for input in draft.model.inputs.to_mut() {
            input.range = (i32::MIN.into(), i32::MAX.into());
        }
        let run = |n: i64, d: i64| {
            let inputs = [vec![0, n, 0], vec![1, d, 1]];
            crate::witness::trace::run(&draft.model, &draft.constants(), &inputs).err()
        };
        let error = |value, low, high| ProveError::OutOfRange {
            node: "divide".into(),
            value,
            low,
            high,
        };
        assert_eq!(run(5, 0), Some(error(0, 1, i64::MAX)));
        assert_eq!(run(5, -2), Some(error(-2, 1, i64::MAX)));
        assert_eq!(run(64, 1), Some(error(128, 0, 127)));
        assert_eq!(run(-65, 1), Some(error(-1, 0, 127)));
        assert_eq!(run(0, 100), Some(error(99, 0, 31)));
        assert_eq!(run(63, 1), None);
    }

    #[test]
    fn what_is_in_the_padding_is_not_divided() {
        let (draft, mut division) = draft();
        division.numerator = Accumulator::of_column(vec![3].into(), division.quotient);
        let error = Relation::Division(division).constraints(&draft.model).err();
        let expected = VerifyError::Key("a division reads what is in the padding");
        assert_eq!(error, Some(expected));
    }
}
