//! `m[i] = max_j s[i, j]` and `(e, hit)[i, j] = T(m[i] - s[i, j])`: the shift and exponential of a softmax.
//!
//! `(m - s, e, hit)` is a row of the table, `m` lies in a range, and so does `sum_j hit - 1`.
//!
//! **Unique**: keys start at 0, so `m >= s_j` for all `j`; a larger `m` would have no key 0, hence no hit, and `sum_j hit - 1 = -1` is not
//! in its range. `hit` is bound to the key by the table, so it cannot be claimed; it is 0 or 1, so the sum cannot wrap.

use serde::{Deserialize, Serialize};

use super::{
    Columns, Constraints, Entry, Provable, check_structure, out_of_range, table, table_keys,
};
use crate::error::{ProveError, VerifyError};
use crate::statement::layout::true_offsets;
use crate::statement::model::{Accumulator, ColumnId, List, Model, Structure, TableId, View};

/// `max[i] = max_j scores[i, j]` over the last axis, and `(exp, hit)[i, j] = table(max[i] - scores[i, j])`.
///
/// The table's keys start at 0, its second output, a structural column, is 1 at key 0 and 0 elsewhere. That `sum_j hit[i, j] >= 1` makes
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

impl Provable for RowMax {
    /// Fills the maximum, the exponentials and the hits.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        let (&len, rows) = self.scores.shape.split_last().expect("scores have an axis");
        let len = len as usize;
        let stride = len.next_power_of_two();
        let mut values = columns.evaluate(&self.scores);
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
        columns.set(self.max, maxima.clone());
        columns.look_up(node, model, self.table, keys, &[self.exp, self.hit])?;
        columns.record(self.max_range, vec![maxima]);
        let hits = columns.column(self.hit);
        let mut counts = vec![0; values.len() / stride];
        for row in true_offsets(rows) {
            let hits = &hits[row * stride..][..len];
            counts[row] = hits.iter().map(|&hit| i64::from(hit)).sum::<i64>() - 1;
        }
        let counts = table_keys(node, range(self.count_range), &counts, |count| count)?;
        columns.record(self.count_range, vec![counts]);
        Ok(())
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        let Some((&len, rows)) = self.scores.shape.split_last() else {
            return Err(VerifyError::Key("scores have no axis"));
        };
        let from_zero = |id| Ok(table(model, id)?.first_key == 0);
        if !from_zero(self.table)? || !from_zero(self.count_range)? {
            return Err(VerifyError::Key("a maximum's table does not start at 0"));
        }
        let hit = table(model, self.table)?.outputs.get(1);
        check_structure(model, hit, Structure::First)?;
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

    fn reads(&self) -> Vec<&Accumulator> {
        vec![&self.scores]
    }

