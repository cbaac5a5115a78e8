//! `m[i] = max_j s[i, j]` and `(e, hit)[i, j] = T(m[i] - s[i, j])`: the shift and exponential of a softmax.
//!
//! `(m - s, e, hit)` is a row of the table, `m` lies in a range, and so does `sum_j hit - 1`.
//!
//! **Unique**: keys start at 0, so `m >= s_j` for all `j`; a larger `m` would have no key 0, hence no hit, and `sum_j hit - 1 = -1` is not
//! in its range. `hit` is bound to the key by the table, so it cannot be claimed; it is 0 or 1, so the sum cannot wrap.

use serde::{Deserialize, Serialize};

use super::{Constraints, Entry, table};
use crate::error::{ProveError, VerifyError};
use crate::model::{Accumulator, ColumnId, List, Model, TableId, View};
use crate::trace::{Trace, out_of_range, table_keys, true_offsets};

/// `max[i] = max_j scores[i, j]` over the last axis, and `(exp, hit)[i, j] = table(max[i] - scores[i, j])`.
///
/// The table's keys start at 0, its second output is 1 at key 0 and 0 elsewhere. That `sum_j hit[i, j] >= 1` makes
/// the maximum attained, hence unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowMax {
    /// Shape `[rows..., len]`, exact integers.
    pub scores: Accumulator,
    /// Shape `[rows...]`.
    pub max: ColumnId,
    /// Range of `max`, signed.
    pub max_range: TableId,
    /// Keys `0..2^b`, outputs `(exp, hit)`.
    pub table: TableId,
    /// Shape of the scores: first table output.
    pub exp: ColumnId,
    /// Shape of the scores: second table output, `1` where the maximum is attained.
    pub hit: ColumnId,
    /// Range of `sum_j hit - 1`: keys from 0, at least `len` of them.
    pub count_range: TableId,
}

impl RowMax {
    /// Fills the maximum, the exponentials and the hits.
    pub(super) fn fill(
        &self,
        node: &str,
        model: &Model,
        trace: &mut Trace,
    ) -> Result<(), ProveError> {
        let (&len, rows) = self.scores.shape.split_last().expect("scores have an axis");
        let len = len as usize;
        let stride = len.next_power_of_two();
        let mut values = self.scores.evaluate(trace);
        let mut maxima = vec![0; values.len() / stride];
        for value in &mut values {
            let negative = value.checked_neg();
            *value = negative.ok_or_else(|| out_of_range(node, *value, (-i64::MAX, i64::MAX)))?;
        }
        // From here on `values` holds the keys, `max - score`.
        for row in true_offsets(rows) {
            let keys = &mut values[row * stride..][..len];
            let max = -keys.iter().min().expect("axes are not empty");
            maxima[row] = max;
            for key in keys {
                let score = -*key;
                *key = max
                    .checked_sub(score)
                    .ok_or_else(|| out_of_range(node, score, (0, max)))?;
            }
        }
        let range = |id: TableId| &model.tables[id.0 as usize];
        let maxima = table_keys(node, range(self.max_range), &maxima, |max| max)?;
        let keys = table_keys(node, range(self.table), &values, |key| key)?;
        trace.set(self.max, maxima.clone());
        trace.look_up(model, self.table, keys, &[self.exp, self.hit]);
        trace.record(self.max_range, vec![maxima]);
        let hits = trace.column(self.hit);
        let mut counts = vec![0; values.len() / stride];
        for row in true_offsets(rows) {
            let hits = &hits[row * stride..][..len];
            counts[row] = hits.iter().map(|&hit| i64::from(hit)).sum::<i64>() - 1;
        }
        let counts = table_keys(node, range(self.count_range), &counts, |count| count)?;
        trace.record(self.count_range, vec![counts]);
        Ok(())
    }

    // verify-path: begin
    pub(super) fn constrain(
        &self,
        model: &Model,
        constraints: &mut Constraints,
    ) -> Result<(), VerifyError> {
        let Some((&len, rows)) = self.scores.shape.split_last() else {
            return Err(VerifyError::Key("scores have no axis"));
        };
        let from_zero = |id| Ok(table(model, id)?.first_key == 0);
        if !from_zero(self.table)? || !from_zero(self.count_range)? {
            return Err(VerifyError::Key("a maximum's table does not start at 0"));
        }
        let rows: List<u32> = rows.to_vec().into();
        let rank = self.scores.shape.len();
        let shape = &self.scores.shape;
        let max = View::identity(self.max, rows.len())?;
        let key = Accumulator::zero(shape.clone())
            .plus_product(1, Vec::new(), vec![max])
            .minus(&self.scores)?;
        let mut entries = vec![Entry::exact(key)];
        entries.extend(Entry::columns(shape, &[self.exp, self.hit]));
        constraints.look_up(model, self.table, entries)?;
        constraints.look_up(model, self.max_range, Entry::columns(&rows, &[self.max]))?;
        let hits = View::identity(self.hit, rank)?;
        let count = Accumulator::zero(rows)
            .plus_product(1, vec![len], vec![hits])
            .plus_constant(-1);
        constraints.look_up(model, self.count_range, vec![Entry::exact(count)])
    }
    // verify-path: end
}
