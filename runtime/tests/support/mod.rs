//! Small hand-written models, one for each relation, to prove and to tamper with.
#![allow(dead_code)]

use std::borrow::Cow;

use zkiln_runtime::key::ProverKey;
use zkiln_runtime::model::{
    Accumulator, AxisMap, Column, ColumnId, ColumnKind, Model, Node, Port, Structure, Table,
    TableId, Term, View, Visibility,
};
use zkiln_runtime::relations::{Exact, Limbs, Map, OneHot, Quotient, Relation, Requant, RowMax};

/// Builds a model column by column.
#[derive(Default)]
pub struct Builder {
    pub columns: Vec<Column>,
    pub constants: Vec<Vec<i32>>,
    pub tables: Vec<Table>,
    pub nodes: Vec<Node>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub show: Show,
}

/// What a fixture shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// All; nothing is hidden.
    #[default]
    Everything,
    /// Public inputs and outputs, hidden weights.
    Ports,
    /// One of each.
    Some,
    /// Nothing.
    Nothing,
    /// Commitments to all inputs, and all outputs.
    Inputs,
}

impl Show {
    pub const ALL: [Self; 4] = [Self::Everything, Self::Ports, Self::Some, Self::Nothing];

    fn input(self, name: &str) -> Visibility {
        match (self, name) {
            (Self::Everything | Self::Ports, _) => Visibility::Public,
            (Self::Some, "tokens") | (Self::Inputs, _) => Visibility::Committed,
            _ => Visibility::Private,
        }
    }

    fn output(self, name: &str) -> Visibility {
        match (self, name) {
            (Self::Everything | Self::Ports | Self::Inputs, _) | (Self::Some, "convolved") => {
                Visibility::Public
            }
            (Self::Some, "gain") => Visibility::Committed,
            _ => Visibility::Private,
        }
    }

    fn weights(self) -> Visibility {
        match self {
            Self::Everything => Visibility::Public,
            _ => Visibility::Private,
        }
    }
}

pub fn at(axis: u8) -> AxisMap {
    affine(0, &[(axis, 1)])
}

pub fn affine(offset: i32, strides: &[(u8, i32)]) -> AxisMap {
    AxisMap {
        offset,
        strides: Cow::Owned(strides.to_vec()),
    }
}

pub fn view(column: ColumnId, index: &[AxisMap]) -> View {
    View {
        column,
        index: Cow::Owned(index.to_vec()),
    }
}

pub fn term(coefficient: i64, summed: &[u32], operands: &[View]) -> Term {
    Term {
        coefficient,
        summed: Cow::Owned(summed.to_vec()),
        operands: Cow::Owned(operands.to_vec()),
    }
}

pub fn accumulator(shape: &[u32], columns: &[(i64, ColumnId)], terms: &[Term]) -> Accumulator {
    Accumulator {
        shape: Cow::Owned(shape.to_vec()),
        columns: Cow::Owned(columns.to_vec()),
        terms: Cow::Owned(terms.to_vec()),
    }
}

impl Builder {
    fn column(&mut self, name: &str, kind: ColumnKind, shape: &[u32], data: Vec<i32>) -> ColumnId {
        self.columns.push(Column {
            name: Cow::Owned(name.into()),
            kind,
            shape: Cow::Owned(shape.to_vec()),
        });
        self.constants.push(data);
        ColumnId(self.columns.len() as u32 - 1)
    }

    pub fn constant(&mut self, name: &str, shape: &[u32], data: Vec<i32>) -> ColumnId {
        self.column(name, ColumnKind::Constant, shape, data)
    }

    pub fn structural(&mut self, name: &str, len: u32, structure: Structure) -> ColumnId {
        self.column(name, ColumnKind::Structural(structure), &[len], Vec::new())
    }

    pub fn witness(&mut self, name: &str, shape: &[u32]) -> ColumnId {
        self.column(name, ColumnKind::Witness, shape, Vec::new())
    }

    pub fn input(&mut self, name: &str, shape: &[u32], range: (i64, i64)) -> ColumnId {
        let id = self.witness(name, shape);
        self.inputs.push(Port {
            name: Cow::Owned(name.into()),
            value: accumulator(shape, &[(1, id)], &[]),
            range,
            visibility: self.show.input(name),
        });
        id
    }

