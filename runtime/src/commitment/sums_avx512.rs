//! A few sums of points without any inversion: eight at a time, in Jacobian coordinates.

use std::arch::x86_64::*;

use ark_bn254::{Fq, G1Projective};
use ark_ec::AdditiveGroup;
use ark_ff::Field;

use super::batch_affine::Entry;
use super::point::Point;
use crate::field::avx512::{LANES, PackedFq, transpose_in};

/// The sum of each lane's column of `rows`. A column must not come to a sum that equals the next entry or its negative: for the multiples of
/// different digits of one scalar none does.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn lane_sums(table: &[Point], rows: &[[Entry; LANES]]) -> [G1Projective; LANES] {
    let one = PackedFq::broadcast(Fq::ONE);
    let (mut x, mut y, mut z) = (one, one, PackedFq::zero());
    // Lanes that have no entry yet.
    let mut empty: __mmask8 = 0xff;
    for row in rows {
        let points = row.map(|entry| entry.point(table));
        let mut negative: __mmask8 = 0;
        for (lane, entry) in row.iter().enumerate() {
            negative |= u8::from(entry.is_negative()) << lane;
        }
        let right_x = PackedFq::from_words(transpose_in(points.map(|point| &point.x)));
        let right_y = PackedFq::from_words(transpose_in(points.map(|point| &point.y)));
        // No other point has y = 0.
        let identity = right_y.zero_lanes();
        let right_y = right_y
            .negated_canonical()
            .select(negative & !identity, &right_y);

        // Mixed addition: 8 products and 3 squares.
        let zz = z.square();
        let zzz = z.mul(&zz);
        let run = right_x.mul(&zz).sub(&x);
        let rise = right_y.mul(&zzz).sub(&y);
        let square = run.square();
        let cube = run.mul(&square);
        let start = x.mul(&square);
        let sum_x = rise.square().sub(&cube).sub(&start.double());
        let sum_y = rise.mul(&start.sub(&sum_x)).sub(&y.mul(&cube));
        let sum_z = z.mul(&run);

        x = x.select(identity, &right_x.select(empty, &sum_x));
        y = y.select(identity, &right_y.select(empty, &sum_y));
        z = z.select(identity, &one.select(empty, &sum_z));
        empty &= identity;
    }
    let (x, y, z) = (x.store(), y.store(), z.store());
    let mut sums = [G1Projective::ZERO; LANES];
    for (lane, sum) in sums.iter_mut().enumerate() {
        *sum = G1Projective::new_unchecked(x[lane], y[lane], z[lane]);
    }
    sums
}
