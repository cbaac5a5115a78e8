//! Where columns lie in the committed rows.
//!
//! A column is one tile, or, if it is cut, several. What fills rows has rows of its own; what is shorter shares them: shorter tiles lie, longest
//! first, in the last rows of constants and of witness. What no tile covers of a row is never read. A column whose commitment is shown has rows of its own.

use std::ops::Range;

use super::bounds;
use crate::error::VerifyError;
use crate::statement::layout::{AxisRange, tile_log2, tiles};
use crate::statement::model::{Column, ColumnId, ColumnKind, Model, shown_row_log2};

/// A part of a column each of whose axes is a power of two, and where it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The column.
    pub column: ColumnId,
    /// Along each axis of the column.
    pub ranges: Vec<AxisRange>,
    /// Index into [`Rows::spans`].
    pub span: usize,
    /// Its first entry in a row.
    pub at: usize,
}

impl Tile {
    /// log2 of its entries.
    pub fn len_log2(&self) -> u32 {
        tile_log2(&self.ranges)
    }
}

/// Rows one after the other that one tile fills, or one row of several tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Whether they are constants' rows, which the key has.
    pub is_constant: bool,
    /// First row among the constants' rows or among the witness' rows.
    pub first: usize,
    /// Number of rows.
    pub len: usize,
    /// log2 of the number of entries in use of each row: less than the model's for a column whose commitment is shown.
    pub used_log2: u32,
    /// Indices into [`Rows::tiles`].
    pub tiles: Range<usize>,
}

impl Span {
    /// Whether several tiles share its one row.
    pub fn is_shared(&self) -> bool {
        self.tiles.len() > 1
    }
}

/// The layout of a model's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// In the order of their spans.
    pub tiles: Vec<Tile>,
    /// In the order of their rows; constants' and witness' are numbered apart.
    pub spans: Vec<Span>,
    /// The tiles of each column.
    pub of_column: Vec<Vec<usize>>,
    /// Rows of constants.
    pub constants: usize,
    /// Rows of witness columns.
    pub witness: usize,
}

const TOO_LONG: VerifyError = VerifyError::Key("a column is too long");

// verify-path: begin
impl Rows {
    /// Of a model some of whose columns are shown by their commitments.
    pub(super) fn new(model: &Model, shown: &[ColumnId]) -> Result<Self, VerifyError> {
        let row_log2 = u32::from(model.row_log2);
        let mut rows = Self {
            of_column: vec![Vec::new(); model.columns.len()],
            ..Self::default()
        };
        let (mut constants, mut witness) = (Vec::new(), Vec::new());
        // len: 2^32 ids suffice
        for (id, column) in (0u32..).map(ColumnId).zip(model.columns.iter()) {
            if column.structure().is_some() {
                continue;
            }
            let shorter = match column.kind {
                ColumnKind::Constant => &mut constants,
                _ => &mut witness,
            };
            if shown.contains(&id) {
                let used = row_log2.min(shown_row_log2(&column.shape).into());
                rows.push_whole(id, column, tile_of(column), used)?;
                continue;
            }
            for ranges in tiles(column, model.row_log2) {
                if tile_log2(&ranges) < row_log2 {
                    shorter.push((id, ranges));
                } else {
                    rows.push_whole(id, column, ranges, row_log2)?;
                }
            }
        }
        rows.share(constants, true, row_log2)?;
        rows.share(witness, false, row_log2)?;
        bounds::rows(rows.constants)?;
        bounds::rows(rows.witness)?;
        Ok(rows)
    }

    /// The span of a column that is one tile with rows of its own.
    pub fn own_span(&self, column: ColumnId) -> Option<&Span> {
        let [tile] = self.of_column.get(column.0 as usize)?.as_slice() else {
            return None;
        };
        self.spans.get(self.tiles.get(*tile)?.span)
    }

    /// The spans of witness rows in their order, each with its place among the shown columns if it is one of theirs.
    pub(crate) fn witness_spans(
        &self,
        shown: &[ColumnId],
    ) -> impl Iterator<Item = (&Span, Option<usize>)> {
        self.spans
            .iter()
            .filter(|span| !span.is_constant)
            .map(|span| {
                let column = match self.tiles.get(span.tiles.clone()) {
                    Some([tile]) => Some(tile.column),
                    _ => None,
                };
                (span, shown.iter().position(|id| Some(*id) == column))
            })
    }

    /// A tile that has rows of its own, of which it uses `2^used_log2` entries each.
    fn push_whole(
        &mut self,
        column: ColumnId,
        of: &Column,
        ranges: Vec<AxisRange>,
        used_log2: u32,
    ) -> Result<(), VerifyError> {
        let rows_log2 = tile_log2(&ranges).saturating_sub(used_log2);
        let len = 1usize.checked_shl(rows_log2).ok_or(TOO_LONG)?;
        self.push_span(of.kind == ColumnKind::Constant, len, used_log2)?;
        self.push_tile(column, ranges, 0)
    }

    fn push_span(
        &mut self,
        is_constant: bool,
        len: usize,
        used_log2: u32,
    ) -> Result<(), VerifyError> {
        let next = if is_constant {
            &mut self.constants
        } else {
            &mut self.witness
        };
        let first = *next;
        *next = first.checked_add(len).ok_or(TOO_LONG)?;
        self.spans.push(Span {
            is_constant,
            first,
            len,
            used_log2,
            tiles: self.tiles.len()..self.tiles.len(),
        });
        Ok(())
    }

    /// A tile in the last span.
    fn push_tile(
        &mut self,
        column: ColumnId,
        ranges: Vec<AxisRange>,
        at: usize,
    ) -> Result<(), VerifyError> {
        const MISSING: VerifyError = VerifyError::Key("no such column");
        let index = self.tiles.len();
        let of_column = self.of_column.get_mut(column.0 as usize);
        of_column.ok_or(MISSING)?.push(index);
        self.tiles.push(Tile {
            column,
            ranges,
            span: self.spans.len().saturating_sub(1),
            at,
        });
        if let Some(span) = self.spans.last_mut() {
            span.tiles.end = self.tiles.len();
        }
        Ok(())
    }

    /// Tiles shorter than a row, longest first: each begins at a multiple of its length.
    fn share(
        &mut self,
        mut shorter: Vec<(ColumnId, Vec<AxisRange>)>,
        is_constant: bool,
        row_log2: u32,
    ) -> Result<(), VerifyError> {
        shorter.sort_by_key(|(_, ranges)| std::cmp::Reverse(tile_log2(ranges)));
        let row = 1usize.checked_shl(row_log2).ok_or(TOO_LONG)?;
        let mut at = row;
        for (column, ranges) in shorter {
            let len = 1usize.checked_shl(tile_log2(&ranges)).ok_or(TOO_LONG)?;
            if at >= row {
                self.push_span(is_constant, 1, row_log2)?;
                at = 0;
            }
            self.push_tile(column, ranges, at)?;
            at = at.saturating_add(len);
        }
        Ok(())
    }
}

/// A column that is not cut.
fn tile_of(column: &Column) -> Vec<AxisRange> {
    let axes = column.shape.iter();
    axes.map(|&len| (0, crate::statement::model::axis_log2(len)))
        .collect()
}
// verify-path: end
