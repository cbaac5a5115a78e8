//! Multi-scalar multiplication with full-width scalars, for the verifier.
//!
//! Pippenger's method: signed windows, buckets summed in affine coordinates, all windows of a thread in step.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::AdditiveGroup;
use ark_ff::PrimeField;
use rayon::prelude::*;

use super::batch_affine::{Entry, Weights, segment_sums, sort_by_bucket, weighted_sums};
use super::point::Point;

/// Bits of a scalar.
const SCALAR_BITS: u32 = Fr::MODULUS_BIT_SIZE;

/// Digits summed at a time.
const GROUP_DIGITS: usize = 8192;

/// `sum_i scalars[i] * points[i]`.
///
/// If the lengths differ, the longer list is cut to the length of the shorter; callers for whom that matters compare them first.
/// No input makes it panic.
pub fn msm(points: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    let scalars: Vec<[u64; 4]> = points
        .iter()
        .zip(scalars)
        .map(|(_, scalar)| scalar.into_bigint().0)
        .collect();
    let points: Vec<Point> = points
        .iter()
        .take(scalars.len())
        .map(Point::from_affine)
        .collect();
    let window_bits = window_bits(scalars.len());
    // One bit more than a scalar has, for the last carry.
    let windows: Vec<u32> = (0..SCALAR_BITS / window_bits + 1).collect();
    let share = windows.len().div_ceil(rayon::current_num_threads()).max(1);
    let sums: Vec<G1Projective> = windows
        .par_chunks(share)
        .flat_map_iter(|windows| window_sums(&points, &scalars, windows, window_bits))
        .collect();
    let mut total = G1Projective::ZERO;
    for sum in sums.iter().rev() {
        for _ in 0..window_bits {
            total.double_in_place();
        }
        total += sum;
    }
    total
}

/// Bits of a window for which `len` points need the fewest additions.
fn window_bits(len: usize) -> u32 {
    let additions = |bits: &u32| (SCALAR_BITS / bits + 1) as usize * (len + (1 << bits));
    (2..=13).min_by_key(additions).unwrap_or(8)
}

/// `sum_i digit(scalars[i], window) * points[i]` for each window.
fn window_sums(
    points: &[Point],
    scalars: &[[u64; 4]],
    windows: &[u32],
    window_bits: u32,
) -> Vec<G1Projective> {
    let buckets_log2 = window_bits - 1;
    let mut digits = Vec::with_capacity(scalars.len().max(GROUP_DIGITS));
    let mut buckets = Vec::with_capacity(windows.len() << buckets_log2);
    // Some windows at a time: enough digits to share inversions, few enough to stay in the cache.
    let together = (GROUP_DIGITS / scalars.len().max(1)).max(1);
    for windows in windows.chunks(together) {
        digits.clear();
        for (first_bucket, window) in (0..).step_by(1 << buckets_log2).zip(windows) {
            for (index, scalar) in scalars.iter().enumerate() {
                let digit = signed_digit(scalar, *window, window_bits);
                if let Some(bucket) = digit.unsigned_abs().checked_sub(1) {
                    digits.push((first_bucket + bucket, Entry::new(index, digit < 0)));
                }
            }
        }
        let (entries, lengths) = sort_by_bucket(&digits, windows.len() << buckets_log2);
        buckets.extend(segment_sums(points, &entries, &lengths));
    }
    weighted_sums(buckets, buckets_log2, Weights::All)
}

/// Digit `window` of `scalar` in base `2^bits`, between `-2^(bits-1)` and `2^(bits-1)`.
///
/// Booth's recoding: the bits of the window plus the highest bit below it, minus `2^bits` if its own highest is set.
#[inline]
pub(super) fn signed_digit(scalar: &[u64; 4], window: u32, bits: u32) -> i32 {
    let from = window * bits;
    let limb = |index: u32| scalar.get(index as usize).copied().unwrap_or(0);
    let read = |from: u32| {
        let low = limb(from / 64) >> (from % 64);
        let high = limb(from / 64 + 1).checked_shl(64 - from % 64).unwrap_or(0);
        low | high
    };
    let own = (read(from) & ((1 << bits) - 1)) as i32;
    let below = if from == 0 { 0 } else { read(from - 1) & 1 } as i32;
    let overflow = own >> (bits - 1);
    own + below - (overflow << bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commitment::Generators;
    use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
    use ark_ff::Field;
    use proptest::prelude::*;

    fn check(points: &[G1Affine], scalars: &[Fr]) {
        assert_eq!(
            msm(points, scalars),
            G1Projective::msm_unchecked(points, scalars)
        );
    }

    fn scalars(len: usize) -> Vec<Fr> {
        (0..len as u64).map(|i| Fr::from(i + 2).pow([97])).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn digits_add_up(limbs in any::<[u64; 4]>(), bits in 2u32..14) {
            let scalar = Fr::from_le_bytes_mod_order(&limbs.map(u64::to_le_bytes).concat());
            for scalar in [scalar, -Fr::ONE, Fr::ONE] {
                let base = Fr::from(1u64 << bits);
                let sum = (0..SCALAR_BITS / bits + 1).rev().fold(Fr::ZERO, |sum, window| {
                    let digit = signed_digit(&scalar.into_bigint().0, window, bits);
                    assert!(digit.unsigned_abs() <= 1 << (bits - 1));
                    sum * base + crate::field::from_i64(i64::from(digit))
                });
                prop_assert_eq!(sum, scalar);
            }
        }

        #[test]
        fn equals_ark(len in 0usize..150) {
            check(Generators::derive(150).points().split_at(len).0, &scalars(len));
        }
    }

    #[test]
    fn traps() {
        let one = G1Affine::generator();
        let generators = Generators::derive(70);
        check(&[one; 100], &[-Fr::ONE; 100]);
        check(&[one; 100], &scalars(100));
        check(&[one, -one], &[Fr::from(7u64); 2]);
        check(&[G1Affine::identity(); 9], &scalars(9));
        check(generators.points(), &[Fr::ZERO; 70]);
        let opposite: Vec<_> = generators.points().iter().flat_map(|p| [*p, -*p]).collect();
        check(&opposite, &vec![Fr::from(3u64); 140]);
        let two = (one + one).into_affine();
        check(
            &[one, one, two, -two, G1Affine::identity()],
            &[-Fr::from(2u64); 5],
        );
    }

    #[test]
    fn unequal_lengths_are_cut() {
        let points = Generators::derive(9);
        let expected = msm(&points.points()[..4], &scalars(4));
        assert_eq!(msm(points.points(), &scalars(4)), expected);
        assert_eq!(msm(&points.points()[..4], &scalars(9)), expected);
        assert_eq!(msm(&[], &[]), G1Projective::ZERO);
    }
}
