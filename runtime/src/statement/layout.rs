//! Where a tensor's elements lie: in its padded cube, and, of long constants, in tiles.
//!
//! A constant whose axes are far from powers of two is *cut*: each axis into powers of two, and so the tensor into tiles that are products of
//! these. It is kept with its true lengths, and zero in what its last tiles have beyond them.

use std::borrow::Cow;
use std::ops::Range;

use super::model::{Column, ColumnKind, axis_log2, cube_log2};

/// Most tiles of a column.
const MAX_TILES: usize = 16;
/// log2 of the rows that a column fills at the least, if it is cut.
const LEAST_ROWS_LOG2: u32 = 2;

/// Indices along an axis: the first, and log2 of how many.
pub type AxisRange = (u32, u32);

// verify-path: begin
/// The powers of two that an axis is cut into, falling; the last is rounded up, where that adds no more than a quarter of the axis.
fn cut_axis(len: u32) -> Vec<AxisRange> {
    let mut ranges = Vec::new();
    let (mut first, mut rest) = (0u32, len);
    loop {
        let up = axis_log2(rest);
        let added = 1u64
            .checked_shl(up)
            .unwrap_or(0)
            .saturating_sub(rest.into());
        if added <= u64::from(len / 4) || rest < 2 {
            ranges.push((first, up));
            return ranges;
        }
        let down = up.saturating_sub(1);
        let power = 1u32.checked_shl(down).unwrap_or(0);
        ranges.push((first, down));
        first = first.saturating_add(power);
        rest = rest.saturating_sub(power);
    }
}

/// A column's tiles where rows have `2^row_log2` entries, each with its range along every axis: a single one if the column is not cut.
pub(crate) fn tiles(column: &Column, row_log2: u8) -> Vec<Vec<AxisRange>> {
    let whole = || {
        vec![
            column
                .shape
                .iter()
                .map(|&len| (0, axis_log2(len)))
                .collect(),
        ]
    };
    let least_log2 = LEAST_ROWS_LOG2.saturating_add(row_log2.into());
    if column.kind != ColumnKind::Constant || column.len_log2() < least_log2 {
        return whole();
    }
    let mut tiles: Vec<Vec<AxisRange>> = vec![Vec::new()];
    for &len in column.shape.iter() {
        let ranges = cut_axis(len);
        if tiles.len().saturating_mul(ranges.len()) > MAX_TILES {
            return whole();
        }
        let with = |tile: &Vec<AxisRange>| {
            let tile = tile.clone();
            let longer = move |range| tile.iter().copied().chain([range]).collect();
            ranges.clone().into_iter().map(longer).collect::<Vec<_>>()
        };
        tiles = tiles.iter().flat_map(with).collect();
    }
    let entries = |tile: &Vec<AxisRange>| 1u64.checked_shl(tile_log2(tile)).unwrap_or(u64::MAX);
    let cut = tiles.iter().map(entries).fold(0, u64::saturating_add);
    let padded = 1u64.checked_shl(column.len_log2()).unwrap_or(u64::MAX);
    if cut <= padded.saturating_sub(padded / 4) {
        tiles
    } else {
        whole()
    }
}

/// log2 of a tile's entries.
pub(crate) fn tile_log2(tile: &[AxisRange]) -> u32 {
    tile.iter().map(|&(_, log2)| log2).sum()
}
// verify-path: end

/// The lengths of the axes with which a column is kept: padded, or, if it is cut, true.
pub(crate) fn kept_lens(column: &Column, row_log2: u8) -> Vec<usize> {
    let is_cut = tiles(column, row_log2).len() > 1;
    let kept = |&len: &u32| {
        if is_cut {
            len as usize
        } else {
            1 << axis_log2(len)
        }
    };
    column.shape.iter().map(kept).collect()
}

/// How far the neighbors along each axis lie apart in a tensor of these lengths.
pub(crate) fn strides(lens: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; lens.len()];
    for axis in (1..lens.len()).rev() {
        strides[axis - 1] = strides[axis] * lens[axis];
    }
    strides
}

/// A tensor as it is kept, with the lengths of its axes.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'a> {
    pub values: &'a [i32],
    pub lens: &'a [usize],
}

