//! `out = T(acc)`, nothing rounded.
//!
//! `(acc, out)` is a row of the table.
//!
//! **Unique**, because keys are: one row for each. Without outputs it is a mere range check, which an attacker can only fail.

use serde::{Deserialize, Serialize};

use super::{Constraints, Entry};
use crate::error::{ProveError, VerifyError};
use crate::model::{Accumulator, ColumnId, List, Model, TableId};
use crate::trace::{Trace, table_keys};

/// `mapped = table(acc)`, with `acc` a key of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// The key, exact.
    pub accumulator: Accumulator,
    /// With one output for each of `mapped`.
    pub table: TableId,
    /// Of the accumulator's shape. Empty: a mere range check of `acc`.
    pub mapped: List<ColumnId>,
}

impl Map {
    /// Fills what the accumulator maps to.
    pub(super) fn fill(
        &self,
        node: &str,
        model: &Model,
        trace: &mut Trace,
    ) -> Result<(), ProveError> {
        let table = &model.tables[self.table.0 as usize];
        let keys = table_keys(node, table, &self.accumulator.evaluate(trace), |value| {
            value
        })?;
        trace.look_up(model, self.table, keys, &self.mapped);
        Ok(())
    }

    // verify-path: begin
    pub(super) fn constrain(
        &self,
        model: &Model,
        constraints: &mut Constraints,
    ) -> Result<(), VerifyError> {
        let mut entries = vec![Entry::exact(self.accumulator.clone())];
        entries.extend(Entry::columns(&self.accumulator.shape, self.mapped.iter()));
        constraints.look_up(model, self.table, entries)
    }
    // verify-path: end
}
