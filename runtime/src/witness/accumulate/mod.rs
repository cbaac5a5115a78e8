//! Exact values of an accumulator over its padded cube, in `i64`.
//!
//! Every operand of a term is bound to the term's loops: its flat address is affine in the loops' indices. A view that can leave
//! its column's true shape is first copied into a zero-padded window, so that no loop checks bounds of its own. A product of two
//! operands with loops of its own on either side (matrix product, convolution) goes through one panel kernel (`product`);
//! everything else through one loop nest (`nest`).
//!
//! Arithmetic is modulo `2^64`: exact, because the compiler proves that no accumulator leaves `i64`.

mod kernels;
mod nest;
mod product;

use std::borrow::Cow;

use crate::statement::layout::{padded_strides, true_len, true_offsets};
use crate::statement::model::{Accumulator, AxisMap, MAX_OPERANDS, Term, View};
use crate::witness::trace::Trace;

/// Multiply-adds below which a term is not worth a second thread.
const PARALLEL_WORK: usize = 50_000;

impl Accumulator {
    /// The exact integers over the padded cube, row-major.
    ///
    /// # Panics
    /// If a column is not filled yet, or the accumulator does not pass [`crate::statement::model::Model::validate`].
    pub fn evaluate(&self, trace: &Trace) -> Vec<i64> {
        let mut out = vec![0i64; 1 << self.len_log2()];
        for &(factor, column) in self.columns.iter() {
            let values = trace.column(column);
            let add = |(out, &value): (&mut i64, &i32)| {
                *out = out.wrapping_add(factor.wrapping_mul(value.into()));
            };
            if values.len() == out.len() {
                out.iter_mut().zip(values).for_each(add);
            } else {
                assert_eq!(values.len(), true_len(&self.shape), "column {}", column.0);
                let offsets = true_offsets(&self.shape);
                offsets
                    .zip(values)
                    .for_each(|(at, value)| add((&mut out[at], value)));
            }
        }
        for term in self.terms.iter() {
            add_term(&self.shape, term, trace, &mut out);
        }
        out
    }
}

fn add_term(shape: &[u32], term: &Term, trace: &Trace, out: &mut [i64]) {
    let lens: Vec<usize> = (shape.iter().chain(term.summed.iter()))
        .map(|&len| len as usize)
        .collect();
    if lens.contains(&0) {
        return;
    }
    let operands: Vec<Operand> = (term.operands.iter())
        .map(|view| Operand::bind(view, &lens, trace))
        .collect();
    let (loops, repeats) = loops(shape, &lens, &operands);
    let coefficient = term.coefficient.wrapping_mul(repeats);
    if let [a, b] = operands.as_slice()
        && product::add(&loops, coefficient, a, b, out)
    {
        return;
    }
    nest::add(&loops, coefficient, &operands, out);
}

/// One loop of a term: its length and how far everything moves in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Loop {
    len: usize,
    /// Zero for a summed axis.
    output: usize,
    operands: [isize; MAX_OPERANDS],
}

impl Loop {
    /// Whether `self` around `inner` is one longer loop.
    fn continues(&self, inner: &Loop) -> bool {
        let len = inner.len;
        let mut strides = self.operands.iter().zip(&inner.operands);
        self.output == inner.output * len
            && strides.all(|(&outer, &inner)| outer == inner * len as isize)
    }
}

/// The loops of a term, outermost first, merged where they can be; and the product of the lengths of summed loops that move nothing.
fn loops(shape: &[u32], lens: &[usize], operands: &[Operand]) -> (Vec<Loop>, i64) {
    let outputs = padded_strides(shape);
    let mut repeats = 1i64;
    let mut merged: Vec<Loop> = Vec::new();
    for (axis, &len) in lens.iter().enumerate() {
        let mut next = Loop {
            len,
            output: outputs.get(axis).copied().unwrap_or(0),
            operands: [0; MAX_OPERANDS],
        };
        for (stride, operand) in next.operands.iter_mut().zip(operands) {
            *stride = operand.strides[axis];
        }
        let moves_nothing = next.output == 0 && next.operands == [0; MAX_OPERANDS];
        if moves_nothing {
            repeats = repeats.wrapping_mul(len as i64);
        } else if len > 1 {
            match merged.last_mut() {
                Some(last) if last.continues(&next) => {
                    next.len *= last.len;
                    *last = next;
                }
                _ => merged.push(next),
            }
        }
    }
    (merged, repeats)
}

/// A view bound to a term's loops: element `origin + sum strides[axis] * index[axis]` of `values`, always in bounds.
struct Operand<'a> {
    values: Cow<'a, [i32]>,
    origin: isize,
    strides: Vec<isize>,
}

