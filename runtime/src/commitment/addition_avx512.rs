//! Many independent affine additions with one inversion: eight at a time.
//!
//! The same as `addition`, by [`PackedFq`] arithmetic. Exceptional lanes get a harmless denominator in the first pass, and their own slope
//! or result in the second.

use std::arch::x86_64::*;

use ark_bn254::Fq;
use ark_ff::Field;

use super::batch_affine::{BATCH, Entry};
use super::point::Point;
use crate::field::avx512::{LANES, PackedFq, transpose_in, transpose_out};
use crate::field::inverse;

/// Blocks of eight additions that are worked on together: their chains of operations do not wait for each other.
const CHAINS: usize = 2;

/// Eight additions under way: the operands, what is to be inverted, and the product of those before in the same chain.
#[derive(Clone, Copy)]
struct Addition {
    left: Coordinates,
    right: Coordinates,
    exceptions: Exceptions,
    denominator: PackedFq,
    prefix: PackedFq,
}

/// Canonical coordinates of eight points.
#[derive(Clone, Copy)]
struct Coordinates {
    x: PackedFq,
    y: PackedFq,
    identity: __mmask8,
}

/// Lanes that are not an ordinary addition.
#[derive(Clone, Copy, Default)]
struct Exceptions {
    any: __mmask8,
    doubling: __mmask8,
    opposite: __mmask8,
}

