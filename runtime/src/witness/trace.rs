//! The prover's integers: every column, padded, and the values of every lookup.
//!
//! [`run`] executes a model on machine integers, exactly as it will be proved: inputs, then nodes in order, then the tables'
//! multiplicities. Each relation fills its own columns (`relations/`).

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::ProveError;
use crate::statement::model::{
    Column, ColumnId, ColumnKind, List, Model, Port, Table, TableId, cube_log2,
};

/// Elements below which a loop is not worth a second thread.
const PARALLEL_LEN: usize = 1 << 15;

/// The model's constants, each axis padded with zeros to a power of two. Built once and shared by every trace.
#[derive(Debug)]
pub struct Constants {
    /// By column; `None` for witness columns.
    columns: Vec<Option<Arc<Vec<i32>>>>,
}

impl Constants {
    /// Pads `constants`: one tensor of true shape, row-major, for each constant column in the model's order.
    ///
    /// # Errors
    /// [`ProveError::Weights`] when their number or a length does not match the model.
    pub fn new<'a, C: Into<Cow<'a, [i32]>>>(
        model: &Model,
        constants: impl IntoIterator<Item = C, IntoIter: ExactSizeIterator>,
    ) -> Result<Self, ProveError> {
        let mut constants = padded_constants(model, constants)?;
        let column = |column: &Column| match column.kind {
            ColumnKind::Witness => Ok(None),
            ColumnKind::Constant => constants.next().transpose(),
        };
        let columns = model.columns.iter().map(column);
        let columns = columns.map(|values| Ok(values?.map(Arc::new)));
        Ok(Self {
            columns: columns.collect::<Result<_, _>>()?,
        })
    }

    /// The constant columns over their padded cubes, in the model's order.
    pub fn columns(&self) -> impl Iterator<Item = &[i32]> {
        self.columns
            .iter()
            .flatten()
            .map(|column| column.as_slice())
    }
}

/// The integers of one lookup over its padded cube: keys first, then one tensor for each output of the table.
pub struct LookupValues {
    /// Where they are looked up.
    pub table: TableId,
    /// In the order of [`crate::statement::relations::Lookup::entries`].
    pub entries: Vec<Arc<Vec<i32>>>,
}

/// `constants` over their padded cubes, one after the other: whoever needs them once holds one at a time.
///
/// # Errors
/// [`ProveError::Weights`] when their number does not match the model, or, with the column, when a length does not.
pub(crate) fn padded_constants<'a, C: Into<Cow<'a, [i32]>>>(
    model: &Model,
    constants: impl IntoIterator<Item = C, IntoIter: ExactSizeIterator>,
) -> Result<impl Iterator<Item = Result<Vec<i32>, ProveError>>, ProveError> {
    let constants = constants.into_iter();
    let is_constant = |column: &&Column| column.kind == ColumnKind::Constant;
    let columns = model.columns.iter().filter(is_constant);
    let (expected, got) = (columns.clone().count(), constants.len());
    if got != expected {
        let reason = format!("expected {expected} tensors, got {got}");
        return Err(ProveError::Weights(reason));
    }
    Ok(columns.zip(constants).map(|(column, data)| {
        let data = data.into();
        let (expected, got) = (true_len(&column.shape), data.len());
        if got != expected {
            let reason = format!("`{}`: expected {expected} elements, got {got}", column.name);
            return Err(ProveError::Weights(reason));
        }
        Ok(pad(&column.shape, data))
    }))
}

struct Slot {
    shape: List<u32>,
    values: Option<Arc<Vec<i32>>>,
}

/// Every column of a model as integers over its padded cube, row-major, and the values of every lookup.
pub struct Trace {
    slots: Vec<Slot>,
    lookups: Vec<LookupValues>,
}

impl Trace {
    /// A trace that knows the constants and nothing else.
    pub fn new(model: &Model, constants: &Constants) -> Self {
        let slots = (model.columns.iter().zip(&constants.columns))
            .map(|(column, constant)| Slot {
                shape: column.shape.clone(),
                values: constant.clone(),
            })
            .collect();
        Self {
            slots,
            lookups: Vec::new(),
        }
    }

    /// A column over its padded cube.
    ///
    /// # Panics
    /// If nothing has filled it yet.
    pub fn column(&self, id: ColumnId) -> &[i32] {
        self.shared_column(id)
    }

    /// As [`Trace::column`], to keep.
    pub fn shared_column(&self, id: ColumnId) -> &Arc<Vec<i32>> {
        let values = &self.slots[id.0 as usize].values;
        values.as_ref().expect("columns are filled in node order")
    }

    /// True lengths of a column's axes.
    pub fn shape(&self, id: ColumnId) -> &[u32] {
        &self.slots[id.0 as usize].shape
    }

    /// The lookups of all nodes so far, in the order of [`Model::constraints`].
    pub fn lookups(&self) -> &[LookupValues] {
        &self.lookups
    }