    pub fn output(&mut self, name: &str, value: Accumulator) {
        self.outputs.push(Port {
            name: Cow::Owned(name.into()),
            value,
            range: (-1 << 40, 1 << 40),
            visibility: self.show.output(name),
        });
    }

    pub fn table(
        &mut self,
        name: &str,
        len_log2: u8,
        first_key: i64,
        outputs: &[&dyn Fn(i64) -> i32],
    ) -> TableId {
        let keys = || (0..1i64 << len_log2).map(move |i| i + first_key);
        let columns: Vec<ColumnId> = outputs
            .iter()
            .enumerate()
            .map(|(number, f)| {
                self.constant(
                    &format!("{name}/{number}"),
                    &[1 << len_log2],
                    keys().map(f).collect(),
                )
            })
            .collect();
        let multiplicities = self.witness(&format!("{name}/multiplicities"), &[1 << len_log2]);
        self.tables.push(Table {
            name: Cow::Owned(name.into()),
            len_log2,
            first_key,
            outputs: Cow::Owned(columns),
            multiplicities,
            barred: None,
        });
        TableId(self.tables.len() as u32 - 1)
    }

    pub fn node(&mut self, name: &str, relation: Relation) {
        self.nodes.push(Node {
            name: Cow::Owned(name.into()),
            relation,
        });
    }

    pub fn limbs(&mut self, name: &str, shape: &[u32], widths: &[u8]) -> Limbs {
        let tables: Vec<TableId> = widths
            .iter()
            .enumerate()
            .map(|(k, &w)| self.table(&format!("{name}/{k}"), w, 0, &[]))
            .collect();
        let columns: Vec<ColumnId> = (1..widths.len())
            .map(|k| self.witness(&format!("{name}/limb{k}"), shape))
            .collect();
        Limbs {
            tables: Cow::Owned(tables),
            columns: Cow::Owned(columns),
        }
    }

    pub fn build(self, row_log2: u8) -> (Model, Vec<Vec<i32>>) {
        let model = Model {
            name: Cow::Borrowed("fixture"),
            row_log2,
            answer_log2: row_log2 - row_log2 / 3,
            columns: Cow::Owned(self.columns),
            tables: Cow::Owned(self.tables),
            nodes: Cow::Owned(self.nodes),
            inputs: Cow::Owned(self.inputs),
            outputs: Cow::Owned(self.outputs),
            weights: self.show.weights(),
        };
        let kinds = model.columns.iter().map(|column| column.kind);
        let constants = self
            .constants
            .into_iter()
            .zip(kinds)
            .filter(|(_, kind)| *kind == ColumnKind::Constant)
            .map(|(data, _)| data)
            .collect();
        (model, constants)
    }
}

/// A deterministic small integer stream.
pub fn stream(seed: u64, modulus: i64) -> impl Iterator<Item = i64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % (modulus as u64)) as i64 - modulus / 2
    })
}