/// `sums[i] = left + right` for the i-th pair of points of `table`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_pairs(table: &[Point], pairs: &[[Entry; 2]], sums: &mut [Point]) {
    let groups = BATCH.min(pairs.len()).div_ceil(CHAINS * LANES);
    let mut additions = vec![[Addition::new(); CHAINS]; groups];
    for (pairs, sums) in pairs.chunks(BATCH).zip(sums.chunks_mut(BATCH)) {
        add_batch(table, pairs, sums, &mut additions);
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_batch(
    table: &[Point],
    pairs: &[[Entry; 2]],
    sums: &mut [Point],
    additions: &mut [[Addition; CHAINS]],
) {
    let mut running = [PackedFq::broadcast(Fq::ONE); CHAINS];
    for (pairs, group) in pairs.chunks(CHAINS * LANES).zip(additions.iter_mut()) {
        let (first, second) = pairs.split_at_checked(LANES).unwrap_or((pairs, &[]));
        for ((addition, pairs), running) in group.iter_mut().zip([first, second]).zip(&mut running)
        {
            addition.begin(table, pairs);
            addition.prefix = *running;
            *running = running.mul(&addition.denominator);
        }
    }
    let mut inverses = invert(&running);
    let groups = additions.iter().zip(sums.chunks_mut(CHAINS * LANES));
    for (group, sums) in groups.rev() {
        let [first, second] = group;
        let inverted = PackedFq::mul_two(&inverses, [&first.prefix, &second.prefix]);
        inverses = PackedFq::mul_two(&inverses, [&first.denominator, &second.denominator]);
        match sums.as_chunks_mut::<LANES>() {
            ([first, second], _) => finish(group, &inverted, [first, second]),
            _ => {
                let mut points = [[Point::IDENTITY; LANES]; CHAINS];
                finish(group, &inverted, points.each_mut());
                let points = points.as_flattened();
                sums.iter_mut()
                    .zip(points)
                    .for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// The inverses of nonzero elements, by one inversion in all.
#[target_feature(enable = "avx512f,avx512ifma")]
fn invert(chains: &[PackedFq; CHAINS]) -> [PackedFq; CHAINS] {
    let [a, b] = chains;
    let mut lanes = a.mul(b).store();
    let mut running = Fq::ONE;
    let prefixes = lanes.map(|lane| {
        let prefix = running;
        running *= lane;
        prefix
    });
    let mut inverse = inverse(&running).unwrap_or(Fq::ONE);
    for (lane, prefix) in lanes.iter_mut().zip(prefixes).rev() {
        let own = inverse * prefix;
        inverse *= *lane;
        *lane = own;
    }
    let both = PackedFq::load(&lanes);
    [both.mul(b), both.mul(a)]
}

impl Coordinates {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn read(points: [&Point; LANES], negative: __mmask8) -> Self {
        let x = PackedFq::from_words(transpose_in(points.map(|point| &point.x)));
        let y = PackedFq::from_words(transpose_in(points.map(|point| &point.y)));
        // No other point has y = 0.
        let identity = y.zero_lanes();
        let y = if negative == 0 {
            y
        } else {
            y.negated_canonical().select(negative & !identity, &y)
        };
        Self { x, y, identity }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn select(&self, mask: __mmask8, other: &Self) -> Self {
        Self {
            x: self.x.select(mask, &other.x),
            y: self.y.select(mask, &other.y),
            identity: 0,
        }
    }
}

impl Addition {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new() -> Self {
        let zero = PackedFq::zero();
        let identity = Coordinates {
            x: zero,
            y: zero,
            identity: 0xff,
        };
        Self {
            left: identity,
            right: identity,
            exceptions: Exceptions::default(),
            denominator: zero,
            prefix: zero,
        }
    }

    /// Reads at most eight pairs (missing ones are identities) and finds what to invert.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn begin(&mut self, table: &[Point], pairs: &[[Entry; 2]]) {
        let mut block = [[Entry::IDENTITY; 2]; LANES];
        let block = match pairs.first_chunk::<LANES>() {
            Some(whole) => whole,
            None => {
                block
                    .iter_mut()
                    .zip(pairs)
                    .for_each(|(to, from)| *to = *from);
                &block
            }
        };
        let (mut left_negative, mut right_negative) = (0, 0);
        for (lane, [left, right]) in block.iter().enumerate() {
            left_negative |= u8::from(left.is_negative()) << lane;
            right_negative |= u8::from(right.is_negative()) << lane;
        }
        let left = Coordinates::read(
            block.each_ref().map(|[left, _]| left.point(table)),
            left_negative,
        );
        let right = Coordinates::read(
            block.each_ref().map(|[_, right]| right.point(table)),
            right_negative,
        );
        self.denominator = right.x.sub(&left.x);
        self.exceptions = Exceptions::default();
        let same_x = left.x.equal_lanes(&right.x);
        let identity = left.identity | right.identity;
        self.left = left;
        self.right = right;
        if same_x | identity != 0 {
            self.except(same_x);
        }
    }

    /// Marks the exceptional lanes and mends their denominators: one where there is no slope.
    #[cold]
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn except(&mut self, same_x: __mmask8) {
        let identity = self.left.identity | self.right.identity;
        let same_y = self.left.y.equal_lanes(&self.right.y);
        let doubling = same_x & same_y & !identity;
        let opposite = same_x & !same_y & !identity;
        self.exceptions = Exceptions {
            any: doubling | opposite | identity,
            doubling,
            opposite,
        };
        let denominator = self.left.y.double().select(doubling, &self.denominator);
        self.denominator = PackedFq::broadcast(Fq::ONE).select(opposite | identity, &denominator);
    }

    /// The slope's numerator.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn numerator(&self) -> PackedFq {
        let difference = self.right.y.sub(&self.left.y);
        if self.exceptions.doubling == 0 {
            return difference;
        }
        let square = self.left.x.square();
        let tangent = square.double().add(&square);
        tangent.select(self.exceptions.doubling, &difference)
    }

    /// The sums without a slope, in their lanes.
    #[cold]
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mend(&self, sum: &mut Coordinates) {
        let nothing = Coordinates {
            x: PackedFq::zero(),
            y: PackedFq::zero(),
            identity: 0,
        };
        *sum = nothing.select(self.exceptions.opposite, sum);
        *sum = self.left.select(self.right.identity, sum);
        *sum = self.right.select(self.left.identity, sum);
    }
}

/// The sums, given the inverses of the denominators.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn finish(
    group: &[Addition; CHAINS],
    inverted: &[PackedFq; CHAINS],
    sums: [&mut [Point; LANES]; CHAINS],
) {
    let [first, second] = group;
    let slopes = PackedFq::mul_two(inverted, [&first.numerator(), &second.numerator()]);
    let squares = PackedFq::mul_two(&slopes, slopes.each_ref());
    let [first_square, second_square] = &squares;
    let x = [
        first_square.sub_two_canonical(&first.left.x, &first.right.x),
        second_square.sub_two_canonical(&second.left.x, &second.right.x),
    ];
    let [first_x, second_x] = &x;
    let runs = [first.left.x.sub(first_x), second.left.x.sub(second_x)];
    let rises = PackedFq::mul_two(&slopes, runs.each_ref());
    let results = group.iter().zip(&x).zip(&rises).zip(sums);
    for (((addition, x), rise), points) in results {
        let mut sum = Coordinates {
            x: x.canonical(),
            y: rise.sub(&addition.left.y).canonical(),
            identity: 0,
        };
        if addition.exceptions.any != 0 {
            addition.mend(&mut sum);
        }
        transpose_out(
            sum.x.to_words(),
            points.each_mut().map(|point| &mut point.x),
        );
        transpose_out(
            sum.y.to_words(),
            points.each_mut().map(|point| &mut point.y),
        );
    }
}
