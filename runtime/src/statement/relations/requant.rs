//! `y = floor((acc + 2^(s-1)) / 2^s)`, optionally `out = T(y)`.
//!
//! The remainder `r = acc + 2^(s-1) - 2^s y` is looked up limb by limb, `(y, out)` in the table.
//!
//! **Unique**, because `0 <= r < 2^s` and `y` are both bounded: with a free `y`, any `r` has a solution in the field; with `r` in a wider
//! range, `y` may be rounded the wrong way. So the limbs' widths must sum to `s` exactly.

use serde::{Deserialize, Serialize};

use super::{Columns, Constraints, Entry, Limbs, Provable, table_keys};
use crate::error::{ProveError, VerifyError};
use crate::statement::model::{Accumulator, ColumnId, List, Model, TableId};

/// `y = floor((acc + 2^(shift-1)) / 2^shift)`, and `y` a key of `table`; `mapped = table(y)` if given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requant {
    /// What is rounded.
    pub accumulator: Accumulator,
    /// Bits dropped, at least 1; the limbs' widths sum to it.
    pub shift: u8,
    /// `acc + 2^(shift-1) - 2^shift y`.
    pub remainder: Limbs,
    /// `y`, of the accumulator's shape.
    pub output: ColumnId,
    /// Range of `y`, with one output column for each of `mapped`.
    pub table: TableId,
    /// `table(y)`: as many as the table has outputs.
    pub mapped: List<ColumnId>,
}

impl Provable for Requant {
    /// Fills the output, the remainder's limbs and what the output maps to.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        let half = 1i64 << (self.shift - 1);
        let mut values = columns.evaluate(&self.accumulator.clone().plus_constant(half));
        let table = &model.tables[self.table.0 as usize];
        let rounded = table_keys(node, table, &values, |value| value >> self.shift)?;
        columns.set(self.output, rounded.clone());
        let mask = (1i64 << self.shift) - 1;
        values.iter_mut().for_each(|value| *value &= mask);
        self.remainder.fill(node, model, columns, &values)?;
        columns.look_up(node, model, self.table, rounded, &self.mapped)
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        if self.shift == 0 || self.remainder.bits(model)? != self.shift {
            return Err(VerifyError::Key("limbs do not cover a remainder"));
        }
        let half = 1i64.checked_shl(u32::from(self.shift.saturating_sub(1)));
        let step = 1i64.checked_shl(u32::from(self.shift));
        let (Some(half), Some(step)) = (half, step) else {
            return Err(VerifyError::Key("a shift is too large"));
        };
        let shape = &self.accumulator.shape;
        let remainder = (self.accumulator.clone())
            .plus_constant(half)
            .plus_column(step.wrapping_neg(), self.output);
        self.remainder.constrain(model, remainder, constraints)?;
        let entries = Entry::columns(shape, [self.output].iter().chain(self.mapped.iter()));
        constraints.look_up(model, self.table, entries)
    }

    fn reads(&self) -> &Accumulator {
        &self.accumulator
    }

    fn writes(&self) -> Vec<ColumnId> {
        [&[self.output], &*self.mapped, &*self.remainder.columns].concat()
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

    /// `y = floor((3 x + 7 + 2^5) / 2^6)` and `out = y^2 + 5`, with a remainder in limbs of `widths`.
    fn draft(widths: &[u8]) -> (Draft, Requant) {
        let mut draft = Draft::new();
        let (x, _) = draft.input("x", &[3, 5]);
        let square = draft.table("square", -64, 7, &[|y| (y * y + 5) as i32]);
        let tables: Vec<TableId> = (widths.iter().enumerate())
            .map(|(k, &width)| draft.table(&format!("limb {k}"), 0, width, &[]))
            .collect();
        let columns: Vec<ColumnId> = (1..widths.len())
            .map(|k| draft.witness(&format!("limb column {k}"), &[3, 5]))
            .collect();
        let output = draft.witness("y", &[3, 5]);
        let mapped = draft.witness("out", &[3, 5]);
        let requant = Requant {
            accumulator: Accumulator::zero(vec![3, 5].into())
                .plus_column(3, x)
                .plus_constant(7),
            shift: 6,
            remainder: Limbs {
                tables: tables.into(),
                columns: columns.into(),
            },
            output,
            table: square,
            mapped: vec![mapped].into(),
        };
        draft.node("requant", Relation::Requant(requant.clone()));
        (draft, requant)
    }

    fn input() -> Vec<i64> {
        (0..15).map(|i| 37 * i - 260).collect()
    }

    #[test]
    fn rounds_half_up() {
        let (draft, requant) = draft(&[6]);
        let trace = draft.run(&[input()]);
        for (row, values) in input().chunks(5).enumerate() {
            for (at, &x) in values.iter().enumerate() {
                let y = ((3 * x + 7) as f64 / 64.0 + 0.5).floor() as i32;
                assert_eq!(trace.column(requant.output)[8 * row + at], y);
                assert_eq!(trace.column(requant.mapped[0])[8 * row + at], y * y + 5);
            }
        }
        assert_eq!(trace.column(requant.output)[5], 0);
        assert_eq!(trace.column(requant.mapped[0])[5], 5);
    }

    #[test]
    fn tampering_is_caught() {
        for widths in [&[6u8][..], &[2, 4], &[1, 2, 3]] {
            let (draft, requant) = draft(widths);
            let mut trace = draft.run(&[input()]);
            let limbs = requant.remainder.columns.iter();
            for &column in [requant.output, requant.mapped[0]].iter().chain(limbs) {
                draft.assert_all_caught(&mut trace, column);
            }
        }
    }

    #[test]
    fn the_other_rounding_is_caught() {
        let (draft, requant) = draft(&[2, 4]);
        let mut trace = draft.run(&[input()]);
        for at in [0, 1, 9, 20] {
            for step in [-1, 1] {
                let y = trace.column(requant.output)[at];
                let square = (y + step) * (y + step) - y * y;
                let changes = [(requant.output, at, step), (requant.mapped[0], at, square)];
                draft.assert_caught(&mut trace, &changes);
            }
        }
    }

    #[test]
    fn values_outside_the_table_are_typed_errors() {
        let (mut draft, _) = draft(&[6]);
        draft.model.inputs.to_mut()[0].range = (-100_000, 100_000);
        let mut values = input();
        values[7] = 64 * 64;
        let error = crate::witness::trace::run(&draft.model, &draft.constants(), &[values]).err();
        let expected = ProveError::OutOfRange {
            node: "requant".into(),
            value: 192,
            low: -64,
            high: 63,
        };
        assert_eq!(error, Some(expected));
    }

    #[test]
    fn limbs_must_cover_the_remainder() {
        for (widths, shift) in [(&[6u8][..], 5), (&[6], 7), (&[6], 0), (&[2, 4], 64)] {
            let (mut draft, mut requant) = draft(widths);
            requant.shift = shift;
            draft.model.nodes.to_mut()[0].relation = Relation::Requant(requant);
            let expected = VerifyError::Key("limbs do not cover a remainder");
            assert_eq!(draft.model.validate(), Err(expected));
        }
    }
}
