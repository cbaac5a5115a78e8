//! Whether a model is well-formed: what lets all later code on the verify path take indices, shapes and order for granted.

use std::collections::HashSet;

use super::hidden::check_hidden;
use super::relations::{Constraints, column};
use crate::error::{VerifyError, check};
use crate::statement::model::{
    Accumulator, AxisMap, Column, ColumnId, ColumnKind, MAX_OPERANDS, Model, Port, Table, Term,
    View,
};

/// log2 of the longest axis.
const MAX_AXIS_LOG2: u32 = 30;
/// Most axes of a tensor, and most of a term's loops.
const MAX_RANK: usize = 32;
/// log2 of the largest padded tensor, and of all columns together.
const MAX_LEN_LOG2: u32 = 34;
/// log2 of the longest table.
const MAX_TABLE_LOG2: u8 = 20;
/// log2 of a row that is never too long.
const FREE_ROW_LOG2: u8 = 12;
/// A longer row has at most so many times (log2) as many entries as there are rows: their points weigh what the row's generators cost.
const ENTRIES_A_ROW_LOG2: u32 = 3;
/// log2 of the number of values that are looked up: multiplicities are 32-bit integers.
const MAX_LOOKUPS_LOG2: u32 = 30;
/// Most ports.
const MAX_PORTS: usize = 1 << 12;
/// log2 of the longest answer.
const MAX_ANSWER_LOG2: u8 = 24;
/// Largest index that a view may form, in or out of its column.
const MAX_REACH: u64 = 1 << 40;

// verify-path: begin
impl Model {
    /// Checks that the model is well-formed.
    ///
    /// - Every index is in range, every shape fits, every size is bounded.
    /// - Table outputs are constants; every witness column is filled exactly once, by an input, a node, or as multiplicities.
    /// - A node reads only what was filled before it.
    ///
    /// What constants *hold* is not in the model: the compiler answers for it.
    ///
    /// # Errors
    /// [`VerifyError::Key`] otherwise.
    pub fn validate(&self) -> Result<(), VerifyError> {
        check(self.answer_log2 <= MAX_ANSWER_LOG2, "an answer is too long")?;
        let ports = self.inputs.len().saturating_add(self.outputs.len());
        check(ports <= MAX_PORTS, "there are too many ports")?;
        check_row(self.row_log2, check_columns(&self.columns)?)?;
        for table in self.tables.iter() {
            check_table(self, table)?;
        }
        let mut filled = Filled::new(self);
        for port in self.inputs.iter() {
            filled.fill(check_input(self, port)?)?;
        }
        let mut lookups = 0u64;
        for node in self.nodes.iter() {
            for reads in node.relation.reads() {
                check_accumulator(self, reads)?;
                filled.check_reads(reads)?;
            }
            for id in node.relation.writes() {
                filled.fill(id)?;
            }
            let constraints = node.relation.constraints(self)?;
            lookups = lookups.saturating_add(check_constraints(self, &filled, &constraints)?);
        }
        check(
            lookups >> MAX_LOOKUPS_LOG2 == 0,
            "there are too many lookups",
        )?;
        for port in self.outputs.iter() {
            check(port.range.0 <= port.range.1, "a port's range is empty")?;
            check_accumulator(self, &port.value)?;
            filled.check_reads(&port.value)?;
        }
        for table in self.tables.iter() {
            filled.fill(table.multiplicities)?;
        }
        check_hidden(self)?;
        filled.check_complete()
    }
}

fn check_shape(shape: &[u32]) -> Result<u32, VerifyError> {
    check(shape.len() <= MAX_RANK, "a tensor has too many axes")?;
    let mut len_log2 = 0u32;
    for &len in shape {
        check(len >= 1, "an axis is empty")?;
        check(len <= 1 << MAX_AXIS_LOG2, "an axis is too long")?;
        len_log2 = len_log2.saturating_add(crate::statement::model::axis_log2(len));
    }
    check(len_log2 <= MAX_LEN_LOG2, "a tensor is too large")?;
    Ok(len_log2)
}

/// For so many committed values.
fn check_row(row_log2: u8, values: u64) -> Result<(), VerifyError> {
    let square = u32::from(row_log2).saturating_mul(2);
    let most = values.max(1).ilog2().saturating_add(ENTRIES_A_ROW_LOG2);
    check(
        row_log2 <= FREE_ROW_LOG2 || square <= most,
        "rows are too long for what is committed",
    )
}

/// Number of values in all columns together.
fn check_columns(columns: &[Column]) -> Result<u64, VerifyError> {
    let mut names = HashSet::new();
    let mut total = 0u64;
    for column in columns {
        check(names.insert(&*column.name), "two columns have one name")?;
        let len_log2 = check_shape(&column.shape)?;
        if let Some(structure) = column.structure() {
            let fits = matches!(*column.shape, [len] if structure.fits(len));
            check(fits, "a structural column has the wrong shape")?;
            continue;
        }
        let len = 1u64.checked_shl(len_log2).unwrap_or(u64::MAX);
        total = total.saturating_add(len);
    }
    check(total <= 1 << MAX_LEN_LOG2, "the columns are too large")?;
    Ok(total)
}

