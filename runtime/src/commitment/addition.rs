//! Many independent affine additions with one inversion: one at a time.
//!
//! An affine addition is `s = (y2 - y1) / (x2 - x1)`, `x3 = s^2 - x1 - x2`, `y3 = s (x1 - x3) - y1`: six multiplications with a shared
//! inversion (Montgomery's trick), against eleven for a mixed Jacobian one. The exceptional cases (identity, equal and opposite
//! points) are exact: verifiers meet them on purpose.
//!
//! This is the reference for `addition_avx512`. It works on words of any Montgomery radix that the multiplication of [`Fq`] has.

use ark_bn254::Fq;
use ark_ff::{AdditiveGroup, BigInt, Field};

use super::batch_affine::{BATCH, Entry};
use super::point::Point;
use crate::field::inverse;

/// An addition under way: what is to be inverted (zero if nothing), and the product of those before.
#[derive(Clone, Copy, Default)]
struct Pending {
    denominator: Fq,
    prefix: Fq,
}

#[derive(Clone, Copy)]
struct Operand {
    x: Fq,
    y: Fq,
}

impl Operand {
    #[inline]
    fn read(entry: Entry, table: &[Point]) -> Self {
        let point = entry.point(table);
        let (x, y) = (
            Fq::new_unchecked(BigInt(point.x)),
            Fq::new_unchecked(BigInt(point.y)),
        );
        Self {
            x,
            y: if entry.is_negative() { -y } else { y },
        }
    }

    #[inline]
    fn is_identity(&self) -> bool {
        self.x == Fq::ZERO && self.y == Fq::ZERO
    }

    #[inline]
    fn point(&self) -> Point {
        Point {
            x: self.x.0.0,
            y: self.y.0.0,
        }
    }
}

/// `sums[i] = left + right` for the i-th pair of points of `table`.
pub(super) fn add_pairs(table: &[Point], pairs: &[[Entry; 2]], sums: &mut [Point]) {
    let mut pending = vec![Pending::default(); BATCH.min(pairs.len())];
    for (pairs, sums) in pairs.chunks(BATCH).zip(sums.chunks_mut(BATCH)) {
        add_batch(table, pairs, sums, &mut pending);
    }
}

fn add_batch(table: &[Point], pairs: &[[Entry; 2]], sums: &mut [Point], pending: &mut [Pending]) {
    let mut running = Fq::ONE;
    for ([left, right], pending) in pairs.iter().zip(pending.iter_mut()) {
        let denominator = denominator(&Operand::read(*left, table), &Operand::read(*right, table));
        *pending = Pending {
            denominator,
            prefix: running,
        };
        if denominator != Fq::ZERO {
            running *= denominator;
        }
    }
    let mut inverse = inverse(&running).unwrap_or(Fq::ONE);
    let results = pairs.iter().zip(pending).zip(sums);
    for (([left, right], pending), sum) in results.rev() {
        let inverted = inverse * pending.prefix;
        if pending.denominator != Fq::ZERO {
            inverse *= pending.denominator;
        }
        let (left, right) = (Operand::read(*left, table), Operand::read(*right, table));
        *sum = finish(&left, &right, inverted);
    }
}

/// What the slope of `left + right` is divided by; zero if the sum needs no slope.
#[inline]
fn denominator(left: &Operand, right: &Operand) -> Fq {
    if left.is_identity() || right.is_identity() {
        return Fq::ZERO;
    }
    let difference = right.x - left.x;
    if difference != Fq::ZERO {
        difference
    } else if left.y == right.y {
        left.y.double()
    } else {
        Fq::ZERO
    }
}

#[inline]
fn finish(left: &Operand, right: &Operand, inverted: Fq) -> Point {
    if left.is_identity() {
        return right.point();
    }
    if right.is_identity() {
        return left.point();
    }
    let slope = if left.x != right.x {
        (right.y - left.y) * inverted
    } else if left.y == right.y {
        let square = left.x.square();
        (square.double() + square) * inverted
    } else {
        return Point::IDENTITY;
    };
    let x = slope.square() - left.x - right.x;
    let y = slope * (left.x - x) - left.y;
    Operand { x, y }.point()
}
