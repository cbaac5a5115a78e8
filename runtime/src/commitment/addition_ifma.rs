//! Many independent affine additions with one inversion: eight at a time.
//!
//! The same as `addition`, by [`Packed`] arithmetic. Exceptional lanes get a harmless denominator in the first pass, and their own slope
//! or result in the second.

use std::arch::x86_64::*;

use ark_bn254::{Fq, FqConfig};
use ark_ff::Field;

use super::batch_affine::{BATCH, Entry};
use super::point::Point;
use crate::field::ifma::{LANES, Packed, transpose_in, transpose_out};

type Lanes = Packed<FqConfig>;

/// Blocks whose running products do not wait for each other.
const CHAINS: usize = 4;

/// Eight additions under way: what is to be inverted, and the product of those before in the same chain.
#[derive(Clone, Copy)]
struct Pending {
    denominator: Lanes,
    prefix: Lanes,
}

/// `sums[i] = left + right` for the i-th pair of points of `table`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_pairs(table: &[Point], pairs: &[[Entry; 2]], sums: &mut [Point]) {
    let mut pending = Vec::with_capacity(BATCH / LANES);
    for (pairs, sums) in pairs.chunks(BATCH).zip(sums.chunks_mut(BATCH)) {
        add_batch(table, pairs, sums, &mut pending);
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_batch(
    table: &[Point],
    pairs: &[[Entry; 2]],
    sums: &mut [Point],
    pending: &mut Vec<[Pending; CHAINS]>,
) {
    let zero = Lanes::zero();
    let one = Lanes::broadcast(Fq::ONE);
    let mut running = [one; CHAINS];
    pending.clear();
    for pairs in pairs.chunks(CHAINS * LANES) {
        let mut group = [Pending {
            denominator: one,
            prefix: zero,
        }; CHAINS];
        let blocks = pairs.chunks(LANES).zip(&mut group).zip(&mut running);
        for ((pairs, pending), running) in blocks {
            pending.denominator = Pairs::read(table, pairs).denominator();
            pending.prefix = *running;
            *running = running.mul(&pending.denominator);
        }
        pending.push(group);
    }
    let mut inverses = invert(&running);
    let groups = pairs
        .chunks(CHAINS * LANES)
        .zip(sums.chunks_mut(CHAINS * LANES));
    for ((pairs, sums), pending) in groups.zip(pending.iter()).rev() {
        let blocks = pairs.chunks(LANES).zip(sums.chunks_mut(LANES));
        for (((pairs, sums), pending), inverse) in blocks.zip(pending).zip(&mut inverses) {
            let inverted = inverse.mul(&pending.prefix);
            *inverse = inverse.mul(&pending.denominator);
            Pairs::read(table, pairs).finish(&inverted, sums);
        }
    }
}

/// The inverses of nonzero elements, by one inversion in all.
#[target_feature(enable = "avx512f,avx512ifma")]
fn invert(chains: &[Lanes; CHAINS]) -> [Lanes; CHAINS] {
    let [a, b, c, d] = chains;
    let (ab, cd) = (a.mul(b), c.mul(d));
    let mut lanes = ab.mul(&cd).store();
    let mut running = Fq::ONE;
    let prefixes = lanes.map(|lane| {
        let prefix = running;
        running *= lane;
        prefix
    });
    let mut inverse = running.inverse().unwrap_or(Fq::ONE);
    for (lane, prefix) in lanes.iter_mut().zip(prefixes).rev() {
        let own = inverse * prefix;
        inverse *= *lane;
        *lane = own;
    }
    let all = Lanes::load(&lanes);
    let (inverse_ab, inverse_cd) = (all.mul(&cd), all.mul(&ab));
    [
        inverse_ab.mul(b),
        inverse_ab.mul(a),
        inverse_cd.mul(d),
        inverse_cd.mul(c),
    ]
}

/// Eight pairs of points; missing ones are identities.
struct Pairs<'a> {
    left: [&'a Point; LANES],
    right: [&'a Point; LANES],
    left_negative: __mmask8,
    right_negative: __mmask8,
    left_x: Lanes,
    right_x: Lanes,
}

/// Lanes that are no ordinary addition.
struct Exceptions {
    left_identity: __mmask8,
    right_identity: __mmask8,
    doubling: __mmask8,
    opposite: __mmask8,
}

impl<'a> Pairs<'a> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn read(table: &'a [Point], pairs: &[[Entry; 2]]) -> Self {
        let mut left = [&Point::IDENTITY; LANES];
        let mut right = [&Point::IDENTITY; LANES];
        let (mut left_negative, mut right_negative) = (0, 0);
        for (lane, [l, r]) in pairs.iter().enumerate().take(LANES) {
            left_negative |= u8::from(l.is_negative()) << lane;
            right_negative |= u8::from(r.is_negative()) << lane;
        }
        let slots = left.iter_mut().zip(&mut right);
        for ((left, right), [l, r]) in slots.zip(pairs) {
            *left = l.point(table);
            *right = r.point(table);
        }
        Self {
            left,
            right,
            left_negative,
            right_negative,
            left_x: Lanes::from_words(transpose_in(left.map(|point| &point.x))),
            right_x: Lanes::from_words(transpose_in(right.map(|point| &point.x))),
        }
    }

    /// Canonical.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn left_y(&self) -> Lanes {
        signed(self.left.map(|point| &point.y), self.left_negative)
    }

    /// Canonical.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn right_y(&self) -> Lanes {
        signed(self.right.map(|point| &point.y), self.right_negative)
    }

    /// Lanes in which an exception is possible: the same x twice, or zero once.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn suspects(&self) -> __mmask8 {
        let zero = Lanes::zero();
        self.left_x.equal_lanes(&self.right_x)
            | self.left_x.equal_lanes(&zero)
            | self.right_x.equal_lanes(&zero)
    }

    #[cold]
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn exceptions(&self) -> Exceptions {
        let zero = Lanes::zero();
        let (left_y, right_y) = (self.left_y(), self.right_y());
        let left_identity = self.left_x.equal_lanes(&zero) & left_y.equal_lanes(&zero);
        let right_identity = self.right_x.equal_lanes(&zero) & right_y.equal_lanes(&zero);
        let same_x = self.left_x.equal_lanes(&self.right_x) & !left_identity & !right_identity;
        let same_y = left_y.equal_lanes(&right_y);
        Exceptions {
            left_identity,
            right_identity,
            doubling: same_x & same_y,
            opposite: same_x & !same_y,
        }
    }

    /// What the slopes are divided by; one where there is none.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn denominator(&self) -> Lanes {
        let difference = self.right_x.sub(&self.left_x);
        if self.suspects() == 0 {
            return difference;
        }
        let Exceptions {
            left_identity,
            right_identity,
            doubling,
            opposite,
        } = self.exceptions();
        let slopeless = left_identity | right_identity | opposite;
        let denominator = self.left_y().double().select(doubling, &difference);
        Lanes::broadcast(Fq::ONE).select(slopeless, &denominator)
    }

    /// The sums, given the inverses of the denominators.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn finish(&self, inverted: &Lanes, sums: &mut [Point]) {
        let (left_y, right_y) = (self.left_y(), self.right_y());
        let suspects = self.suspects();
        let mut numerator = right_y.sub(&left_y);
        if suspects != 0 {
            let square = self.left_x.square();
            let tangent = square.double().add(&square);
            numerator = tangent.select(self.exceptions().doubling, &numerator);
        }
        let slope = numerator.mul(inverted);
        let x = slope.square().sub(&self.left_x.add(&self.right_x));
        let y = slope.mul(&self.left_x.sub(&x)).sub(&left_y);
        let (mut x, mut y) = (x.canonical(), y.canonical());
        if suspects != 0 {
            let Exceptions {
                left_identity,
                right_identity,
                opposite,
                ..
            } = self.exceptions();
            let zero = Lanes::zero();
            x = zero.select(
                opposite,
                &self
                    .left_x
                    .select(right_identity, &self.right_x.select(left_identity, &x)),
            );
            y = zero.select(
                opposite,
                &left_y.select(right_identity, &right_y.select(left_identity, &y)),
            );
        }
        let mut block = [Point::IDENTITY; LANES];
        transpose_out(x.to_words(), block.each_mut().map(|point| &mut point.x));
        transpose_out(y.to_words(), block.each_mut().map(|point| &mut point.y));
        sums.iter_mut().zip(block).for_each(|(to, from)| *to = from);
    }
}

/// The coordinates, negated in some lanes; canonical.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn signed(rows: [&[u64; 4]; LANES], negative: __mmask8) -> Lanes {
    let y = Lanes::from_words(transpose_in(rows));
    if negative == 0 {
        return y;
    }
    Lanes::zero().sub(&y).canonical().select(negative, &y)
}
