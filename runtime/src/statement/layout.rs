//! Where a tensor's true elements lie in its padded cube.

use std::borrow::Cow;

use super::model::cube_log2;

/// Number of true elements.
pub(crate) fn true_len(shape: &[u32]) -> usize {
    shape.iter().map(|&len| len as usize).product()
}

/// How far each axis' neighbors lie apart in the padded cube.
pub(crate) fn padded_strides(shape: &[u32]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] << cube_log2(&shape[axis..=axis]);
    }
    strides
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
