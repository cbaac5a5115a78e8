//! The prover's integers: every column, padded, and the values of every lookup.
//!
//! [`run`] executes a model on machine integers, exactly as it will be proved: inputs, then nodes in order, then the tables'
//! multiplicities. Each relation fills its own columns ([`Columns`]).

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::ProveError;
use crate::statement::layout::{Kept, kept_lens, pad, strides, true_len, true_offsets};
use crate::statement::model::{
    Accumulator, Column, ColumnId, ColumnKind, List, Model, Port, Structure, TableId, cube_log2,
};
use crate::statement::relations::{Columns, check_range, row_of};

/// The model's constants, each axis padded with zeros to a power of two, but those that are cut. Built once and shared by every trace.
#[derive(Debug)]
pub struct Constants {
    /// By column, those that follow from a formula among them; `None` for witness columns.
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
        let mut constants = kept_constants(model, constants)?;
        let column = |column: &Column| match column.kind {
            ColumnKind::Witness => Ok(None),
            ColumnKind::Constant => constants.next().transpose(),
            ColumnKind::Structural(structure) => Ok(Some(elements(structure, &column.shape))),
        };
        let columns = model.columns.iter().map(column);
        let columns = columns.map(|values| Ok(values?.map(Arc::new)));
        Ok(Self {
            columns: columns.collect::<Result<_, _>>()?,
        })
    }
}

/// A structural column over its padded cube.
fn elements(structure: Structure, shape: &[u32]) -> Vec<i32> {
    let indices = 0..1 << cube_log2(shape);
    indices.map(|index| structure.at(index) as i32).collect()
}

/// The integers of one lookup over its padded cube: keys first, then one tensor for each output of the table.
pub struct LookupValues {
    /// Where they are looked up.
    pub table: TableId,
    /// In the order of [`crate::statement::relations::Lookup::entries`].
    pub entries: Vec<Arc<Vec<i32>>>,
}

/// `constants` as they are kept, one after the other, so that a caller who needs each once holds only one at a time.
///
/// # Errors
/// [`ProveError::Weights`] when their number does not match the model, or, with the column, when a length does not.
pub(crate) fn kept_constants<'a, C: Into<Cow<'a, [i32]>>>(
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
        let kept: usize = kept_lens(column, model.row_log2).iter().product();
        Ok(if kept == expected {
            data.into_owned()
        } else {
            pad(&column.shape, data)
        })
    }))
}

struct Slot {
    shape: List<u32>,
    /// The axes' lengths with which it is kept.
    lens: Vec<usize>,
    values: Option<Arc<Vec<i32>>>,
}

/// Every column of a model as integers over its padded cube, row-major, but for constants that are cut, which are kept as they are; and the values of
/// every lookup.
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
                lens: kept_lens(column, model.row_log2),
                values: constant.clone(),
            })
            .collect();
        Self {
            slots,
            lookups: Vec::new(),
        }
    }

    /// A column as it is kept: over its padded cube, unless it is cut.
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

    /// The lengths of a column's axes as it is kept.
    pub(crate) fn kept_lens(&self, id: ColumnId) -> &[usize] {
        &self.slots[id.0 as usize].lens
    }

    /// How far the neighbors along each axis of a column lie apart.
    pub(crate) fn strides(&self, id: ColumnId) -> Vec<usize> {
        strides(self.kept_lens(id))
    }

    /// A column with the lengths of its axes.
    pub(crate) fn kept(&self, id: ColumnId) -> Kept<'_> {
        Kept {
            values: self.column(id),
            lens: self.kept_lens(id),
        }
    }

    /// The lookups of all nodes so far, in the order of [`Model::constraints`].
    pub fn lookups(&self) -> &[LookupValues] {
        &self.lookups
    }

    /// What a lookup looks up, over its padded cube.
    pub fn lookup_keys(&self, index: usize) -> &[i32] {
        &self.lookups[index].entries[0]
    }

    /// Fills a column with values over its padded cube. What a liar has beyond it is committed to as well, in the rest of a row.
    ///
    /// # Panics
    /// If the length is less than that of the padded cube.
    pub fn set(&mut self, id: ColumnId, values: impl Into<Arc<Vec<i32>>>) {
        let values = values.into();
        let slot = &mut self.slots[id.0 as usize];
        assert!(
            values.len() >= 1 << cube_log2(&slot.shape),
            "column {}",
            id.0
        );
        slot.values = Some(values);
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

impl Columns for Trace {
    fn evaluate(&self, accumulator: &Accumulator) -> Vec<i64> {
        accumulator.evaluate(self)
    }

    fn column(&self, id: ColumnId) -> &[i32] {
        self.column(id)
    }

    fn set(&mut self, id: ColumnId, values: Arc<Vec<i32>>) {
        self.set(id, values);
    }

    fn record(&mut self, table: TableId, entries: Vec<Arc<Vec<i32>>>) {
        self.lookups.push(LookupValues { table, entries });
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
    let mut trace = evaluate(model, constants, inputs)?;
    rayon::scope(|_| trace.count_multiplicities(model));
    Ok(trace)
}

/// As [`run`], without the tables' multiplicities: for who asks for outputs alone.
///
/// # Errors
/// As [`run`].
///
/// # Panics
/// If the model does not pass [`Model::validate`].
pub fn evaluate(
    model: &Model,
    constants: &Constants,
    inputs: &[Vec<i64>],
) -> Result<Trace, ProveError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::relations::out_of_range;
    use crate::statement::relations::testing::{Draft, everything};

    #[test]
    fn constants_must_fit() {
        let draft = everything();
        let error = |constants: Vec<Vec<i32>>| match Constants::new(&draft.model, constants) {
            Err(ProveError::Weights(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let lens = [20, 64, 256];
        // Structural columns are nobody's to give.
        let fitting: Vec<Vec<i32>> = lens.iter().map(|&len| vec![1; len]).collect();
        let constants = Constants::new(&draft.model, fitting.clone()).unwrap();
        let columns = constants.columns.iter().flatten();
        assert!(columns.map(|column| column.len()).eq([8, 32, 64, 64, 256]));
        assert_eq!(error(fitting[1..].to_vec()), "expected 3 tensors, got 2");
        let mut short = fitting;
        short[0].pop();
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