    /// What a lookup looks up, over its padded cube.
    pub fn lookup_keys(&self, index: usize) -> &[i32] {
        &self.lookups[index].entries[0]
    }

    /// Fills a column with values over its padded cube.
    ///
    /// # Panics
    /// If the length is not that of the padded cube.
    pub fn set(&mut self, id: ColumnId, values: impl Into<Arc<Vec<i32>>>) {
        let values = values.into();
        let slot = &mut self.slots[id.0 as usize];
        assert_eq!(values.len(), 1 << cube_log2(&slot.shape), "column {}", id.0);
        slot.values = Some(values);
    }

    /// Records the values of the next lookup.
    pub(crate) fn record(&mut self, table: TableId, entries: Vec<Arc<Vec<i32>>>) {
        self.lookups.push(LookupValues { table, entries });
    }

    /// Looks `keys` up: fills `mapped` with the table's outputs and records the lookup.
    ///
    /// # Panics
    /// If a key is not in the table, which [`table_keys`] makes sure of.
    pub(crate) fn look_up(
        &mut self,
        model: &Model,
        id: TableId,
        keys: Arc<Vec<i32>>,
        mapped: &[ColumnId],
    ) {
        let table = &model.tables[id.0 as usize];
        assert_eq!(table.outputs.len(), mapped.len(), "table `{}`", table.name);
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
    }

    /// Fills every table's multiplicities: how often each row was looked up.
    pub fn count_multiplicities(&mut self, model: &Model) {
        let lookups = &self.lookups;
        let counts: Vec<Vec<i32>> = (model.tables.par_iter().enumerate())
            .map(|(index, table)| {
                let mut counts = vec![0; 1 << table.len_log2];
                for lookup in lookups.iter().filter(|l| l.table.0 as usize == index) {
                    for &key in lookup.entries[0].iter() {
                        counts[row_of(table, key)] += 1;
                    }
                }
                counts
            })
            .collect();
        for (table, counts) in model.tables.iter().zip(counts) {
            self.set(table.multiplicities, counts);
        }
    }

    /// The integers of the output ports, of true shape, row-major.
    ///
    /// # Errors
    /// [`ProveError::OutOfRange`] when a value leaves its port's range.
    pub fn outputs(&self, model: &Model) -> Result<Vec<Vec<i64>>, ProveError> {
        let read = |port: &Port| {
            let padded = port.value.evaluate(self);
            let values: Vec<i64> = true_offsets(&port.value.shape)
                .map(|offset| padded[offset])
                .collect();
            check_range(&port.name, values.iter().copied(), port.range)?;
            Ok(values)
        };
        model.outputs.iter().map(read).collect()
    }
}

/// Executes `model`: fills every column and records every lookup.
///
/// `inputs` holds one tensor for each input port, of true shape, row-major.
///
/// # Errors
/// [`ProveError::InputCount`], [`ProveError::InputLength`] when the inputs do not fit, [`ProveError::OutOfRange`] when an
/// input leaves its port's range or a value leaves a node's table.
///
/// # Panics
/// If the model does not pass [`Model::validate`].
pub fn run(model: &Model, constants: &Constants, inputs: &[Vec<i64>]) -> Result<Trace, ProveError> {
    if inputs.len() != model.inputs.len() {
        return Err(ProveError::InputCount {
            expected: model.inputs.len(),
            got: inputs.len(),
        });
    }
    let mut trace = Trace::new(model, constants);
    for (port, input) in model.inputs.iter().zip(inputs) {
        fill_input(port, input, &mut trace)?;
    }
    // Within the pool, small parallel loops cost nothing.
    rayon::scope(|_| {
        for node in model.nodes.iter() {
            node.relation.fill(&node.name, model, &mut trace)?;
        }
        trace.count_multiplicities(model);
        Ok(trace)
    })
}

fn fill_input(port: &Port, input: &[i64], trace: &mut Trace) -> Result<(), ProveError> {
    let column = port.column().expect("an input is one whole column");
    let expected = true_len(&port.value.shape);
    if input.len() != expected {
        return Err(ProveError::InputLength {
            input: port.name.to_string(),
            expected,
            got: input.len(),
        });
    }
    let (low, high) = port.range;
    let within_i32 = (low.max(i32::MIN.into()), high.min(i32::MAX.into()));
    check_range(&port.name, input.iter().copied(), within_i32)?;
    let values: Vec<i32> = input.iter().map(|&value| value as i32).collect();
    trace.set(column, pad(&port.value.shape, values));
    Ok(())
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
    let mapped = || (values.par_iter().with_min_len(PARALLEL_LEN)).map(|&value| map(value));
    if let Some(value) = mapped().find_first(|&value| value < low || value > high) {
        return Err(out_of_range(node, value, (low, high)));
    }
    let narrowed: Vec<i32> = mapped().map(|value| value as i32).collect();
    Ok(Arc::new(narrowed))
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

fn row_of(table: &Table, key: i32) -> usize {
    (i64::from(key) - table.first_key) as usize
}

fn true_len(shape: &[u32]) -> usize {
    shape.iter().map(|&len| len as usize).product()
}

/// How far each axis' neighbours lie apart in the padded cube.
pub(crate) fn padded_strides(shape: &[u32]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] << cube_log2(&shape[axis..=axis]);
    }
    strides
}