fn check_table(model: &Model, table: &Table) -> Result<(), VerifyError> {
    check(table.len_log2 <= MAX_TABLE_LOG2, "a table is too long")?;
    let len = 1u32.checked_shl(u32::from(table.len_log2)).unwrap_or(0);
    let holds_zero = table.first_key <= 0 && table.first_key.saturating_add(i64::from(len)) > 0;
    check(holds_zero, "a table has no key 0")?;
    check(table.outputs.len() <= 2, "a table has too many outputs")?;
    let constants = table.outputs.iter().chain(&table.barred);
    let outputs = constants.map(|&id| (id, false));
    for (id, is_witness) in outputs.chain([(table.multiplicities, true)]) {
        let column = column(model, id)?;
        check(
            (column.kind == ColumnKind::Witness) == is_witness,
            "a table's column is of the wrong kind",
        )?;
        check(
            *column.shape == [len],
            "a table's column has the wrong shape",
        )?;
    }
    Ok(())
}

/// The column that a port fills.
fn check_input(model: &Model, port: &Port) -> Result<ColumnId, VerifyError> {
    let (low, high) = port.range;
    check(low <= high, "a port's range is empty")?;
    let in_32_bits = i32::try_from(low).is_ok() && i32::try_from(high).is_ok();
    check(in_32_bits, "an input's range is too wide")?;
    check_accumulator(model, &port.value)?;
    port.column()
        .ok_or(VerifyError::Key("an input is not one whole column"))
}

/// Number of values looked up.
fn check_constraints(
    model: &Model,
    filled: &Filled,
    constraints: &Constraints,
) -> Result<u64, VerifyError> {
    let mut lookups = 0u64;
    let entries = || {
        constraints
            .lookups
            .iter()
            .flat_map(|lookup| lookup.entries.iter())
    };
    for accumulator in entries()
        .map(|entry| &entry.accumulator)
        .chain(&constraints.zeros)
    {
        check_accumulator(model, accumulator)?;
        filled.check_reads(accumulator)?;
    }
    for lookup in &constraints.lookups {
        let mut shapes = lookup.entries.iter().map(|entry| &entry.accumulator.shape);
        let shape = shapes
            .next()
            .ok_or(VerifyError::Key("a lookup has no key"))?;
        check(
            shapes.all(|other| other == shape),
            "a lookup's entries differ in shape",
        )?;
        let len = 1u64.checked_shl(check_shape(shape)?).unwrap_or(u64::MAX);
        lookups = lookups.saturating_add(len);
    }
    Ok(lookups)
}

fn check_accumulator(model: &Model, accumulator: &Accumulator) -> Result<(), VerifyError> {
    check_shape(&accumulator.shape)?;
    for &(_, id) in accumulator.columns.iter() {
        check(
            column(model, id)?.shape == accumulator.shape,
            "a summand has another shape than its sum",
        )?;
    }
    for term in accumulator.terms.iter() {
        check_term(model, &accumulator.shape, term)?;
    }
    Ok(())
}

fn check_term(model: &Model, shape: &[u32], term: &Term) -> Result<(), VerifyError> {
    check(
        term.operands.len() <= MAX_OPERANDS,
        "a product has too many operands",
    )?;
    check_shape(&term.summed)?;
    let lens: Vec<u32> = shape.iter().chain(term.summed.iter()).copied().collect();
    check(lens.len() <= MAX_RANK, "a product has too many axes")?;
    for view in term.operands.iter() {
        check_view(model, &lens, view)?;
    }
    Ok(())
}

fn check_view(model: &Model, lens: &[u32], view: &View) -> Result<(), VerifyError> {
    let column = column(model, view.column)?;
    check(
        column.shape.len() == view.index.len(),
        "a view has too few or too many maps",
    )?;
    let mut used = [false; MAX_RANK];
    for map in view.index.iter() {
        check_map(lens, map, &mut used)?;
    }
    Ok(())
}

fn check_map(lens: &[u32], map: &AxisMap, used: &mut [bool]) -> Result<(), VerifyError> {
    let mut reach = u64::from(map.offset.unsigned_abs());
    for &(axis, stride) in map.strides.iter() {
        let axis = usize::from(axis);
        let len = lens
            .get(axis)
            .ok_or(VerifyError::Key("a view reads along no axis"))?;
        let used = used
            .get_mut(axis)
            .ok_or(VerifyError::Key("a view reads along no axis"))?;
        check(!std::mem::replace(used, true), "a view uses an axis twice")?;
        let step = u64::from(stride.unsigned_abs()).saturating_mul(u64::from(*len));
        reach = reach.saturating_add(step);
    }
    check(reach <= MAX_REACH, "a view reaches too far")
}

/// Which columns are known.
struct Filled(Vec<bool>);

impl Filled {
    fn new(model: &Model) -> Self {
        let is_known = |column: &Column| column.kind != ColumnKind::Witness;
        Self(model.columns.iter().map(is_known).collect())
    }

    fn fill(&mut self, id: ColumnId) -> Result<(), VerifyError> {
        let filled = self
            .0
            .get_mut(id.0 as usize)
            .ok_or(VerifyError::Key("a column does not exist"))?;
        check(
            !std::mem::replace(filled, true),
            "a column is filled twice, or is a constant",
        )
    }

    fn check_reads(&self, accumulator: &Accumulator) -> Result<(), VerifyError> {
        let views = accumulator
            .terms
            .iter()
            .flat_map(|term| term.operands.iter());
        let columns = accumulator.columns.iter().map(|&(_, id)| id);
        let filled = |id: ColumnId| self.0.get(id.0 as usize) == Some(&true);
        let known = columns.chain(views.map(|view| view.column)).all(filled);
        check(known, "a column is read before it is filled")
    }

    fn check_complete(&self) -> Result<(), VerifyError> {
        check(
            self.0.iter().all(|&filled| filled),
            "a column is never filled",
        )
    }
}
// verify-path: end

#[cfg(test)]
mod tests;