impl<'a> Kept<'a> {
    /// Visits what some entries of a tile hold, in stretches: each with its place among them. The rest are beyond the tensor's ends, and zero.
    pub fn each_stretch(
        self,
        tile: &[AxisRange],
        entries: Range<usize>,
        mut visit: impl FnMut(usize, &'a [i32]),
    ) {
        let (Some((&(first, log2), outer)), Some((&len, outer_lens))) =
            (tile.split_last(), self.lens.split_last())
        else {
            return visit(0, &self.values[entries]);
        };
        let inside = len.saturating_sub(first as usize).min(1 << log2);
        let strides = strides(self.lens);
        // Of the tile's line `line`, if it is inside.
        let start = |mut line: usize| {
            let mut start = first as usize;
            let axes = outer.iter().zip(outer_lens).zip(&strides);
            for ((&(first, log2), &len), stride) in axes.rev() {
                let index = first as usize + (line & ((1 << log2) - 1));
                line >>= log2;
                start = (index < len).then_some(start + index * stride)?;
            }
            Some(start)
        };
        let mut at = entries.start;
        while at < entries.end {
            let (line, from) = (at >> log2, at & ((1 << log2) - 1));
            let next = entries.end.min((line + 1) << log2);
            let until = inside.min(from + next - at);
            if let Some(start) = start(line).filter(|_| from < until) {
                visit(
                    at - entries.start,
                    &self.values[start + from..start + until],
                );
            }
            at = next;
        }
    }

    /// Copies entries of a tile to where there are zeros.
    pub fn copy(self, tile: &[AxisRange], entries: Range<usize>, to: &mut [i32]) {
        self.each_stretch(tile, entries, |at, stretch| {
            to[at..][..stretch.len()].copy_from_slice(stretch);
        });
    }
}

/// Number of true elements.
pub(crate) fn true_len(shape: &[u32]) -> usize {
    shape.iter().map(|&len| len as usize).product()
}

/// How far each axis' neighbors lie apart in the padded cube.
pub(crate) fn padded_strides(shape: &[u32]) -> Vec<usize> {
    let lens: Vec<usize> = shape.iter().map(|&len| 1 << axis_log2(len)).collect();
    strides(&lens)
}

/// Offsets in the padded cube of the true elements, row-major.
pub(crate) fn true_offsets(shape: &[u32]) -> impl Iterator<Item = usize> + use<> {
    let axes: Vec<(usize, usize)> = (shape.iter().map(|&len| len as usize))
        .zip(padded_strides(shape))
        .collect();
    (0..true_len(shape)).map(move |mut index| {
        let mut offset = 0;
        for &(len, stride) in axes.iter().rev() {
            offset += (index % len) * stride;
            index /= len;
        }
        offset
    })
}

/// Pads each axis with zeros to a power of two. What is owned is not copied when there is nothing to pad.
pub(crate) fn pad<'a>(shape: &[u32], values: impl Into<Cow<'a, [i32]>>) -> Vec<i32> {
    let values = values.into();
    let len = 1 << cube_log2(shape);
    let Some((&row, outer)) = shape.split_last() else {
        return values.into_owned();
    };
    if values.len() == len {
        return values.into_owned();
    }
    let mut padded = vec![0; len];
    let row_stride_log2 = cube_log2(&[row]);
    for (from, to) in values.chunks_exact(row as usize).zip(true_offsets(outer)) {
        padded[to << row_stride_log2..][..row as usize].copy_from_slice(from);
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_cut_into_powers_of_two() {
        let cases: [(u32, &[AxisRange]); 9] = [
            (1, &[(0, 0)]),
            (3, &[(0, 1), (2, 0)]),
            (7, &[(0, 3)]),
            (64, &[(0, 6)]),
            (65, &[(0, 6), (64, 0)]),
            (527, &[(0, 9), (512, 4)]),
            (768, &[(0, 9), (512, 8)]),
            (1000, &[(0, 10)]),
            (50257, &[(0, 15), (32768, 14), (49152, 11)]),
        ];
        for (len, ranges) in cases {
            assert_eq!(cut_axis(len), ranges, "{len}");
        }
        for len in 1..2000 {
            let mut next = 0;
            for (first, log2) in cut_axis(len) {
                assert!(first == next && first % (1 << log2) == 0, "{len}");
                next = first + (1 << log2);
            }
            assert!((len..=len + len / 4).contains(&next), "{len}");
        }
    }

    #[test]
    fn stretches_are_the_elements_of_a_tile() {
        let lens = [3, 5, 6];
        let values: Vec<i32> = (1..=90).collect();
        let kept = Kept {
            values: &values,
            lens: &lens,
        };
        let tile = [(2, 1), (4, 1), (2, 2)];
        let element = |at: usize| {
            let index = [2 + at / 8, 4 + at / 4 % 2, 2 + at % 4];
            let inside = index.iter().zip(&lens).all(|(index, len)| index < len);
            let at = (index[0] * 5 + index[1]) * 6 + index[2];
            if inside { values[at] } else { 0 }
        };
        for from in 0..16 {
            for to in from..=16 {
                let mut out = vec![0; to - from];
                kept.copy(&tile, from..to, &mut out);
                assert!(out.into_iter().eq((from..to).map(element)), "{from}..{to}");
            }
        }
    }
}
