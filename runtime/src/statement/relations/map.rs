//! `out = T(acc)`, nothing rounded.
//!
//! `(acc, out)` is a row of the table.
//!
//! **Unique**, because keys are: one row for each. Without outputs it is a mere range check, which an attacker can only fail.

use serde::{Deserialize, Serialize};

use super::{Columns, Constraints, Entry, Provable, table_keys};
use crate::error::{ProveError, VerifyError};
use crate::statement::model::{Accumulator, ColumnId, List, Model, TableId};

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

impl Provable for Map {
    /// Fills what the accumulator maps to.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        let table = &model.tables[self.table.0 as usize];
        let keys = table_keys(node, table, &columns.evaluate(&self.accumulator), |value| {
            value
        })?;
        columns.look_up(node, model, self.table, keys, &self.mapped)
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        let mut entries = vec![Entry::exact(self.accumulator.clone())];
        entries.extend(Entry::columns(&self.accumulator.shape, self.mapped.iter()));
        constraints.look_up(model, self.table, entries)
    }

    fn reads(&self) -> Vec<&Accumulator> {
        vec![&self.accumulator]
    }

    fn writes(&self) -> Vec<ColumnId> {
        self.mapped.to_vec()
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

    /// `out = (x^3, x + 100)` and a mere range check of `x`.
    fn draft() -> (Draft, Map) {
        let mut draft = Draft::new();
        let (_, accumulator) = draft.input("x", &[6]);
        let table = draft.table("cube", -8, 4, &[|x| (x * x * x) as i32, |x| x as i32 + 100]);
        let mapped = vec![draft.witness("cube", &[6]), draft.witness("plus", &[6])];
        let map = Map {
            accumulator: accumulator.clone(),
            table,
            mapped: mapped.into(),
        };
        draft.node("map", Relation::Map(map.clone()));
        let range = Map {
            accumulator,
            table: draft.table("range", -4, 3, &[]),
            mapped: List::default(),
        };
        draft.node("range", Relation::Map(range));
        (draft, map)
    }

    #[test]
    fn maps_and_pads() {
        let (draft, map) = draft();
        let trace = draft.run(&[vec![-4, -1, 0, 1, 2, 3]]);
        assert_eq!(trace.column(map.mapped[0]), [-64, -1, 0, 1, 8, 27, 0, 0]);
        assert_eq!(
            trace.column(map.mapped[1]),
            [96, 99, 100, 101, 102, 103, 100, 100]
        );
    }

    #[test]
    fn tampering_is_caught() {
        let (draft, map) = draft();
        let mut trace = draft.run(&[vec![-4, -1, 0, 1, 2, 3]]);
        for &column in map.mapped.iter() {
            draft.assert_all_caught(&mut trace, column);
        }
    }

    #[test]
    fn whole_summands_count_in_the_padding() {
        // The second map's keys are the first one's outputs, 100 in the padding.
        let (mut draft, map) = draft();
        let shifted = Accumulator::zero(vec![6].into())
            .plus_column(2, map.mapped[1])
            .plus_constant(-3);
        let table = draft.table("negative", -256, 9, &[|x| -x as i32]);
        let out = draft.witness("out", &[6]);
        let mapped = vec![out].into();
        draft.node(
            "second",
            Relation::Map(Map {
                accumulator: shifted,
                table,
                mapped,
            }),
        );
        let mut trace = draft.run(&[vec![0, 1, 2, 3, -1, -2]]);
        assert_eq!(
            trace.column(out),
            [-197, -199, -201, -203, -195, -193, -200, -200]
        );
        draft.assert_all_caught(&mut trace, out);
    }

    #[test]
    fn values_outside_the_table_are_typed_errors() {
        let (draft, _) = draft();
        let run = |values: [i64; 6]| {
            crate::witness::trace::run(&draft.model, &draft.constants(), &[values.to_vec()]).err()
        };
        let error = |node: &str, value, low, high| ProveError::OutOfRange {
            node: node.into(),
            value,
            low,
            high,
        };
        assert_eq!(run([0, 0, 8, 0, -9, 0]), Some(error("map", 8, -8, 7)));
        assert_eq!(run([0, 0, 7, 0, -5, 0]), Some(error("range", 7, -4, 3)));
    }

    #[test]
    fn as_many_columns_as_outputs() {
        let (mut draft, mut map) = draft();
        map.mapped.to_mut().pop();
        draft.model.nodes.to_mut()[0].relation = Relation::Map(map);
        let expected = VerifyError::Key("a lookup does not fit its table");
        assert_eq!(draft.model.validate(), Err(expected));
    }

    #[test]
    fn a_barred_key_is_a_typed_error() {
        let mut draft = Draft::new();
        let (_, accumulator) = draft.input("x", &[5]);
        let table = draft.table("half", -4, 3, &[|key| key as i32 / 2]);
        draft.bar(table, |key| key % 2 != 0);
        let mapped = draft.witness("y", &[5]);
        let relation = Relation::Map(Map {
            accumulator,
            table,
            mapped: vec![mapped].into(),
        });
        draft.node("halve", relation);
        let trace = draft.run(&[vec![2, 0, -4, -2, 0]]);
        assert_eq!(trace.column(mapped)[..5], [1, 0, -2, -1, 0]);
        let inputs = [vec![2, 0, -3, -2, 1]];
        let error = crate::witness::trace::run(&draft.model, &draft.constants(), &inputs).err();
        let barred = ProveError::Barred {
            node: "halve".into(),
            function: "half".into(),
            key: -3,
        };
        assert_eq!(error, Some(barred));
    }
}
