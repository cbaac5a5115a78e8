//! Small models for the relations' tests, and a checker that holds a trace against the constraints in plain integers.

use crate::protocol::key::ProverKey;
use crate::statement::model::{
    Accumulator, Column, ColumnId, ColumnKind, List, Model, Node, Port, Structure, Table, TableId,
    View, Visibility,
};
use crate::statement::relations::{
    Entry, Exact, Limbs, Map, OneHot, Quotient, Relation, Requant, RowMax,
};
use crate::witness::trace::{Constants, Trace, run};

/// A model under construction, with its constants.
pub(crate) struct Draft {
    pub model: Model,
    constants: Vec<Vec<i32>>,
}

impl Draft {
    pub fn new() -> Self {
        let model = Model {
            name: "draft".into(),
            row_log2: 4,
            answer_log2: 2,
            columns: Vec::new().into(),
            tables: Vec::new().into(),
            nodes: Vec::new().into(),
            inputs: Vec::new().into(),
            outputs: Vec::new().into(),
            weights: Visibility::Private,
        };
        Self {
            model,
            constants: Vec::new(),
        }
    }

    fn column(&mut self, name: &str, kind: ColumnKind, shape: &[u32]) -> ColumnId {
        self.model.columns.to_mut().push(Column {
            name: name.to_owned().into(),
            kind,
            shape: shape.to_vec().into(),
        });
        ColumnId(self.model.columns.len() as u32 - 1)
    }

    pub fn witness(&mut self, name: &str, shape: &[u32]) -> ColumnId {
        self.column(name, ColumnKind::Witness, shape)
    }

    pub fn constant(&mut self, name: &str, shape: &[u32], values: Vec<i32>) -> ColumnId {
        self.constants.push(values);
        self.column(name, ColumnKind::Constant, shape)
    }

    pub fn structural(&mut self, name: &str, len: u32, structure: Structure) -> ColumnId {
        self.column(name, ColumnKind::Structural(structure), &[len])
    }

    /// An input, and the accumulator that reads it whole.
    pub fn input(&mut self, name: &str, shape: &[u32]) -> (ColumnId, Accumulator) {
        let id = self.witness(name, shape);
        let value = Accumulator::of_column(shape.to_vec().into(), id);
        self.model.inputs.to_mut().push(Port {
            name: name.to_owned().into(),
            value: value.clone(),
            range: (-1000, 1000),
            visibility: Visibility::Public,
        });
        (id, value)
    }

    /// A table of `2^len_log2` keys from `first_key`.
    pub fn table(
        &mut self,
        name: &str,
        first_key: i64,
        len_log2: u8,
        outputs: &[fn(i64) -> i32],
    ) -> TableId {
        let len = 1i64 << len_log2;
        let keys = first_key..first_key + len;
        let outputs: Vec<ColumnId> = (outputs.iter().enumerate())
            .map(|(index, output)| {
                let rows = keys.clone().map(output).collect();
                self.constant(&format!("{name}.{index}"), &[len as u32], rows)
            })
            .collect();
        let multiplicities = self.witness(&format!("{name}.multiplicities"), &[len as u32]);
        self.model.tables.to_mut().push(Table {
            name: name.to_owned().into(),
            len_log2,
            first_key,
            outputs: outputs.into(),
            multiplicities,
            barred: None,
        });
        TableId(self.model.tables.len() as u32 - 1)
    }

    /// A table one of whose outputs, at this place, is a structural column.
    pub fn table_with(
        &mut self,
        name: &str,
        (first_key, len_log2): (i64, u8),
        outputs: &[fn(i64) -> i32],
        structure: Structure,
        place: usize,
    ) -> TableId {
        let id = self.table(name, first_key, len_log2, outputs);
        let column = self.structural(&format!("{name}.structural"), 1 << len_log2, structure);
        let table = &mut self.model.tables.to_mut()[id.0 as usize];
        table.outputs.to_mut().insert(place, column);
        id
    }

    /// Bars rows of a table.
    pub fn bar(&mut self, id: TableId, barred: fn(i64) -> bool) {
        let table = &self.model.tables[id.0 as usize];
        let (first, len) = (table.first_key, 1i64 << table.len_log2);
        let name = format!("{}.barred", table.name);
        let rows = (first..first + len).map(|key| i32::from(barred(key)));
        let rows = rows.collect();
        let rows = self.constant(&name, &[len as u32], rows);
        self.model.tables.to_mut()[id.0 as usize].barred = Some(rows);
    }

    pub fn node(&mut self, name: &str, relation: Relation) {
        self.model.nodes.to_mut().push(Node {
            name: name.to_owned().into(),
            relation,
        });
    }

    pub fn output(&mut self, name: &str, value: Accumulator, range: (i64, i64)) {
        self.model.outputs.to_mut().push(Port {
            name: name.to_owned().into(),
            value,
            range,
            visibility: Visibility::Public,
        });
    }

