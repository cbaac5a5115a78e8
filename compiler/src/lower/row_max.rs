//! The relation of a row maximum, for softmaxes and for hits alone.

use zkiln_runtime::model::{ColumnId, TableId};
use zkiln_runtime::relations::{Relation, RowMax};

use crate::diagnostic::{Diagnostic, refuse};
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::Quantized;

/// Widest range of maxima: that of one table.
const MOST_BITS: u8 = 20;

/// Row maxima of `scores`, of whose axes the last one is the row, and what a table makes of the distances from them.
pub struct RowMaximum<'a> {
    /// Exact.
    pub scores: &'a Quantized,
    /// Certain range of the scores, in reals.
    pub range: (f64, f64),
    /// Greatest magnitude of them that was seen, with a margin; what is beyond is refused where the range is too long for a table.
    pub seen: f64,
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
    /// The range of the maxima.
    fn reach(&self) -> Result<KeyRange, Diagnostic> {
        let unit = self.scores.unit;
        let covering = |(low, high): (f64, f64)| {
            KeyRange::covering(
                ((low / unit).floor() as i128).min(-1),
                (high / unit).ceil() as i128,
            )
        };
        let (low, high) = self.range;
        let certain = covering(self.range);
        let seen = covering((low.max(-self.seen), high.min(self.seen)));
        match (certain.bits <= MOST_BITS, seen.bits <= MOST_BITS) {
            (true, _) => Ok(certain),
            (false, true) => Ok(seen),
            (false, false) => Err(refuse(
                format!("its scores reach over 2^{} steps of {unit:e}", seen.bits),
                "scale them down before, or give sample inputs of the size that is meant",
            )),
        }
    }

    /// Adds the columns and the node.
    pub fn emit(self, cx: &mut Lowering) -> Result<RowColumns, Diagnostic> {
        let shape = self.scores.accumulator.shape.to_vec();
        let (&len, rows) = shape.split_last().expect("a row has an axis");
        let max_keys = self.reach()?;
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
        Ok(RowColumns {
            max,
            made: exp,
            hit,
        })
    }
}
