//! The statement of a whole model: what is committed, what is looked up, what must vanish.
//!
//! A [`Model`] is what the compiler emits and what both sides of the argument read. It has no weights,
//! no floats and no ONNX in it: columns of small integers, and nodes that relate them.
//!
//! | symbol | meaning |
//! |---|---|
//! | column | a committed tensor of small integers; each axis is padded to a power of two, row-major, first axis most significant |
//! | accumulator | an exact integer tensor that is *not* committed: a sum of multilinear terms in columns |
//! | view | a column read through an affine index map; zero wherever the map leaves the column's true shape |
//!
//! **Padding rule.** Every term of an accumulator is zero outside the accumulator's true shape, and a view reads
//! only true elements. What a column holds in its padding is therefore never read, except by the lookups and
//! zero checks over that same padded cube, where it appears as a [`Accumulator::columns`] summand.
//! An honest prover puts zero there (or a table's output at key 0).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::statement::relations::Relation;
pub use crate::statement::structure::{Powers, Structure};

/// A slice that generated code borrows from constants and the in-process path owns.
pub type List<T> = Cow<'static, [T]>;
/// A name, borrowed in generated code.
pub type Name = Cow<'static, str>;

/// Index of a column in [`Model::columns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ColumnId(pub u32);

/// Index of a table in [`Model::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableId(pub u32);

/// Who fills a column, and when it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnKind {
    /// Model constant (weight, bias, mask, table output): committed at compile time, in the verifier key.
    Constant,
    /// Filled by the prover: model inputs, boundary values, limbs, multiplicities.
    Witness,
    /// Has one axis and follows from a formula: never committed, evaluated by the verifier.
    Structural(Structure),
}

/// A committed tensor of small integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Unique; named after the ONNX value it comes from.
    pub name: Name,
    /// Constant, witness or structural.
    pub kind: ColumnKind,
    /// True length of each axis, first most significant. Empty for a single element.
    pub shape: List<u32>,
}

impl Column {
    /// Its formula, if it has one.
    pub fn structure(&self) -> Option<Structure> {
        match self.kind {
            ColumnKind::Structural(structure) => Some(structure),
            _ => None,
        }
    }

    /// log2 of the padded length: the sum of the axes' `ceil(log2(len))`.
    pub fn len_log2(&self) -> u32 {
        cube_log2(&self.shape)
    }
}

/// `ceil(log2(len))`, zero for lengths 0 and 1.
pub fn axis_log2(len: u32) -> u32 {
    len.max(1).next_power_of_two().trailing_zeros()
}

/// log2 of the padded size of `shape`.
pub fn cube_log2(shape: &[u32]) -> u32 {
    shape.iter().map(|&len| axis_log2(len)).sum()
}

/// A lookup table of `2^len_log2` rows `(first_key + i, outputs[0][i], outputs[1][i], ...)`.
///
/// Without outputs it is a range. Key 0 must be in the range, so that padding has a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// For people.
    pub name: Name,
    /// log2 of the number of rows.
    pub len_log2: u8,
    /// Key of row 0, at most 0.
    pub first_key: i64,
    /// Constant or structural columns of shape `[2^len_log2]`, at most two.
    pub outputs: List<ColumnId>,
    /// Witness column of shape `[2^len_log2]`: how often each row is looked up.
    pub multiplicities: ColumnId,
    /// Constant column of shape `[2^len_log2]`, not zero for rows that nothing may look up: the function has no value there, or one that
    /// no integer holds. Their multiplicities are proved to be zero. Never key 0, which padding looks up.
    pub barred: Option<ColumnId>,
}

/// `offset + sum_j stride_j * index(axis_j)`: where along one column axis a term reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AxisMap {
    /// Index at the origin.
    pub offset: i32,
    /// `(axis of the term, stride)`; term axes are the accumulator's output axes, then the term's summed axes.
    pub strides: List<(u8, i32)>,
}

/// A column read through affine maps, one for each column axis. No term axis may occur in two of the maps.
///
/// An index outside the column's true shape reads zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// What is read.
    pub column: ColumnId,
    /// One map for each axis of the column.
    pub index: List<AxisMap>,
}

/// Most operands of a term.
pub const MAX_OPERANDS: usize = 4;