/// A model of many relations: token lookup, matrix product with ReLU, attention with a softmax, exact sums, limbs.
///
/// Axes of 3 and 5 make sure that padding is everywhere.
pub fn everything(row_log2: u8, show: Show) -> (Model, Vec<Vec<i32>>, Vec<Vec<i64>>) {
    let mut b = Builder {
        show,
        ..Builder::default()
    };
    let (t, d, v, h) = (5u32, 3u32, 6u32, 7u32);
    let tokens = b.input("tokens", &[t], (0, i64::from(v) - 1));
    let x = b.input("x", &[t, d], (-128, 127));
    // Embedding of the tokens by a one-hot matrix.
    let hot = b.witness("hot", &[t, v]);
    let iota = b.structural("iota", v, Structure::Index);
    b.node(
        "tokens/hot",
        Relation::OneHot(OneHot {
            index: accumulator(&[t], &[(1, tokens)], &[]),
            hot,
            iota,
        }),
    );
    let embedding = b.constant(
        "embedding",
        &[v, d],
        stream(1, 200)
            .take((v * d) as usize)
            .map(|x| x as i32)
            .collect(),
    );
    let sum = b.witness("sum", &[t, d]);
    let gathered = term(
        1,
        &[v],
        &[view(hot, &[at(0), at(2)]), view(embedding, &[at(2), at(1)])],
    );
    b.node(
        "sum",
        Relation::Exact(Exact {
            accumulator: accumulator(&[t, d], &[(1, x)], &[gathered]),
            output: sum,
        }),
    );
    // y = requant(sum @ w + bias), out = relu(y).
    let w = b.constant(
        "w",
        &[d, h],
        stream(2, 100)
            .take((d * h) as usize)
            .map(|x| x as i32)
            .collect(),
    );
    let bias = b.constant(
        "bias",
        &[h],
        stream(3, 1000).take(h as usize).map(|x| x as i32).collect(),
    );
    let relu = b.table("relu", 10, -512, &[&|y| y.max(0) as i32]);
    let (y, out) = (b.witness("y", &[t, h]), b.witness("out", &[t, h]));
    let remainder = b.limbs("y/remainder", &[t, h], &[3, 4]);
    let product = term(
        1,
        &[d],
        &[view(sum, &[at(0), at(2)]), view(w, &[at(2), at(1)])],
    );
    b.node(
        "relu",
        Relation::Requant(Requant {
            accumulator: accumulator(
                &[t, h],
                &[],
                &[product, term(1, &[], &[view(bias, &[at(1)])])],
            ),
            shift: 7,
            remainder,
            output: y,
            table: relu,
            mapped: Cow::Owned(vec![out]),
        }),
    );
    // The range of `x`, which a hidden input needs.
    let range = b.table("range", 8, -128, &[]);
    b.node(
        "x/range",
        Relation::Map(Map {
            accumulator: accumulator(&[t, d], &[(1, x)], &[]),
            table: range,
            mapped: Cow::Owned(vec![]),
        }),
    );
    // scores = requant(out @ out^T), softmax over the last axis, deferred normalization.
    let scores = b.witness("scores", &[t, t]);
    let remainder = b.limbs("scores/remainder", &[t, t], &[5, 6]);
    let square = term(
        1,
        &[h],
        &[view(out, &[at(0), at(2)]), view(out, &[at(1), at(2)])],
    );
    b.node(
        "scores",
        Relation::Requant(Requant {
            accumulator: accumulator(&[t, t], &[], &[square]),
            shift: 11,
            remainder,
            output: scores,
            table: range,
            mapped: Cow::Owned(vec![]),
        }),
    );
    let exp = b.table(
        "exp",
        8,
        0,
        &[&|key| (64.0 * (-0.05 * key as f64).exp()).round() as i32],
    );
    let first = b.structural("exp/hit", 1 << 8, Structure::First);
    b.tables[exp.0 as usize].outputs.to_mut().push(first);
    let count_range = b.table("count", 3, 0, &[]);
    let (max, e, hit) = (
        b.witness("max", &[t]),
        b.witness("e", &[t, t]),
        b.witness("hit", &[t, t]),
    );
    let mask = b.constant(
        "mask",
        &[t, t],
        (0..t * t).map(|i| i32::from(i % t <= i / t)).collect(),
    );
    let fill = b.constant(
        "fill",
        &[t, t],
        (0..t * t)
            .map(|i| if i % t <= i / t { 0 } else { -20 })
            .collect(),
    );
    let masked = [
        term(
            1,
            &[],
            &[view(mask, &[at(0), at(1)]), view(scores, &[at(0), at(1)])],
        ),
        term(1, &[], &[view(fill, &[at(0), at(1)])]),
    ];
    b.node(
        "softmax/max",
        Relation::RowMax(RowMax {
            scores: accumulator(&[t, t], &[], &masked),
            max,
            max_range: range,
            table: exp,
            exp: e,
            hit,
            count_range,
        }),
    );
    let quotient = b.witness("softmax/recip", &[t]);
    let quotient_limbs = b.limbs("softmax/recip/limbs", &[t], &[8, 8]);
    let remainder = b.limbs("softmax/recip/remainder", &[t], &[5, 5]);
    let slack = b.limbs("softmax/recip/slack", &[t], &[5, 5]);
    b.node(
        "softmax/recip",
        Relation::Quotient(Quotient {
            numerator: 1 << 20,
            denominator: accumulator(&[t], &[], &[term(1, &[t], &[view(e, &[at(0), at(1)])])]),
            quotient,
            quotient_limbs,
            remainder,
            slack,
        }),
    );
    let mixed = b.witness("mixed", &[t, h]);
    let remainder = b.limbs("mixed/remainder", &[t, h], &[10, 10]);
    let weighted = term(
        1,
        &[t],
        &[
            view(e, &[at(0), at(2)]),
            view(quotient, &[at(0)]),
            view(out, &[at(2), at(1)]),
        ],
    );
    b.node(
        "mixed",
        Relation::Requant(Requant {
            accumulator: accumulator(&[t, h], &[], &[weighted]),
            shift: 20,
            remainder,
            output: mixed,
            table: relu,
            mapped: Cow::Owned(
                vec![b.columns.len() as u32]
                    .into_iter()
                    .map(ColumnId)
                    .collect(),
            ),
        }),
    );
    let mixed_relu = b.witness("mixed/relu", &[t, h]);
    // Maximum of neighbors by a table on an exact difference, read through strides.
    let difference = accumulator(
        &[t, 3],
        &[],
        &[
            term(1, &[], &[view(mixed_relu, &[at(0), affine(1, &[(1, 2)])])]),
            term(-1, &[], &[view(mixed_relu, &[at(0), affine(0, &[(1, 2)])])]),
        ],
    );
    let gain = b.witness("gain", &[t, 3]);
    b.node(
        "pool",
        Relation::Map(Map {
            accumulator: difference,
            table: relu,
            mapped: Cow::Owned(vec![gain]),
        }),
    );
    // What is committed is ranged.
    let within = b.table("gain/range", 10, -512, &[]);
    b.node(
        "gain/range",
        Relation::Map(Map {
            accumulator: accumulator(&[t, 3], &[(1, gain)], &[]),
            table: within,
            mapped: Cow::Owned(vec![]),
        }),
    );
    // A convolution along the tokens, with zero padding on both sides, as the output.
    let kernel = b.constant(
        "kernel",
        &[2, 3, 3],
        stream(4, 60).take(18).map(|x| x as i32).collect(),
    );
    let pooled = |column, index: [AxisMap; 2]| {
        term(
            1,
            &[3, 3],
            &[view(column, &index), view(kernel, &[at(1), at(2), at(3)])],
        )
    };
    let convolved = accumulator(
        &[t, 2],
        &[],
        &[
            pooled(gain, [affine(-1, &[(0, 1), (3, 1)]), at(2)]),
            pooled(
                mixed_relu,
                [affine(-1, &[(0, 1), (3, 1)]), affine(0, &[(2, 2)])],
            ),
            term(17, &[], &[]),
        ],
    );
    b.output("convolved", convolved);
    b.output(
        "pooled",
        accumulator(
            &[t, 3],
            &[(1, gain)],
            &[term(
                1,
                &[],
                &[view(mixed_relu, &[at(0), affine(0, &[(1, 2)])])],
            )],
        ),
    );
    b.output("gain", accumulator(&[t, 3], &[(1, gain)], &[]));
    let inputs = vec![
        vec![3, 0, 5, 1, 3],
        stream(9, 200).take((t * d) as usize).collect(),
    ];
    let (model, constants) = b.build(row_log2);
    (model, constants, inputs)
}

/// Makes a constant of a column, or another constant of a constant.
pub fn as_constant(model: &mut Model, constants: &mut Vec<Vec<i32>>, name: &str, values: Vec<i32>) {
    let columns = model.columns.to_mut();
    let at = columns.iter().position(|column| column.name == name);
    let at = at.expect("a column");
    let is_constant = |column: &&Column| column.kind == ColumnKind::Constant;
    let place = columns[..at].iter().filter(is_constant).count();
    if columns[at].kind == ColumnKind::Constant {
        constants.remove(place);
    }
    columns[at].kind = ColumnKind::Constant;
    constants.insert(place, values);
}

/// A key of [`everything`], under a blinding key of zeros.
pub fn key(row_log2: u8, show: Show) -> (ProverKey, Vec<Vec<i64>>) {
    let (model, constants, inputs) = everything(row_log2, show);
    (ProverKey::new(model, constants, &[0; 32]).unwrap(), inputs)
}
