//! The columns of one execution, as a relation's reference sees them.

use std::sync::Arc;

use rayon::prelude::*;

use crate::error::ProveError;
use crate::statement::model::{Accumulator, ColumnId, Model, Table, TableId};

/// Elements below which a loop is not worth a second thread.
const PARALLEL_LEN: usize = 1 << 15;

/// What a relation's reference reads and fills.
pub trait Columns: Sync {
    /// The exact integers of an accumulator over its padded cube, row-major.
    ///
    /// # Panics
    /// If a column that it reads is not filled yet.
    fn evaluate(&self, accumulator: &Accumulator) -> Vec<i64>;

    /// A column over its padded cube.
    ///
    /// # Panics
    /// If nothing has filled it yet.
    fn column(&self, id: ColumnId) -> &[i32];

    /// Fills a column with values over its padded cube.
    ///
    /// # Panics
    /// If the length is not that of the padded cube.
    fn set(&mut self, id: ColumnId, values: Arc<Vec<i32>>);

    /// Records the values of the next lookup.
    fn record(&mut self, table: TableId, entries: Vec<Arc<Vec<i32>>>);

    /// Looks `keys` up: fills `mapped` with the table's outputs and records the lookup.
    ///
    /// # Errors
    /// [`ProveError::Barred`] for the first key whose row nothing may look up.
    ///
    /// # Panics
    /// If a key is not in the table, which `table_keys` makes sure of.
    fn look_up(
        &mut self,
        node: &str,
        model: &Model,
        id: TableId,
        keys: Arc<Vec<i32>>,
        mapped: &[ColumnId],
    ) -> Result<(), ProveError> {
        let table = &model.tables[id.0 as usize];
        assert_eq!(table.outputs.len(), mapped.len(), "table `{}`", table.name);
        if let Some(barred) = table.barred {
            let rows = self.column(barred);
            if let Some(&key) = (keys.iter()).find(|&&key| rows[row_of(table, key)] != 0) {
                return Err(barred_key(node, table, key));
            }
        }
        let mut entries = vec![keys.clone()];
        for (&output, &column) in table.outputs.iter().zip(mapped) {
            let rows = self.column(output);
            let values: Vec<i32> = keys
                .par_iter()
                .with_min_len(PARALLEL_LEN)
                .map(|&key| rows[row_of(table, key)])
                .collect();
            let values = Arc::new(values);
            self.set(column, values.clone());
            entries.push(values);
        }
        self.record(id, entries);
        Ok(())
    }
}

fn barred_key(node: &str, table: &Table, key: i32) -> ProveError {
    ProveError::Barred {
        node: node.to_owned(),
        function: table.name.to_string(),
        key: key.into(),
    }
}

/// `key(value)` for all `values`, as keys of a table.
///
/// # Errors
/// [`ProveError::OutOfRange`] for the first that is not a key.
pub(crate) fn table_keys(
    node: &str,
    table: &Table,
    values: &[i64],
    key: impl Fn(i64) -> i64 + Copy + Sync,
) -> Result<Arc<Vec<i32>>, ProveError> {
    let last = table.first_key + (1i64 << table.len_log2) - 1;
    narrow(node, values, key, (table.first_key, last))
}

/// `map(value)` for all `values`, in 32 bits.
///
/// # Errors
/// [`ProveError::OutOfRange`] for the first outside `range`, which must itself lie in 32 bits.
pub(crate) fn narrow(
    node: &str,
    values: &[i64],
    map: impl Fn(i64) -> i64 + Copy + Sync,
    (low, high): (i64, i64),
) -> Result<Arc<Vec<i32>>, ProveError> {
    debug_assert!(i32::try_from(low).is_ok() && i32::try_from(high).is_ok());
    let outside = |value: &i64| *value < low || *value > high;
    // By chunks: rayon's own search keeps its state in memory, value by value.
    let first = |chunk: &[i64]| chunk.iter().map(|&value| map(value)).find(outside);
    if let Some(value) = values.par_chunks(PARALLEL_LEN).find_map_first(first) {
        return Err(out_of_range(node, value, (low, high)));
    }
    let narrowed = (values.par_iter().with_min_len(PARALLEL_LEN)).map(|&value| map(value) as i32);
    Ok(Arc::new(narrowed.collect::<Vec<i32>>()))
}

/// # Errors
/// [`ProveError::OutOfRange`] for the first value outside `range`.
pub(crate) fn check_range(
    node: &str,
    mut values: impl Iterator<Item = i64>,
    (low, high): (i64, i64),
) -> Result<(), ProveError> {
    match values.find(|&value| value < low || value > high) {
        Some(value) => Err(out_of_range(node, value, (low, high))),
        None => Ok(()),
    }
}

pub(crate) fn out_of_range(node: &str, value: i64, (low, high): (i64, i64)) -> ProveError {
    ProveError::OutOfRange {
        node: node.to_owned(),
        value,
        low,
        high,
    }
}

/// The row of a table that has this key.
pub(crate) fn row_of(table: &Table, key: i32) -> usize {
    (i64::from(key) - table.first_key) as usize
}
