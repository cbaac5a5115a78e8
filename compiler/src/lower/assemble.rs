//! From the program under construction to the [`Model`]: unused constants are dropped, columns get their final order. How long its rows are is
//! decided when it is final.

use zkiln_runtime::model::{
    Accumulator, Column, ColumnId, ColumnKind, Model, Port, Table, TableId, Visibility, cube_log2,
    shown_row_log2,
};
use zkiln_runtime::relations::{Limbs, Relation};

use crate::graph::Op;
use crate::lower::columns::{ColumnPlan, Columns, TablePlan};
use crate::lower::lowering::Lowering;
use crate::lower::quantize::Quantized;
use crate::program::{Lowered, Meaning, NodeReport, PortInfo, Ranges};

/// log2 of the shortest and of the longest rows that are chosen to begin with.
const ROW_LOG2: std::ops::RangeInclusive<u8> = 6..=12;

/// log2 of a committed row's length, for so many committed values, to begin with: about a square root of all of them.
fn first_row_log2(values: u64) -> u8 {
    let root_log2 = (values.max(1).ilog2() as u8).div_ceil(2);
    root_log2.clamp(*ROW_LOG2.start(), *ROW_LOG2.end())
}

fn accumulator_columns(accumulator: &mut Accumulator, visit: &mut impl FnMut(&mut ColumnId)) {
    accumulator
        .columns
        .to_mut()
        .iter_mut()
        .for_each(|(_, column)| visit(column));
    for term in accumulator.terms.to_mut() {
        term.operands
            .to_mut()
            .iter_mut()
            .for_each(|view| visit(&mut view.column));
    }
}

fn limb_ids(
    limbs: &mut Limbs,
    column: &mut impl FnMut(&mut ColumnId),
    table: &mut impl FnMut(&mut TableId),
) {
    limbs.columns.to_mut().iter_mut().for_each(column);
    limbs.tables.to_mut().iter_mut().for_each(table);
}

fn equation_ids(
    accumulator: &mut Accumulator,
    output: &mut ColumnId,
    column: &mut impl FnMut(&mut ColumnId),
) {
    accumulator_columns(accumulator, column);
    column(output);
}

/// Visits everything that a relation names.
fn visit_ids(
    relation: &mut Relation,
    column: &mut impl FnMut(&mut ColumnId),
    table: &mut impl FnMut(&mut TableId),
) {
    match relation {
        Relation::Requant(r) => {
            accumulator_columns(&mut r.accumulator, column);
            limb_ids(&mut r.remainder, column, table);
            column(&mut r.output);
            r.mapped.to_mut().iter_mut().for_each(column);
            table(&mut r.table);
        }
        Relation::Map(r) => {
            accumulator_columns(&mut r.accumulator, column);
            r.mapped.to_mut().iter_mut().for_each(column);
            table(&mut r.table);
        }
        Relation::Exact(r) => equation_ids(&mut r.accumulator, &mut r.output, column),
        Relation::Reshape(r) => equation_ids(&mut r.accumulator, &mut r.output, column),
        Relation::RowMax(r) => {
            accumulator_columns(&mut r.scores, column);
            [&mut r.max, &mut r.exp, &mut r.hit]
                .into_iter()
                .for_each(column);
            [&mut r.max_range, &mut r.table, &mut r.count_range]
                .into_iter()
                .for_each(table);
        }
        Relation::Quotient(r) => {
            accumulator_columns(&mut r.denominator, column);
            column(&mut r.quotient);
            for limbs in [&mut r.quotient_limbs, &mut r.remainder, &mut r.slack] {
                limb_ids(limbs, column, table);
            }
        }
        Relation::Division(r) => {
            accumulator_columns(&mut r.numerator, column);
            accumulator_columns(&mut r.divisor, column);
            column(&mut r.quotient);
            for limbs in [&mut r.quotient_limbs, &mut r.remainder, &mut r.slack] {
                limb_ids(limbs, column, table);
            }
        }
        Relation::OneHot(r) => {
            accumulator_columns(&mut r.index, column);
            column(&mut r.hot);
            column(&mut r.iota);
        }
        Relation::Round(r) => {
            accumulator_columns(&mut r.accumulator, column);
            column(&mut r.output);
            for limbs in [&mut r.remainder, &mut r.range] {
                limb_ids(limbs, column, table);
            }
        }
        Relation::Normalize(r) => {
            accumulator_columns(&mut r.accumulator, column);
            limb_ids(&mut r.remainder, column, table);
            [&mut r.exponent, &mut r.power, &mut r.mantissa]
                .into_iter()
                .for_each(&mut *column);
            let (factors, mapped) = (r.factors.to_mut(), r.mapped.to_mut());
            factors.iter_mut().chain(mapped).for_each(column);
            [&mut r.exponents, &mut r.table, &mut r.range]
                .into_iter()
                .for_each(table);
        }
        other => unreachable!("lowering emits no {other:?}"),
    }
}