impl<'a> Operand<'a> {
    fn bind(view: &View, lens: &[usize], trace: &'a Trace) -> Self {
        let column = trace.column(view.column);
        let shape = trace.shape(view.column);
        assert_eq!(shape.len(), view.index.len(), "one map for each axis");
        let reaches: Vec<Reach> = (view.index.iter())
            .map(|map| Reach::new(map, lens))
            .collect();
        let inside = |(reach, &len): (&Reach, &u32)| reach.low >= 0 && reach.high < len as isize;
        let column_strides = trace.strides(view.column);
        if reaches.iter().zip(shape).all(inside) {
            return Self::strided(Cow::Borrowed(column), &reaches, &column_strides, lens.len());
        }
        let windows: Vec<Window> = (reaches.into_iter().zip(shape))
            .map(|(reach, &len)| reach.window(len as usize, lens))
            .collect();
        let copy = copy_windows(column, &windows, &column_strides);
        let mut strides = vec![1; windows.len()];
        for axis in (1..windows.len()).rev() {
            strides[axis - 1] = strides[axis] * windows[axis].sources.len();
        }
        let reaches: Vec<Reach> = windows.into_iter().map(|window| window.reach).collect();
        Self::strided(Cow::Owned(copy), &reaches, &strides, lens.len())
    }

    fn strided(values: Cow<'a, [i32]>, axes: &[Reach], strides: &[usize], loops: usize) -> Self {
        let mut operand = Self {
            values,
            origin: 0,
            strides: vec![0; loops],
        };
        for (axis, &stride) in axes.iter().zip(strides) {
            let stride = stride as isize;
            operand.origin += axis.origin * stride;
            for (to, &from) in operand.strides.iter_mut().zip(&axis.strides) {
                *to += from * stride;
            }
        }
        operand
    }
}

/// An index map over a term's loops, and its extremes.
struct Reach {
    origin: isize,
    /// One for each loop.
    strides: Vec<isize>,
    low: isize,
    high: isize,
}

impl Reach {
    fn new(map: &AxisMap, lens: &[usize]) -> Self {
        let origin = map.offset as isize;
        let mut strides = vec![0; lens.len()];
        for &(axis, stride) in map.strides.iter() {
            strides[axis as usize] += stride as isize;
        }
        let (mut low, mut high) = (origin, origin);
        for (&stride, &len) in strides.iter().zip(lens) {
            let step = stride * (len as isize - 1);
            low += step.min(0);
            high += step.max(0);
        }
        Self {
            origin,
            strides,
            low,
            high,
        }
    }

    /// The indices that are reached: all between the extremes, or, if they are far fewer, just those, in the loops' order.
    fn window(self, true_len: usize, lens: &[usize]) -> Window {
        let source = |index: isize| {
            usize::try_from(index)
                .ok()
                .filter(|&index| index < true_len)
        };
        let moving: Vec<usize> = (0..lens.len())
            .filter(|&axis| self.strides[axis] != 0 && lens[axis] > 1)
            .collect();
        let volume =
            (moving.iter()).fold(1usize, |volume, &axis| volume.saturating_mul(lens[axis]));
        if ((self.high - self.low) as usize) < volume {
            return Window {
                sources: (self.low..=self.high).map(source).collect(),
                reach: Self {
                    origin: self.origin - self.low,
                    ..self
                },
            };
        }
        let mut sources = vec![self.origin];
        for &axis in &moving {
            let stride = self.strides[axis];
            sources = (sources.iter())
                .flat_map(|&at| (0..lens[axis] as isize).map(move |step| at + step * stride))
                .collect();
        }
        let mut strides = vec![0; lens.len()];
        let mut stride = 1;
        for &axis in moving.iter().rev() {
            strides[axis] = stride;
            stride *= lens[axis] as isize;
        }
        Window {
            sources: sources.into_iter().map(source).collect(),
            reach: Self {
                origin: 0,
                strides,
                ..self
            },
        }
    }
}

/// The part of a column axis that a map reaches, and the map into that part.
struct Window {
    /// For each index of the window, the index of the column axis; `None` outside the true axis.
    sources: Vec<Option<usize>>,
    reach: Reach,
}

/// The windows' product, row-major, read from `column` and zero outside.
fn copy_windows(column: &[i32], windows: &[Window], strides: &[usize]) -> Vec<i32> {
    let len = windows.iter().map(|window| window.sources.len()).product();
    let mut copy = vec![0; len];
    let Some((last, outer)) = windows.split_last() else {
        return copy;
    };
    let rows = copy.chunks_exact_mut(last.sources.len());
    for (mut row, to) in rows.enumerate() {
        let mut from = Some(0);
        for (window, &stride) in outer.iter().zip(strides).rev() {
            let index = row % window.sources.len();
            row /= window.sources.len();
            from = (from.zip(window.sources[index])).map(|(from, at)| from + at * stride);
        }
        let Some(from) = from else { continue };
        for (to, at) in to.iter_mut().zip(&last.sources) {
            if let Some(at) = at {
                *to = column[from + at];
            }
        }
    }
    copy
}

#[cfg(test)]
mod tests;
