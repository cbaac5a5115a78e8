//! What can be proved. Each relation states, once for both sides, its lookups and its zero checks, and
//! gives the exact integer reference that fills its columns.
//!
//! | relation | meaning |
//! |---|---|
//! | [`Requant`] | `y = floor((acc + 2^(s-1)) / 2^s)`, optionally `out = T(y)` |
//! | [`Map`] | `out = T(acc)`, nothing rounded |
//! | [`Exact`] | `y = acc` |
//! | [`RowMax`] | `m = max_j s_j`, `(e_j, hit_j) = T(m - s_j)`: the shift of a softmax |
//! | [`Quotient`] | `q = floor(numerator / den)` |
//! | [`OneHot`] | `h[i, v] = 1 if v = index[i] else 0` |

use serde::{Deserialize, Serialize};

use crate::model::{Accumulator, ColumnId, List, TableId};

/// `0 <= v < 2^bits` through limbs: `v = sum_k 2^(offset_k) limb_k`.
///
/// All limbs but the last (most significant) are committed; the last is virtual, `(v - lower limbs) / 2^offset`.
/// Limb `k` is as wide as its table; table keys start at 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limbs {
    /// Range tables, least significant limb first; at least one.
    pub tables: List<TableId>,
    /// Committed lower limbs: one fewer than `tables`.
    pub columns: List<ColumnId>,
}

/// `y = floor((acc + 2^(shift-1)) / 2^shift)`, and `y` a key of `table`; `mapped = table(y)` if given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requant {
    /// What is rounded.
    pub accumulator: Accumulator,
    /// Bits dropped, at least 1; the limbs' widths sum to it.
    pub shift: u8,
    /// `acc + 2^(shift-1) - 2^shift y`.
    pub remainder: Limbs,
    /// `y`, of the accumulator's shape.
    pub output: ColumnId,
    /// Range of `y`, with one output column for each of `mapped`.
    pub table: TableId,
    /// `table(y)`: as many as the table has outputs.
    pub mapped: List<ColumnId>,
}

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

/// `output = acc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exact {
    /// What is committed as it is.
    pub accumulator: Accumulator,
    /// Of the accumulator's shape.
    pub output: ColumnId,
}

/// `max[i] = max_j scores[i, j]` over the last axis, and `(exp, hit)[i, j] = table(max[i] - scores[i, j])`.
///
/// The table's keys start at 0, its second output is 1 at key 0 and 0 elsewhere. That `sum_j hit[i, j] >= 1` makes
/// the maximum attained, hence unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowMax {
    /// Shape `[rows..., len]`, exact integers.
    pub scores: Accumulator,
    /// Shape `[rows...]`.
    pub max: ColumnId,
    /// Range of `max`, signed.
    pub max_range: TableId,
    /// Keys `0..2^b`, outputs `(exp, hit)`.
    pub table: TableId,
    /// Shape of the scores: first table output.
    pub exp: ColumnId,
    /// Shape of the scores: second table output, `1` where the maximum is attained.
    pub hit: ColumnId,
    /// Range of `sum_j hit - 1`: keys from 0, at least `len` of them.
    pub count_range: TableId,
}

/// `quotient = floor(numerator / denominator)` with a constant numerator and `denominator >= 1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotient {
    /// Constant, positive.
    pub numerator: i64,
    /// Exact integers, each term at most of degree 3 and with operands to spare for one more.
    pub denominator: Accumulator,
    /// Of the denominator's shape.
    pub quotient: ColumnId,
    /// Limbs of `quotient` itself.
    pub quotient_limbs: Limbs,
    /// Limbs of `numerator - quotient * denominator`.
    pub remainder: Limbs,
    /// Limbs of `denominator - 1 - remainder`.
    pub slack: Limbs,
}

/// `hot[i..., v] = [v = index[i...]]` for `0 <= index < len`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHot {
    /// Shape `[rows...]`.
    pub index: Accumulator,
    /// Shape `[rows..., len]`.
    pub hot: ColumnId,
    /// Constant column `[0, 1, ..., len-1]`.
    pub iota: ColumnId,
}

/// One step's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Relation {
    /// See [`Requant`].
    Requant(Requant),
    /// See [`Map`].
    Map(Map),
    /// See [`Exact`].
    Exact(Exact),
    /// See [`RowMax`].
    RowMax(RowMax),
    /// See [`Quotient`].
    Quotient(Quotient),
    /// See [`OneHot`].
    OneHot(OneHot),
}