/// Lookups an element of values cut into limbs.
fn limb_lookups(limbs: [&Limbs; 3]) -> u64 {
    limbs.iter().map(|limbs| limbs.tables.len() as u64).sum()
}

/// Name, lookups an element and lookups a row of a relation.
fn lookups(relation: &Relation) -> (&'static str, u64, u64) {
    match relation {
        Relation::Requant(r) => ("requant", 1 + r.remainder.tables.len() as u64, 0),
        Relation::Map(_) => ("map", 1, 0),
        Relation::Exact(_) => ("exact", 0, 0),
        Relation::Reshape(_) => ("reshape", 0, 0),
        Relation::RowMax(_) => ("row max", 1, 2),
        Relation::Quotient(r) => (
            "quotient",
            limb_lookups([&r.quotient_limbs, &r.remainder, &r.slack]),
            0,
        ),
        Relation::Division(r) => (
            "division",
            limb_lookups([&r.quotient_limbs, &r.remainder, &r.slack]),
            0,
        ),
        Relation::OneHot(_) => ("one hot", 0, 0),
        Relation::Round(r) => (
            "round",
            (r.remainder.tables.len() + r.range.tables.len()) as u64,
            0,
        ),
        Relation::Normalize(r) => ("normalize", 3 + r.remainder.tables.len() as u64, 0),
        _ => ("", 0, 0),
    }
}

/// New indices of the used among `used.len()` things in `order`.
fn renumber(order: impl Iterator<Item = usize>, used: &[bool]) -> Vec<Option<u32>> {
    let mut new = vec![None; used.len()];
    for (place, old) in order.filter(|&old| used[old]).enumerate() {
        new[old] = Some(place as u32);
    }
    new
}

/// The columns that have final indices, in their order; the data of the constant ones; and log2 of the length of a row that suits them.
fn numbered_columns(ids: &[Option<u32>], columns: Columns) -> (Vec<Column>, Vec<Vec<i32>>, u8) {
    let mut list: Vec<(u32, ColumnPlan)> = ids
        .iter()
        .zip(columns.into_list())
        .filter_map(|(id, plan)| id.map(|id| (id, plan)))
        .collect();
    list.sort_by_key(|(id, _)| *id);
    let values = |kind: ColumnKind| -> u64 {
        let plans = list.iter().filter(|(_, plan)| plan.kind == kind);
        plans.map(|(_, plan)| 1u64 << cube_log2(&plan.shape)).sum()
    };
    let row_log2 = first_row_log2(values(ColumnKind::Constant) + values(ColumnKind::Witness));
    let is_constant = |(_, plan): &&mut (u32, ColumnPlan)| plan.kind == ColumnKind::Constant;
    let constants = list.iter_mut().filter(is_constant);
    let constants = constants.map(|(_, plan)| std::mem::take(&mut plan.data));
    let constants = constants.collect();
    let column = |(_, plan): (u32, ColumnPlan)| Column {
        name: plan.name.into(),
        kind: plan.kind,
        shape: plan.shape.into(),
    };
    (list.into_iter().map(column).collect(), constants, row_log2)
}

/// What the integers mean that a node's errors are about.
fn meaning(quantized: &Quantized, relation: &Relation) -> Option<Meaning> {
    let step = match relation {
        Relation::Requant(_) | Relation::Round(_) => quantized.step(),
        // They are about divisors, which are not what is described.
        Relation::Division(_) => return None,
        _ => quantized.unit,
    };
    let offset = quantized.offset;
    // The unit of a mask may be minus infinity.
    step.is_finite().then_some(Meaning { step, offset })
}

