//! The relation of a row maximum, for softmaxes and for hits alone.

use zkiln_runtime::model::{ColumnId, TableId};
use zkiln_runtime::relations::{Relation, RowMax};

use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::Quantized;

/// Row maxima of `scores`, of whose axes the last one is the row, and what a table makes of the distances from them.
pub struct RowMaximum<'a> {
    /// Exact.
    pub scores: &'a Quantized,
    /// Certain range of the scores, in reals.
    pub range: (f64, f64),
    /// Distances from the maximum, and bits of these.
    pub keys: KeyRange,
    /// What a distance becomes, and whether it is zero.
    pub table: TableId,
    /// Name for what a distance becomes; the node's, too.
    pub label: &'static str,
    /// Least and greatest of what a distance becomes.
    pub bounds: (i64, i64),
}

/// The columns of a row maximum.
pub struct RowColumns {
    /// The maxima, over rows.
    pub max: ColumnId,
    /// What distances become.
    pub made: ColumnId,
    /// 1 where the maximum is attained.
    pub hit: ColumnId,
}

impl RowMaximum<'_> {
    /// Adds the columns and the node.
    pub fn emit(self, cx: &mut Lowering) -> RowColumns {
        let unit = self.scores.unit;
        let least = (self.range.0 / unit).floor() as i128;
        let greatest = (self.range.1 / unit).ceil() as i128;
        let shape = self.scores.accumulator.shape.to_vec();
        let (&len, rows) = shape.split_last().expect("a row has an axis");
        let max_keys = KeyRange::covering(least.min(-1), greatest);
        let max_range = cx.tables.range_covering(&mut cx.columns, max_keys);
        let count_keys = KeyRange::covering(0, i128::from(len) - 1);
        let count_range = cx.tables.range_covering(&mut cx.columns, count_keys);
        let here = cx.here();
        let mut witness = |label: &str, shape: &[u32], bounds| {
            let name = format!("{here}/{label}");
            cx.columns.witness(&name, shape.to_vec(), bounds)
        };
        let max = witness("max", rows, max_keys.bounds());
        let exp = witness(self.label, &shape, self.bounds);
        let hit = witness("hit", &shape, (0, 1));
        let relation = Relation::RowMax(RowMax {
            scores: self.scores.accumulator.clone(),
            max,
            max_range,
            table: self.table,
            exp,
            hit,
            count_range,
        });
        let bits = u32::from(self.keys.bits);
        cx.emit(
            &format!("{here}/{}", self.label),
            self.scores,
            bits,
            relation,
        );
        RowColumns {
            max,
            made: exp,
            hit,
        }
    }
}