    /// A key, under a blinding key of zeros.
    pub fn key(&self) -> ProverKey {
        ProverKey::new(self.model.clone(), self.constants.clone(), &[0; 32]).unwrap()
    }

    pub fn constants(&self) -> Constants {
        Constants::new(&self.model, self.constants.clone()).unwrap()
    }

    /// Runs a valid model and checks that the honest trace holds.
    pub fn run(&self, inputs: &[Vec<i64>]) -> Trace {
        self.model.validate().unwrap();
        let trace = run(&self.model, &self.constants(), inputs).unwrap();
        check(&self.model, &trace).unwrap();
        check_recorded(&self.model, &trace);
        trace
    }

    /// That adding `by` to the element at `at` of `column` breaks a constraint; the trace is left as it was.
    pub fn assert_caught(&self, trace: &mut Trace, changes: &[(ColumnId, usize, i32)]) {
        for &(column, at, by) in changes {
            add(trace, column, at, by);
        }
        let verdict = check(&self.model, trace);
        assert!(verdict.is_err(), "{changes:?} is not caught");
        for &(column, at, by) in changes {
            add(trace, column, at, -by);
        }
    }

    /// As [`Draft::assert_caught`], for several changes of every element alone, the padding included.
    pub fn assert_all_caught(&self, trace: &mut Trace, column: ColumnId) {
        for at in 0..trace.column(column).len() {
            for by in [-256, -16, -1, 1, 16, 256] {
                self.assert_caught(trace, &[(column, at, by)]);
            }
        }
    }
}