/// `coefficient * sum over summed axes of the product of operands`, for every index of the output axes.
///
/// With no operands it is the constant `coefficient` (times the product of `summed`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Integer factor.
    pub coefficient: i64,
    /// Lengths of the contracted axes; they are numbered after the output axes.
    pub summed: List<u32>,
    /// At most [`MAX_OPERANDS`].
    pub operands: List<View>,
}

/// A virtual integer tensor: `sum of columns (same padded cube) + sum of terms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accumulator {
    /// True lengths of the output axes.
    pub shape: List<u32>,
    /// Whole columns of exactly this shape with integer factors; these count in the padding too.
    pub columns: List<(i64, ColumnId)>,
    /// Multilinear terms, zero outside the true shape.
    pub terms: List<Term>,
}

impl Accumulator {
    /// log2 of the padded size.
    pub fn len_log2(&self) -> u32 {
        cube_log2(&self.shape)
    }
}

/// A named step of the model, in execution order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// After the ONNX node or value.
    pub name: Name,
    /// What is proved.
    pub relation: Relation,
}

/// log2 of the length of a committed port's rows, so that its commitment is the same for every model: padded tensor, row-major, cut into rows,
/// about as many as a row has entries.
pub fn shown_row_log2(shape: &[u32]) -> u8 {
    cube_log2(shape).div_ceil(2).clamp(8, 12) as u8
}

/// Who gets to see a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Visibility {
    /// It is part of the statement.
    Public,
    /// Nobody but the prover: it is bound inside the proof.
    #[default]
    Private,
    /// Nobody but the prover, but the statement has a hiding commitment to it. For weights the same as private: the commitment is in
    /// the verifier key.
    Committed,
}

impl std::str::FromStr for Visibility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "public" => Ok(Self::Public),
            "private" => Ok(Self::Private),
            "committed" => Ok(Self::Committed),
            _ => Err(format!(
                "`{text}` is not a visibility: use `public`, `private` or `committed`"
            )),
        }
    }
}

/// A model input or output, as integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// ONNX name.
    pub name: Name,
    /// The port's tensor as an accumulator: a plain column for an input and for what is committed, anything for another output.
    pub value: Accumulator,
    /// Least and greatest integer allowed (inclusive). Outside it proving gives a typed error, and verifying rejects what is public;
    /// the range of a hidden input is for a node to prove.
    pub range: (i64, i64),
    /// What the statement shows of it.
    pub visibility: Visibility,
}

impl Port {
    /// The column that the port is, if it is one whole column.
    pub fn column(&self) -> Option<ColumnId> {
        match *self.value.columns {
            [(1, id)] if self.value.terms.is_empty() => Some(id),
            _ => None,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.value
            .shape
            .iter()
            .fold(1usize, |product, &len| product.saturating_mul(len as usize))
    }

    /// Whether there are no elements; a valid port has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Everything that prover and verifier agree on before a proof, except the constants' commitments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Module name.
    pub name: Name,
    /// log2 of the number of values in one committed row.
    pub row_log2: u8,
    /// log2 of the number of field elements to which the answers for rows are folded: fewer bytes of a proof, more work.
    pub answer_log2: u8,
    /// Every committed tensor. Rows are laid out in this order, constants and witness apart.
    pub columns: List<Column>,
    /// Every lookup table.
    pub tables: List<Table>,
    /// In execution order: a node reads only columns that inputs, constants or earlier nodes fill.
    pub nodes: List<Node>,
    /// Inputs; each is one whole witness column.
    pub inputs: List<Port>,
    /// Outputs.
    pub outputs: List<Port>,
    /// Whether the constants' commitments hide them. Constants cannot be recomputed from a key that hides them.
    pub weights: Visibility,
}

impl Model {
    /// Inputs, then outputs.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.inputs.iter().chain(self.outputs.iter())
    }

    /// Whether there is anything that proofs must not show.
    pub fn hides(&self) -> bool {
        self.ports()
            .map(|port| port.visibility)
            .chain([self.weights])
            .any(|visibility| visibility != Visibility::Public)
    }

    /// Columns whose commitments are in the statement, in the order of the ports.
    pub fn shown_columns(&self) -> Vec<ColumnId> {
        self.ports()
            .filter(|port| port.visibility == Visibility::Committed)
            .filter_map(Port::column)
            .collect()
    }
}
