//! The leaves of the lookup argument, from a trace.

use rayon::prelude::*;

use super::coefficients::Fingerprint;
use crate::argument::schedule::{BlockKind, Schedule};
use crate::field::{Fr, from_i64};
use crate::statement::model::{Model, Table};
use crate::witness::trace::Trace;

/// Fractions `1 / (alpha - fingerprint)` of lookups, `-multiplicity / (alpha - fingerprint)` of tables.
pub(super) struct Fractions<'a> {
    pub model: &'a Model,
    pub schedule: &'a Schedule,
    pub trace: &'a Trace,
    pub fingerprint: Fingerprint,
    /// Denominators of all rows, by table.
    tables: Vec<Vec<Fr>>,
}

impl<'a> Fractions<'a> {
    pub fn new(
        model: &'a Model,
        schedule: &'a Schedule,
        trace: &'a Trace,
        fingerprint: Fingerprint,
    ) -> Self {
        let tables = (0u32..).zip(model.tables.iter());
        let tables = tables.map(|(id, table)| table_denominators(id, table, trace, fingerprint));
        Self {
            tables: tables.collect(),
            model,
            schedule,
            trace,
            fingerprint,
        }
    }

    /// Numerators of the tables' zone and denominators of all leaves; `lookup` appends those of the lookup with this index.
    pub fn leaves(&self, lookup: impl Fn(&Self, usize, &mut Vec<Fr>)) -> (Vec<i64>, Vec<Fr>) {
        let layout = &self.schedule.leaves;
        let mut denominators = Vec::with_capacity(layout.len);
        let mut numerators = vec![0i64; layout.len - layout.unit];
        for block in &layout.blocks {
            denominators.resize(block.first, Fr::from(1u64));
            match block.kind {
                BlockKind::Lookup(index) => lookup(self, index, &mut denominators),
                BlockKind::Table(id) => {
                    let id = id.0 as usize;
                    denominators.extend_from_slice(&self.tables[id]);
                    let counts = self.trace.column(self.model.tables[id].multiplicities);
                    let slots = &mut numerators[block.first - layout.unit..][..counts.len()];
                    let slots = slots.iter_mut().zip(counts);
                    slots.for_each(|(slot, &count)| *slot = -i64::from(count));
                }
            }
        }
        (numerators, denominators)
    }

    /// Appends the denominators of a lookup whose keys are all in its table: those of the rows.
    pub fn of_keys(&self, index: usize, denominators: &mut Vec<Fr>) {
        let id = self.schedule.lookups[index].table.0 as usize;
        let first = self.model.tables[id].first_key;
        let keys = self.trace.lookup_keys(index).iter();
        denominators.extend(keys.map(|&key| self.tables[id][(i64::from(key) - first) as usize]));
    }
}

/// `alpha - fingerprint` of every row of a table.
fn table_denominators(id: u32, table: &Table, trace: &Trace, fingerprint: Fingerprint) -> Vec<Fr> {
    let outputs: Vec<&[i32]> = table
        .outputs
        .iter()
        .map(|&column| trace.column(column))
        .collect();
    let base = fingerprint.alpha - fingerprint.tag(id) - from_i64(table.first_key);
    let row = |index: usize| {
        let terms = outputs
            .iter()
            .enumerate()
            .map(|(o, column)| fingerprint.power(o + 1) * from_i64(i64::from(column[index])));
        base - Fr::from(index as u64) - terms.sum::<Fr>()
    };
    (0..1usize << table.len_log2)
        .into_par_iter()
        .map(row)
        .collect()
}