impl Lowering<'_> {
    /// The report's line about a node.
    pub fn describe(
        &self,
        name: &str,
        quantized: &Quantized,
        bits: u32,
        relation: &Relation,
    ) -> NodeReport {
        let shape = &quantized.accumulator.shape;
        let (label, per_element, per_row) = lookups(relation);
        let rows = cube_log2(shape) - shape.last().map_or(0, |&last| cube_log2(&[last]));
        NodeReport {
            node: name.to_string(),
            relation: label.to_string(),
            shape: self.shape_text(&quantized.accumulator),
            scale_log2: quantized.unit.log2(),
            meaning: meaning(quantized, relation),
            bits,
            lookups: (per_element << cube_log2(shape)) + (per_row << rows),
            cost: quantized.cost,
        }
    }

    /// Shapes of the largest term's operands, or of the accumulator if there is nothing to multiply.
    fn shape_text(&self, accumulator: &Accumulator) -> String {
        let text = |shape: &[u32]| {
            format!(
                "[{}]",
                shape
                    .iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>()
                    .join(",")
            )
        };
        match accumulator
            .terms
            .iter()
            .max_by_key(|term| term.operands.len())
        {
            Some(term) if term.operands.len() > 1 => term
                .operands
                .iter()
                .map(|view| text(&self.columns.get(view.column).shape))
                .collect::<Vec<_>>()
                .join("x"),
            _ => text(&accumulator.shape),
        }
    }

    /// The finished model.
    pub fn assemble(mut self, name: &str, outputs: Vec<(Port, PortInfo)>) -> Lowered {
        let (mut outputs, output_infos): (Vec<Port>, Vec<PortInfo>) = outputs.into_iter().unzip();
        let (mut inputs, input_infos): (Vec<Port>, Vec<PortInfo>) =
            std::mem::take(&mut self.inputs).into_iter().unzip();
        let (columns, tables) = self.numbering(&mut inputs, &mut outputs);
        let mut column = |id: &mut ColumnId| id.0 = columns[id.0 as usize].expect("used");
        let mut table = |id: &mut TableId| id.0 = tables[id.0 as usize].expect("used");
        self.nodes
            .iter_mut()
            .for_each(|node| visit_ids(&mut node.relation, &mut column, &mut table));
        inputs
            .iter_mut()
            .chain(&mut outputs)
            .for_each(|port| accumulator_columns(&mut port.value, &mut column));
        let made_tables = self.numbered_tables(&tables, &mut column);
        let (parameters, onnx_nodes) = self.size_of_graph();
        let (made_columns, constants, row_log2) = numbered_columns(&columns, self.columns);
        let ports = inputs.iter().chain(&outputs);
        let row_log2 = ports
            .filter(|port| port.visibility == Visibility::Committed)
            .map(|port| shown_row_log2(&port.value.shape))
            .fold(row_log2, u8::max);
        let model = Model {
            name: name.to_string().into(),
            row_log2,
            answer_log2: row_log2,
            columns: made_columns.into(),
            tables: made_tables.into(),
            nodes: self.nodes.into(),
            inputs: inputs.into(),
            outputs: outputs.into(),
            weights: match self.options.weight_visibility() {
                Visibility::Public => Visibility::Public,
                _ => Visibility::Private,
            },
        };
        Lowered {
            model,
            constants,
            inputs: input_infos,
            outputs: output_infos,
            report: self.report,
            parameters,
            onnx_nodes,
            ranges: Ranges::of(self.options),
            fidelity: None,
        }
    }

    /// The tables that have final indices, with the final indices of their columns.
    fn numbered_tables(
        &self,
        ids: &[Option<u32>],
        column: &mut impl FnMut(&mut ColumnId),
    ) -> Vec<Table> {
        let plans = self.tables.list().iter().zip(ids);
        let used = plans.filter(|(_, id)| id.is_some());
        let table = |(plan, _): (&TablePlan, _)| {
            let mut table = Table {
                name: plan.name.clone().into(),
                len_log2: plan.len_log2,
                first_key: plan.first_key,
                outputs: plan.outputs.clone().into(),
                multiplicities: plan.multiplicities,
                barred: plan.barred,
            };
            table.outputs.to_mut().iter_mut().for_each(&mut *column);
            table.barred.iter_mut().for_each(&mut *column);
            column(&mut table.multiplicities);
            table
        };
        used.map(table).collect()
    }

    /// Final indices of the columns (constants first) and tables that something uses.
    fn numbering(
        &mut self,
        inputs: &mut [Port],
        outputs: &mut [Port],
    ) -> (Vec<Option<u32>>, Vec<Option<u32>>) {
        let mut used = vec![false; self.columns.list().len()];
        let mut used_tables = vec![false; self.tables.list().len()];
        let mut column = |id: &mut ColumnId| used[id.0 as usize] = true;
        let mut table = |id: &mut TableId| used_tables[id.0 as usize] = true;
        self.nodes
            .iter_mut()
            .for_each(|node| visit_ids(&mut node.relation, &mut column, &mut table));
        inputs
            .iter_mut()
            .chain(outputs)
            .for_each(|port| accumulator_columns(&mut port.value, &mut column));
        for (plan, _) in self
            .tables
            .list()
            .iter()
            .zip(&used_tables)
            .filter(|(_, used)| **used)
        {
            plan.outputs
                .iter()
                .chain([&plan.multiplicities])
                .chain(&plan.barred)
                .for_each(|id| column(&mut id.clone()));
        }
        let kind = |old: &usize| self.columns.list()[*old].kind;
        let constants = (0..used.len()).filter(|old| kind(old) == ColumnKind::Constant);
        let structural =
            (0..used.len()).filter(|old| matches!(kind(old), ColumnKind::Structural(_)));
        let witness = (0..used.len()).filter(|old| kind(old) == ColumnKind::Witness);
        let tables = renumber(0..used_tables.len(), &used_tables);
        (
            renumber(constants.chain(structural).chain(witness), &used),
            tables,
        )
    }

    /// Number of parameters and of nodes of the graph.
    fn size_of_graph(&self) -> (u64, u64) {
        let size = |op: &Op| match op {
            Op::Constant(tensor) => tensor.data.len() as u64,
            _ => 0,
        };
        let is_node = |op: &Op| !matches!(op, Op::Constant(_) | Op::Input(_));
        let nodes = &self.graph.nodes;
        (
            nodes.iter().map(|node| size(&node.op)).sum(),
            nodes.iter().filter(|node| is_node(&node.op)).count() as u64,
        )
    }
}
