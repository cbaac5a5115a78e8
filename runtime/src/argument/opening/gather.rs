//! The rows of a span, out of the columns that lie in it.

use std::borrow::Cow;

use ark_ff::Zero;
use rayon::prelude::*;

use super::add;
use crate::argument::schedule::{Rows, Span, Tile};
use crate::field::{Fr, combine_rows_small, combine_slices_small};
use crate::statement::layout::Kept;
use crate::witness::trace::Trace;

/// Multiply-adds that a thread takes at the least.
const PARALLEL_LEN: usize = 1 << 16;
/// Shorter lines are copied into rows before they are combined.
const SHORT_LINE: usize = 32;

/// The column that has all of the span, which is as it is kept.
pub(crate) fn whole<'t>(rows: &Rows, span: &Span, trace: &'t Trace) -> Option<&'t [i32]> {
    let [tile] = &rows.tiles[span.tiles.clone()] else {
        return None;
    };
    let is_cut = rows.of_column[tile.column.0 as usize].len() > 1;
    (!is_cut).then(|| trace.column(tile.column))
}

/// The rows of a span, of `row` entries each.
fn copied(rows: &Rows, span: &Span, row: usize, trace: &Trace) -> Vec<i32> {
    let mut out = vec![0; span.len * row];
    for tile in &rows.tiles[span.tiles.clone()] {
        let entries = 0..1 << tile.len_log2();
        let kept = trace.kept(tile.column);
        kept.copy(&tile.ranges, entries, &mut out[tile.at..]);
    }
    out
}

/// `sum_row weight * row` over the rows of a span, of `row` entries each.
pub(crate) fn combine(
    rows: &Rows,
    span: &Span,
    weights: &[Fr],
    row: usize,
    trace: &Trace,
) -> Vec<Fr> {
    if let Some(values) = whole(rows, span, trace) {
        return combine_rows_small(values, values.len().min(1 << span.used_log2), weights);
    }
    let tile = &rows.tiles[span.tiles.start];
    if span.is_shared() || 1 << tile.len_log2() < row {
        return combine_rows_small(&copied(rows, span, row, trace), row, weights);
    }
    let line = 1 << tile.ranges.last().map_or(0, |&(_, log2)| log2);
    let kept = trace.kept(tile.column);
    if line < SHORT_LINE {
        by_rows(kept, tile, weights, row)
    } else {
        by_lines(kept, tile, weights, row, row.min(line))
    }
}

/// Of a tile whose lines are short: some rows at a time are copied together.
fn by_rows(kept: Kept, tile: &Tile, weights: &[Fr], row: usize) -> Vec<Fr> {
    let rows_at_once = (PARALLEL_LEN / row).max(1);
    let some = weights.par_chunks(rows_at_once).enumerate();
    let sums = some.map(|(number, weights)| {
        let first = number * rows_at_once;
        let mut values = vec![0; weights.len() * row];
        let entries = first * row..(first + weights.len()) * row;
        kept.copy(&tile.ranges, entries, &mut values);
        combine_rows_small(&values, row, weights)
    });
    sums.reduce_with(add).unwrap_or_default()
}

/// Of a tile that has `line` entries of a row, or all of them, side by side: where it is kept.
fn by_lines(kept: Kept, tile: &Tile, weights: &[Fr], row: usize, line: usize) -> Vec<Fr> {
    // The lines at each place in a row.
    let mut places: Vec<Vec<(&[i32], &Fr)>> = vec![Vec::new(); row / line];
    for (number, weight) in weights.iter().enumerate().filter(|(_, w)| !w.is_zero()) {
        let entries = number * row..(number + 1) * row;
        kept.each_stretch(&tile.ranges, entries, |at, stretch| {
            places[at / line].push((stretch, weight));
        });
    }
    let combined = places
        .par_iter()
        .with_min_len(PARALLEL_LEN.div_ceil(line * weights.len()));
    combined
        .flat_map_iter(|stretches| combine_slices_small(stretches, line))
        .collect()
}

/// All rows of a span.
pub(crate) fn all<'t>(rows: &Rows, span: &Span, row: usize, trace: &'t Trace) -> Cow<'t, [i32]> {
    match whole(rows, span, trace) {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(copied(rows, span, row, trace)),
    }
}