/// Offsets in the padded cube of the true elements, row-major.
pub(crate) fn true_offsets(shape: &[u32]) -> impl Iterator<Item = usize> + use<> {
    let axes: Vec<(usize, usize)> = (shape.iter().map(|&len| len as usize))
        .zip(padded_strides(shape))
        .collect();
    (0..true_len(shape)).map(move |mut index| {
        let mut offset = 0;
        for &(len, stride) in axes.iter().rev() {
            offset += (index % len) * stride;
            index /= len;
        }
        offset
    })
}

/// Pads each axis with zeros to a power of two. What is owned is not copied when there is nothing to pad.
pub(crate) fn pad<'a>(shape: &[u32], values: impl Into<Cow<'a, [i32]>>) -> Vec<i32> {
    let values = values.into();
    let len = 1 << cube_log2(shape);
    let Some((&row, outer)) = shape.split_last() else {
        return values.into_owned();
    };
    if values.len() == len {
        return values.into_owned();
    }
    let mut padded = vec![0; len];
    let row_stride_log2 = cube_log2(&[row]);
    for (from, to) in values.chunks_exact(row as usize).zip(true_offsets(outer)) {
        padded[to << row_stride_log2..][..row as usize].copy_from_slice(from);
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::relations::testing::{Draft, everything};

    #[test]
    fn constants_must_fit() {
        let draft = everything();
        let error = |constants: Vec<Vec<i32>>| match Constants::new(&draft.model, constants) {
            Err(ProveError::Weights(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let lens = [5, 20, 64, 64, 256];
        let fitting: Vec<Vec<i32>> = lens.iter().map(|&len| vec![1; len]).collect();
        let constants = Constants::new(&draft.model, fitting.clone()).unwrap();
        assert!(
            constants
                .columns()
                .map(<[i32]>::len)
                .eq([8, 32, 64, 64, 256])
        );
        assert_eq!(error(fitting[1..].to_vec()), "expected 5 tensors, got 4");
        let mut short = fitting;
        short[1].pop();
        assert_eq!(error(short), "`weights`: expected 20 elements, got 19");
    }

    #[test]
    fn inputs_must_fit() {
        let draft = everything();
        let error = |inputs: &[Vec<i64>]| run(&draft.model, &draft.constants(), inputs).err();
        let count = |got| Some(ProveError::InputCount { expected: 1, got });
        assert_eq!(error(&[]), count(0));
        assert_eq!(error(&[vec![0; 3], vec![]]), count(2));
        let length = ProveError::InputLength {
            input: "tokens".into(),
            expected: 3,
            got: 4,
        };
        assert_eq!(error(&[vec![0; 4]]), Some(length));
        for value in [-1, 5, i64::MAX] {
            assert_eq!(
                error(&[vec![0, value, -7]]),
                Some(out_of_range("tokens", value, (0, 4)))
            );
        }
        assert_eq!(error(&[vec![0, 4, 2]]), None);
    }

    #[test]
    fn outputs_are_unpadded_and_in_range() {
        let mut draft = Draft::new();
        let (_, value) = draft.input("x", &[3, 1, 2]);
        draft.output("y", value.plus_constant(1), (0, 10));
        let trace = draft.run(&[vec![0, 1, 2, 3, 4, 5]]);
        assert_eq!(
            trace.outputs(&draft.model),
            Ok(vec![vec![1, 2, 3, 4, 5, 6]])
        );
        let trace = draft.run(&[vec![0, 1, 2, 30, 4, 5]]);
        assert_eq!(
            trace.outputs(&draft.model),
            Err(out_of_range("y", 31, (0, 10)))
        );
    }

    #[test]
    fn inputs_and_constants_are_padded_with_zeros() {
        let mut draft = Draft::new();
        let (x, _) = draft.input("x", &[3, 1, 2]);
        let w = draft.constant("w", &[2, 3], (1..7).collect());
        let scalar = draft.constant("scalar", &[], vec![9]);
        let trace = draft.run(&[(1..7).collect()]);
        assert_eq!(trace.column(x), [1, 2, 3, 4, 5, 6, 0, 0]);
        assert_eq!(trace.column(w), [1, 2, 3, 0, 4, 5, 6, 0]);
        assert_eq!(trace.column(scalar), [9]);
    }
}
