//! `y = floor((acc + 2^(s-1)) / 2^s)`, optionally `out = T(y)`.
//!
//! The remainder `r = acc + 2^(s-1) - 2^s y` is looked up limb by limb, `(y, out)` in the table.
//!
//! **Unique**, because `0 <= r < 2^s` and `y` are both bounded: with a free `y`, any `r` has a solution in the field; with `r` in a wider
//! range, `y` may be rounded the wrong way. So the limbs' widths must sum to `s` exactly.

use serde::{Deserialize, Serialize};

use super::{Constraints, Entry, Limbs};
use crate::error::{ProveError, VerifyError};
use crate::model::{Accumulator, ColumnId, List, Model, TableId};
use crate::trace::{Trace, table_keys};

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

impl Requant {
    /// Fills the output, the remainder's limbs and what the output maps to.
    pub(super) fn fill(
        &self,
        node: &str,
        model: &Model,
        trace: &mut Trace,
    ) -> Result<(), ProveError> {
        let half = 1i64 << (self.shift - 1);
        let mut values = self.accumulator.clone().plus_constant(half).evaluate(trace);
        let table = &model.tables[self.table.0 as usize];
        let rounded = table_keys(node, table, &values, |value| value >> self.shift)?;
        trace.set(self.output, rounded.clone());
        let mask = (1i64 << self.shift) - 1;
        values.iter_mut().for_each(|value| *value &= mask);
        self.remainder.fill(node, model, trace, &values)?;
        trace.look_up(model, self.table, rounded, &self.mapped);
        Ok(())
    }

    // verify-path: begin
    pub(super) fn constrain(
        &self,
        model: &Model,
        constraints: &mut Constraints,
    ) -> Result<(), VerifyError> {
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
    // verify-path: end
}