    fn writes(&self) -> Vec<ColumnId> {
        vec![self.max, self.exp, self.hit]
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

    /// `scores = 2 x - 1` of shape `[2, 3, 5]`.
    fn draft() -> (Draft, RowMax) {
        let mut draft = Draft::new();
        let shape = [2, 3, 5];
        let (x, _) = draft.input("x", &shape);
        let scores = Accumulator::zero(shape.to_vec().into())
            .plus_column(2, x)
            .plus_constant(-1);
        let exp: fn(i64) -> i32 = |key| (1000.0 * (-key as f64 / 16.0).exp()) as i32;
        let row_max = RowMax {
            scores,
            max: draft.witness("max", &shape[..2]),
            max_range: draft.table("max range", -64, 7, &[]),
            table: draft.table_with("exp", (0, 8), &[exp], Structure::First, 1),
            exp: draft.witness("exp", &shape),
            hit: draft.witness("hit", &shape),
            count_range: draft.table("count", 0, 3, &[]),
        };
        draft.node("softmax", Relation::RowMax(row_max.clone()));
        (draft, row_max)
    }

    fn input() -> Vec<i64> {
        let mut values: Vec<i64> = (0..30).map(|i| (i * 37) % 61 - 30).collect();
        values[10..15].fill(-7);
        values
    }

    #[test]
    fn finds_the_maximum() {
        let (draft, row_max) = draft();
        let trace = draft.run(&[input()]);
        for (row, values) in input().chunks(5).enumerate() {
            let max = values.iter().max().unwrap();
            let at = 4 * (row / 3) + row % 3;
            assert_eq!(i64::from(trace.column(row_max.max)[at]), 2 * max - 1);
            let hits = values.iter().map(|value| i32::from(value == max));
            assert!(hits.eq(trace.column(row_max.hit)[8 * at..][..5].iter().copied()));
        }
        assert_eq!(trace.column(row_max.max)[3], 0);
        assert_eq!(trace.column(row_max.exp)[7], 1000);
    }

    #[test]
    fn tampering_is_caught() {
        let (draft, row_max) = draft();
        let mut trace = draft.run(&[input()]);
        draft.assert_all_caught(&mut trace, row_max.exp);
        draft.assert_all_caught(&mut trace, row_max.hit);
        // The maxima of rows that are padding are read by nothing: only their range is checked.
        for row in [0, 1, 2, 4, 5, 6] {
            for by in [-1, 1, 2, 64] {
                draft.assert_caught(&mut trace, &[(row_max.max, row, by)]);
            }
        }
        for row in [3, 7] {
            draft.assert_caught(&mut trace, &[(row_max.max, row, 64)]);
        }
    }

    #[test]
    fn a_maximum_too_large_by_one_is_caught() {
        // The exponentials and hits follow the larger maximum: only the count of hits is wrong.
        let (draft, row_max) = draft();
        let mut trace = draft.run(&[input()]);
        let table = &draft.model.tables[row_max.table.0 as usize];
        for row in [0, 1, 6] {
            let max = trace.column(row_max.max)[row];
            let mut changes = vec![(row_max.max, row, 1)];
            let scores = row_max.scores.evaluate(&trace);
            for (at, score) in scores.iter().enumerate().skip(8 * row).take(5) {
                let key = (i64::from(max) + 1 - score) as usize;
                for (&output, column) in table.outputs.iter().zip([row_max.exp, row_max.hit]) {
                    let by = trace.column(output)[key] - trace.column(column)[at];
                    changes.push((column, at, by));
                }
            }
            draft.assert_caught(&mut trace, &changes);
        }
    }

    #[test]
    fn values_outside_the_tables_are_typed_errors() {
        let (draft, _) = draft();
        let run = |values: Vec<i64>| {
            crate::witness::trace::run(&draft.model, &draft.constants(), &[values]).err()
        };
        let error = |value, low, high| ProveError::OutOfRange {
            node: "softmax".into(),
            value,
            low,
            high,
        };
        let mut values = input();
        values[3] = 40;
        assert_eq!(run(values), Some(error(79, -64, 63)));
        let mut values = input();
        values[27] = -110;
        assert!(matches!(
            run(values),
            Some(ProveError::OutOfRange {
                low: 0,
                high: 255,
                ..
            })
        ));
        // More hits than the count's range can hold.
        let (mut draft, mut row_max) = self::draft();
        row_max.count_range = draft.table("short", 0, 1, &[]);
        draft.model.nodes.to_mut()[0].relation = Relation::RowMax(row_max);
        let constants = draft.constants();
        assert_eq!(
            crate::witness::trace::run(&draft.model, &constants, &[input()]).err(),
            Some(error(4, 0, 1))
        );
    }

    #[test]
    fn tables_must_start_at_zero() {
        let wrong = |change: fn(&mut RowMax, &mut Draft)| {
            let (mut draft, mut row_max) = draft();
            change(&mut row_max, &mut draft);
            Relation::RowMax(row_max).constraints(&draft.model).err()
        };
        let expected = Some(VerifyError::Key("a maximum's table does not start at 0"));
        assert_eq!(
            wrong(|r, draft| r.count_range = draft.table("t", -1, 3, &[])),
            expected
        );
        assert_eq!(
            wrong(|r, draft| r.table = draft.table("t", -1, 3, &[|_| 0, |_| 1])),
            expected
        );
        let no_axis = Some(VerifyError::Key("scores have no axis"));
        assert_eq!(wrong(|r, _| r.scores.shape = List::default()), no_axis);
    }
}