/// A model of many relations: tokens are embedded, weighed by a softmax with proved reciprocals, and rounded.
pub(crate) fn everything() -> Draft {
    let mut draft = Draft::new();
    let (tokens, dim) = (3, 4);
    let (_, index) = draft.input("tokens", &[tokens]);
    draft.model.inputs.to_mut()[0].range = (0, 4);
    let iota = draft.structural("iota", 5, Structure::Index);
    let weights = draft.constant(
        "weights",
        &[5, dim],
        (0..20).map(|i| (i * 7) % 19 - 9).collect(),
    );
    let signed = draft.table("signed", -32, 6, &[]);
    let byte = draft.table("byte", 0, 8, &[]);
    let exp = draft.table_with("exp", (0, 6), &[|key| 64 >> (key / 4)], Structure::First, 1);
    let gelu = draft.table("gelu", -128, 8, &[|y| y.max(0) as i32 + 1]);
    let limbs = |tables: Vec<TableId>, columns: Vec<ColumnId>| Limbs {
        tables: tables.into(),
        columns: columns.into(),
    };

    let hot = draft.witness("hot", &[tokens, 5]);
    draft.node("embed", Relation::OneHot(OneHot { index, hot, iota }));

    let embedded = draft.witness("embedded", &[tokens, dim]);
    let mut rows = View::identity(hot, 1).unwrap();
    rows.index
        .to_mut()
        .extend(View::along(hot, 2).unwrap().index.into_owned());
    let mut vectors = View::along(weights, 2).unwrap();
    vectors
        .index
        .to_mut()
        .extend(View::along(weights, 1).unwrap().index.into_owned());
    let shape: List<u32> = vec![tokens, dim].into();
    let accumulator =
        Accumulator::zero(shape.clone()).plus_product(1, vec![5], vec![rows, vectors]);
    draft.node(
        "gather",
        Relation::Exact(Exact {
            accumulator,
            output: embedded,
        }),
    );

    let scores = Accumulator::of_column(shape.clone(), embedded);
    let (max, weight) = (
        draft.witness("max", &[tokens]),
        draft.witness("weight", &[tokens, dim]),
    );
    let hit = draft.witness("hit", &[tokens, dim]);
    let row_max = RowMax {
        scores,
        max,
        max_range: signed,
        table: exp,
        exp: weight,
        hit,
        count_range: byte,
    };
    draft.node("softmax", Relation::RowMax(row_max));

    let denominator = Accumulator::zero(vec![tokens].into());
    let denominator =
        denominator.plus_product(1, vec![dim], vec![View::identity(weight, 2).unwrap()]);
    let reciprocal = draft.witness("reciprocal", &[tokens]);
    let low = draft.witness("reciprocal.low", &[tokens]);
    let quotient = Quotient {
        numerator: 4096,
        denominator,
        quotient: reciprocal,
        quotient_limbs: limbs(vec![byte, byte], vec![low]),
        remainder: limbs(vec![byte], vec![]),
        slack: limbs(vec![byte], vec![]),
    };
    draft.node("normalise", Relation::Quotient(quotient));

    let rounded = draft.witness("rounded", &[tokens, dim]);
    let activated = draft.witness("activated", &[tokens, dim]);
    let share = vec![
        View::identity(weight, 2).unwrap(),
        View::identity(reciprocal, 1).unwrap(),
    ];
    let requant = Requant {
        accumulator: Accumulator::zero(shape.clone()).plus_product(1, vec![], share),
        shift: 8,
        remainder: limbs(vec![byte], vec![]),
        output: rounded,
        table: gelu,
        mapped: vec![activated].into(),
    };
    draft.node("round", Relation::Requant(requant));

    let accumulator = Accumulator::zero(shape.clone()).plus_product(
        3,
        vec![],
        vec![View::identity(rounded, 2).unwrap()],
    );
    draft.node(
        "range",
        Relation::Map(Map {
            accumulator,
            table: byte,
            mapped: List::default(),
        }),
    );
    // So many products that their operands are a late row.
    let powers = draft.witness("powers", &[tokens, dim]);
    let views = |columns: &[ColumnId]| {
        let views = columns.iter().map(|column| View::identity(*column, 2));
        views.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let three = views(&[rounded, embedded, weight]);
    let mut accumulator = Accumulator::zero(shape.clone()).plus_product(1, vec![], three);
    for factor in 1..=6 {
        let two = views(&[rounded, embedded]);
        accumulator = accumulator.plus_product(factor, vec![], two);
    }
    draft.node(
        "powers",
        Relation::Exact(Exact {
            accumulator,
            output: powers,
        }),
    );
    // As a view, which reads no padding: what the table makes of it is not zero.
    let output = Accumulator::zero(shape)
        .plus_product(1, vec![], vec![View::identity(activated, 2).unwrap()])
        .plus_column(10, embedded);
    draft.output("logits", output, (-1000, 1000));
    draft
}

fn add(trace: &mut Trace, column: ColumnId, at: usize, by: i32) {
    let mut values = trace.column(column).to_vec();
    values[at] += by;
    trace.set(column, values);
}

/// An entry's value; `None` for a fraction, which in the field is not a small integer.
fn value(entry: &Entry, accumulated: i64) -> Option<i64> {
    let divisor = 1i64 << entry.shift_log2;
    (accumulated % divisor == 0).then_some(accumulated / divisor)
}

/// Holds every constraint against the columns, over the padded cube.
pub(crate) fn check(model: &Model, trace: &Trace) -> Result<(), String> {
    for constraints in model.node_constraints() {
        let (node, constraints) = constraints.unwrap();
        for (index, lookup) in constraints.lookups.iter().enumerate() {
            let table = &model.tables[lookup.table.0 as usize];
            let evaluate = |entry: &Entry| (entry.clone(), entry.accumulator.evaluate(trace));
            let entries: Vec<_> = lookup.entries.iter().map(evaluate).collect();
            for at in 0..entries[0].1.len() {
                let row: Option<Vec<i64>> = entries
                    .iter()
                    .map(|(entry, a)| value(entry, a[at]))
                    .collect();
                let is_row = |row: &Vec<i64>| {
                    let key = row[0] - table.first_key;
                    let outputs = table.outputs.iter().map(|&column| trace.column(column));
                    let barred = |column| trace.column(column)[key as usize] != 0;
                    (0..1 << table.len_log2).contains(&key)
                        && !table.barred.is_some_and(barred)
                        && outputs
                            .zip(&row[1..])
                            .all(|(rows, &value)| i64::from(rows[key as usize]) == value)
                };
                if !row.as_ref().is_some_and(is_row) {
                    return Err(format!(
                        "{node}: lookup {index} at {at}: {row:?} is not a row of `{}`",
                        table.name
                    ));
                }
            }
        }
        for (index, zero) in constraints.zeros.iter().enumerate() {
            if zero.evaluate(trace).iter().any(|&value| value != 0) {
                return Err(format!("{node}: zero check {index}"));
            }
        }
    }
    Ok(())
}

/// That the recorded lookups are the constraints' entries, and the multiplicities their counts.
fn check_recorded(model: &Model, trace: &Trace) {
    let lookups = model.constraints().unwrap().lookups;
    assert_eq!(lookups.len(), trace.lookups().len());
    let mut counts: Vec<Vec<i32>> = (model.tables.iter())
        .map(|table| vec![0; 1 << table.len_log2])
        .collect();
    for (index, (lookup, recorded)) in lookups.iter().zip(trace.lookups()).enumerate() {
        assert_eq!(lookup.table, recorded.table);
        assert_eq!(lookup.entries.len(), recorded.entries.len());
        for (entry, recorded) in lookup.entries.iter().zip(&recorded.entries) {
            let values = entry.accumulator.evaluate(trace);
            let values = values
                .iter()
                .map(|&accumulated| value(entry, accumulated).unwrap());
            assert!(values.eq(recorded.iter().map(|&value| i64::from(value))));
        }
        let table = lookup.table.0 as usize;
        for &key in trace.lookup_keys(index) {
            counts[table][(i64::from(key) - model.tables[table].first_key) as usize] += 1;
        }
    }
    for (table, counts) in model.tables.iter().zip(counts) {
        assert_eq!(trace.column(table.multiplicities), counts, "{}", table.name);
    }
}
