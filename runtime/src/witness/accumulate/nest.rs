//! Any term, as a loop nest around one inner loop.

use rayon::prelude::*;

use super::{Loop, MAX_OPERANDS, Operand, PARALLEL_WORK, kernels};

/// `out[o] += coefficient * sum_s prod operands`, for all indices of `loops`.
pub(super) fn add(loops: &[Loop], coefficient: i64, operands: &[Operand], out: &mut [i64]) {
    let mut outer = loops.to_vec();
    let best = (0..outer.len()).max_by_key(|&at| inner_quality(&outer[at]));
    let inner = best.map(|at| outer.remove(at)).unwrap_or(Loop {
        len: 1,
        output: 0,
        operands: [0; MAX_OPERANDS],
    });
    let mut origins = [0; MAX_OPERANDS];
    for (origin, operand) in origins.iter_mut().zip(operands) {
        *origin = operand.origin;
    }
    let nest = Nest {
        inner,
        coefficient,
        operands,
    };

    let work: usize = loops.iter().map(|l| l.len).product();
    let widest = outer.iter().position(|l| l.output != 0);
    match widest {
        // Nothing within this loop moves the output as far as one of its steps.
        Some(at) if work > PARALLEL_WORK && outer[at].output > inner.output * inner.len => {
            let slabs = outer.remove(at);
            let granularity = (PARALLEL_WORK / 4).div_ceil(work / slabs.len);
            out.par_chunks_mut(slabs.output)
                .take(slabs.len)
                .enumerate()
                .with_min_len(granularity)
                .for_each(|(index, out)| {
                    nest.add(&outer, advance(origins, &slabs, index), 0, out);
                });
        }
        _ => nest.add(&outer, origins, 0, out),
    }
}

/// Loops with unit steps come first, then long ones.
fn inner_quality(inner: &Loop) -> (usize, usize) {
    let is_unit = inner.output <= 1
        && inner
            .operands
            .iter()
            .all(|&stride| stride == 0 || stride == 1);
    (inner.len.min(32) * if is_unit { 8 } else { 1 }, inner.len)
}

fn advance(mut at: [isize; MAX_OPERANDS], by: &Loop, steps: usize) -> [isize; MAX_OPERANDS] {
    for (at, &stride) in at.iter_mut().zip(&by.operands) {
        *at += stride * steps as isize;
    }
    at
}

struct Nest<'a> {
    inner: Loop,
    coefficient: i64,
    operands: &'a [Operand<'a>],
}

impl Nest<'_> {
    fn add(&self, outer: &[Loop], at: [isize; MAX_OPERANDS], to: usize, out: &mut [i64]) {
        let Some((first, rest)) = outer.split_first() else {
            return self.add_inner(at, to, out);
        };
        for index in 0..first.len {
            self.add(
                rest,
                advance(at, first, index),
                to + index * first.output,
                out,
            );
        }
    }

    /// The inner loop: operands that stand still in it are one factor.
    fn add_inner(&self, at: [isize; MAX_OPERANDS], to: usize, out: &mut [i64]) {
        let len = self.inner.len;
        let mut factor = self.coefficient;
        let mut streams = [Stream {
            values: &[],
            at: 0,
            stride: 0,
        }; MAX_OPERANDS];
        let mut moving = 0;
        for ((operand, &at), &stride) in self.operands.iter().zip(&at).zip(&self.inner.operands) {
            if stride == 0 {
                factor = factor.wrapping_mul(operand.values[at as usize].into());
            } else {
                streams[moving] = Stream {
                    values: &operand.values,
                    at,
                    stride,
                };
                moving += 1;
            }
        }
        if factor == 0 {
            return;
        }
        let streams = &streams[..moving];
        if self.inner.output == 0 {
            let sum = sum_of_products(streams, len);
            out[to] = out[to].wrapping_add(factor.wrapping_mul(sum));
            return;
        }
        let contiguous = self.inner.output == 1;
        match *streams {
            [a] if contiguous && a.stride == 1 => {
                kernels::add_scaled(&mut out[to..][..len], factor, a.slice(len));
            }
            [a, b] if contiguous && a.stride == 1 && b.stride == 1 => {
                kernels::add_product(&mut out[to..][..len], factor, a.slice(len), b.slice(len));
            }
            _ => each_product(streams, len, &mut |index, product| {
                let out = &mut out[to + index * self.inner.output];
                *out = out.wrapping_add(factor.wrapping_mul(product));
            }),
        }
    }
}

/// What an operand reads in the inner loop.
#[derive(Clone, Copy)]
struct Stream<'a> {
    values: &'a [i32],
    at: isize,
    stride: isize,
}

impl<'a> Stream<'a> {
    fn slice(&self, len: usize) -> &'a [i32] {
        &self.values[self.at as usize..][..len]
    }
}

fn sum_of_products(streams: &[Stream<'_>], len: usize) -> i64 {
    match streams {
        [a] if a.stride == 1 => kernels::sum(a.slice(len)),
        [a, b] if a.stride == 1 && b.stride == 1 => kernels::dot(a.slice(len), b.slice(len)),
        _ => {
            let mut sum = 0i64;
            each_product(streams, len, &mut |_, product| {
                sum = sum.wrapping_add(product)
            });
            sum
        }
    }
}

/// Calls `visit(i, prod streams[i])`.
fn each_product(streams: &[Stream<'_>], len: usize, visit: &mut impl FnMut(usize, i64)) {
    match *streams {
        [a] => each(&[a], len, visit),
        [a, b] => each(&[a, b], len, visit),
        [a, b, c] => each(&[a, b, c], len, visit),
        [a, b, c, d] => each(&[a, b, c, d], len, visit),
        _ => each(&[], len, visit),
    }
}

#[inline(always)]
fn each<const N: usize>(streams: &[Stream<'_>; N], len: usize, visit: &mut impl FnMut(usize, i64)) {
    for index in 0..len {
        let product = streams.iter().fold(1i64, |product, stream| {
            let at = stream.at + index as isize * stream.stride;
            product.wrapping_mul(stream.values[at as usize].into())
        });
        visit(index, product);
    }
}
