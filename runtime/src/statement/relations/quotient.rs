//! `q = floor(n / d)` for a constant `n` and an exact denominator `d >= 1`.
//!
//! `q`, the remainder `r = n - q d` and the slack `d - 1 - r` are looked up limb by limb.
//!
//! **Unique**, because `0 <= r < d`: the slack bounds `r` from above by the virtual `d` itself, and `r + slack` bound `d`, so that with `q`
//! bounded too `q d` cannot wrap the field. Any two of the three ranges alone leave a free choice.

use serde::{Deserialize, Serialize};

use super::limbs::constrain_remainder;
use super::{Columns, Constraints, Limbs, Provable, narrow, out_of_range};
use crate::error::{ProveError, VerifyError};
use crate::statement::layout::true_offsets;
use crate::statement::model::{Accumulator, ColumnId, Model};

/// `quotient = floor(numerator / denominator)` with a constant numerator and `denominator >= 1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotient {
    /// Constant, positive.
    pub numerator: i64,
    /// Exact integers, each term at most of degree 3 and with operands to spare for one more.
    pub denominator: Accumulator,
    /// Of the denominator's shape.
    pub quotient: ColumnId,
    /// Limbs of `quotient` itself.
    pub quotient_limbs: Limbs,
    /// Limbs of `numerator - quotient * denominator`.
    pub remainder: Limbs,
    /// Limbs of `denominator - 1 - remainder`.
    pub slack: Limbs,
}

impl Provable for Quotient {
    /// Fills the quotient and all limbs.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        // In the padding quotient and remainder are zero, and the slack is what the denominator holds there.
        let mut slacks = columns.evaluate(&self.denominator);
        let mut quotients = vec![0i64; slacks.len()];
        let mut remainders = vec![0i64; slacks.len()];
        for at in true_offsets(&self.denominator.shape) {
            let denominator = slacks[at];
            if denominator < 1 {
                return Err(out_of_range(node, denominator, (1, i64::MAX)));
            }
            quotients[at] = self.numerator / denominator;
            remainders[at] = self.numerator % denominator;
            slacks[at] = denominator - 1 - remainders[at];
        }
        let range = (0, i32::MAX.into());
        columns.set(
            self.quotient,
            narrow(node, &quotients, |quotient| quotient, range)?,
        );
        self.quotient_limbs.fill(node, model, columns, &quotients)?;
        self.remainder.fill(node, model, columns, &remainders)?;
        self.slack.fill(node, model, columns, &slacks)
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        if self.numerator < 1 {
            return Err(VerifyError::Key("a numerator is not positive"));
        }
        let quotient = Accumulator::of_column(self.denominator.shape.clone(), self.quotient);
        self.quotient_limbs
            .constrain(model, quotient, constraints)?;
        let product = self.denominator.times_column(self.quotient)?;
        let remainder = Accumulator::zero(self.denominator.shape.clone())
            .plus_constant(self.numerator)
            .minus(&product)?;
        let limbs = (&self.remainder, &self.slack);
        constrain_remainder(model, remainder, &self.denominator, limbs, constraints)
    }

    fn reads(&self) -> Vec<&Accumulator> {
        vec![&self.denominator]
    }

    fn writes(&self) -> Vec<ColumnId> {
        let limbs = [&self.quotient_limbs, &self.remainder, &self.slack];
        let limbs = limbs.into_iter().flat_map(|limbs| limbs.columns.iter());
        [self.quotient].iter().chain(limbs).copied().collect()
    }

    fn bounds(&self) -> bool {
        true
    }
    // verify-path: end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::model::{List, View};
    use crate::statement::relations::Relation;
    use crate::statement::relations::testing::Draft;

    /// `q[i] = floor(5000 / (d[i] + sum_j x[i, j]^2 + 1))`.
    fn draft() -> (Draft, Quotient) {
        let mut draft = Draft::new();
        let (d, _) = draft.input("d", &[3]);
        let (x, _) = draft.input("x", &[3, 2]);
        let square = vec![View::identity(x, 2).unwrap(); 2];
        let denominator = Accumulator::zero(vec![3].into())
            .plus_column(1, d)
            .plus_product(1, vec![2], square)
            .plus_constant(1);
        let range = draft.table("range", 0, 13, &[]);
        let limbs = Limbs {
            tables: vec![range].into(),
            columns: List::default(),
        };
        let quotient = Quotient {
            numerator: 5000,
            denominator,
            quotient: draft.witness("q", &[3]),
            quotient_limbs: limbs.clone(),
            remainder: limbs.clone(),
            slack: limbs,
        };
        draft.node("divide", Relation::Quotient(quotient.clone()));
        (draft, quotient)
    }

    fn input() -> [Vec<i64>; 2] {
        [vec![0, 3, 500], vec![0, 0, 1, -2, 9, 40]]
    }

    #[test]
    fn divides() {
        let (draft, quotient) = draft();
        let trace = draft.run(&input());
        assert_eq!(
            trace.column(quotient.quotient),
            [5000, 5000 / 9, 5000 / 2182, 0]
        );
    }

    #[test]
    fn tampering_is_caught() {
        let (draft, quotient) = draft();
        let mut trace = draft.run(&input());
        for at in 0..3 {
            for by in [-2, -1, 1, 2, 1000] {
                draft.assert_caught(&mut trace, &[(quotient.quotient, at, by)]);
            }
        }
        // In the padding nothing reads the quotient: only its range is checked.
        draft.assert_caught(&mut trace, &[(quotient.quotient, 3, -1)]);
        draft.assert_caught(&mut trace, &[(quotient.quotient, 3, 1 << 13)]);
    }

    #[test]
    fn values_out_of_range_are_typed_errors() {
        let (draft, _) = draft();
        let run = |d: i64, x: i64| {
            let inputs = [vec![0, d, 0], vec![0, 0, x, 0, 0, 0]];
            crate::witness::trace::run(&draft.model, &draft.constants(), &inputs).err()
        };
        let error = |value, low, high| ProveError::OutOfRange {
            node: "divide".into(),
            value,
            low,
            high,
        };
        assert_eq!(run(-1, 0), Some(error(0, 1, i64::MAX)));
        assert_eq!(run(-7, 1), Some(error(-5, 1, i64::MAX)));
        // Too large a denominator: first the remainder is 5000, then the slack leaves its range.
        assert_eq!(run(0, 200), Some(error(40_000 - 5000, 0, (1 << 13) - 1)));
    }

    #[test]
    fn operands_to_spare_and_a_positive_numerator() {
        let (draft, mut quotient) = draft();
        quotient.numerator = 0;
        let error = |quotient: &Quotient| {
            Relation::Quotient(quotient.clone())
                .constraints(&draft.model)
                .err()
        };
        assert_eq!(
            error(&quotient),
            Some(VerifyError::Key("a numerator is not positive"))
        );
        quotient.numerator = 1;
        let square = quotient.denominator.terms[0].operands.to_vec();
        let operands = [square.clone(), square].concat();
        quotient.denominator.terms.to_mut()[0].operands = operands.into();
        assert_eq!(
            error(&quotient),
            Some(VerifyError::Key("a product has too many operands"))
        );
    }
}
