//! `y = floor((acc + 2^(s-1)) / 2^s)` for a `y` that is wider than any one table.
//!
//! The remainder `r = acc + 2^(s-1) - 2^s y` and `y - least` are looked up limb by limb.
//!
//! **Unique** for the same reason as [`Requant`](super::Requant): `0 <= r < 2^s`, and `y` is bounded, so that nothing wraps the field.

use serde::{Deserialize, Serialize};

use super::{Columns, Constraints, Limbs, Provable, narrow};
use crate::error::{ProveError, VerifyError};
use crate::statement::model::{Accumulator, ColumnId, Model};

/// `y = floor((acc + 2^(shift-1)) / 2^shift)`, and `0 <= y - least < 2^bits` for as many bits as the limbs of `range` have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// What is rounded.
    pub accumulator: Accumulator,
    /// Bits dropped, at least 1; the limbs' widths sum to it.
    pub shift: u8,
    /// `acc + 2^(shift-1) - 2^shift y`.
    pub remainder: Limbs,
    /// `y`, of the accumulator's shape.
    pub output: ColumnId,
    /// Least value of `y`, at most 0.
    pub least: i64,
    /// `y - least`.
    pub range: Limbs,
}

impl Round {
    /// `y - least`; in the padding `y`.
    fn above_least(&self) -> Accumulator {
        let output = Accumulator::of_column(self.accumulator.shape.clone(), self.output);
        output.plus_constant(self.least.wrapping_neg())
    }
}

impl Provable for Round {
    /// Fills the output and both kinds of limbs.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        let half = 1i64 << (self.shift - 1);
        let mut values = columns.evaluate(&self.accumulator.clone().plus_constant(half));
        let bits = (self.range.tables.iter()).map(|id| model.tables[id.0 as usize].len_log2);
        let greatest = self.least + ((1i64 << bits.sum::<u8>()) - 1);
        let range = (self.least, greatest);
        let rounded = narrow(node, &values, |value| value >> self.shift, range)?;
        columns.set(self.output, rounded);
        let mask = (1i64 << self.shift) - 1;
        values.iter_mut().for_each(|value| *value &= mask);
        self.remainder.fill(node, model, columns, &values)?;
        let above = columns.evaluate(&self.above_least());
        self.range.fill(node, model, columns, &above)
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        if self.shift == 0 || self.remainder.bits(model)? != self.shift {
            return Err(VerifyError::Key("limbs do not cover a remainder"));
        }
        if self.least > 0 || self.least < i64::from(i32::MIN) {
            return Err(VerifyError::Key("a rounded value's range has no zero"));
        }
        let half = 1i64.checked_shl(u32::from(self.shift.saturating_sub(1)));
        let step = 1i64.checked_shl(u32::from(self.shift));
        let (Some(half), Some(step)) = (half, step) else {
            return Err(VerifyError::Key("a shift is too large"));
        };
        let remainder = (self.accumulator.clone())
            .plus_constant(half)
            .plus_column(step.wrapping_neg(), self.output);
        self.remainder.constrain(model, remainder, constraints)?;
        self.range.constrain(model, self.above_least(), constraints)
    }

    fn reads(&self) -> &Accumulator {
        &self.accumulator
    }

    fn writes(&self) -> Vec<ColumnId> {
        let limbs = self.remainder.columns.iter().chain(&*self.range.columns);
        [self.output].iter().chain(limbs).copied().collect()
    }

    fn bounds(&self) -> bool {
        true
    }
    // verify-path: end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::relations::Relation;
    use crate::statement::relations::testing::Draft;

    /// `y = round(100 x / 16)` in `-2048..2048`.
    fn draft() -> (Draft, Round) {
        let mut draft = Draft::new();
        let (x, _) = draft.input("x", &[3]);
        let (nibble, byte) = (
            draft.table("nibble", 0, 4, &[]),
            draft.table("byte", 0, 8, &[]),
        );
        let limbs = |tables: Vec<_>, columns: Vec<_>| Limbs {
            tables: tables.into(),
            columns: columns.into(),
        };
        let low = draft.witness("low", &[3]);
        let round = Round {
            accumulator: Accumulator::zero(vec![3].into()).plus_column(100, x),
            shift: 4,
            remainder: limbs(vec![nibble], vec![]),
            output: draft.witness("y", &[3]),
            least: -2048,
            range: limbs(vec![nibble, byte], vec![low]),
        };
        draft.node("round", Relation::Round(round.clone()));
        (draft, round)
    }

    #[test]
    fn rounds_and_tampering_is_caught() {
        let (draft, round) = draft();
        let mut trace = draft.run(&[vec![-7, 3, 300]]);
        assert_eq!(trace.column(round.output), [-44, 19, 1875, 0]);
        draft.assert_all_caught(&mut trace, round.output);
        draft.assert_all_caught(&mut trace, round.range.columns[0]);
    }

    #[test]
    fn beyond_its_range_is_a_typed_error() {
        let (draft, _) = draft();
        let run = |x: i64| {
            crate::witness::trace::run(&draft.model, &draft.constants(), &[vec![0, x, 0]]).err()
        };
        assert_eq!(run(327), None);
        assert_eq!(run(-327), None);
        for (x, value) in [(328, 2050), (-328, -2050)] {
            let (low, high) = (-2048, 2047);
            let node = "round".into();
            let error = ProveError::OutOfRange {
                node,
                value,
                low,
                high,
            };
            assert_eq!(run(x), Some(error));
        }
    }

    #[test]
    fn the_shift_and_the_range_must_fit() {
        let (draft, round) = draft();
        let error = |round: Round| Relation::Round(round).constraints(&draft.model).err();
        let (mut shift, mut least) = (round.clone(), round);
        shift.shift = 5;
        least.least = 1;
        let covered = VerifyError::Key("limbs do not cover a remainder");
        let no_zero = VerifyError::Key("a rounded value's range has no zero");
        assert_eq!((error(shift), error(least)), (Some(covered), Some(no_zero)));
    }
}
