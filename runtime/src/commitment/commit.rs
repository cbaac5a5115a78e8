//! Commitments to rows of small integers.
//!
//! Each value is written with odd signed digits `|d| < 2 m` at arbitrary bit positions (the non-adjacent form of width
//! `log2(m) + 2`): 0 has none, +-1 one, 12 bits about one and a half. The digit `d 2^s` of value `j` adds `+-2^s G_j`, from a table, to the
//! bucket of `|d|`; then the buckets are added with their weights. All digits of a row share one set of buckets.

use ark_bn254::{G1Affine, G1Projective};
use ark_ec::CurveGroup;
use rayon::prelude::*;

use super::batch_affine::{Entry, Weights, segment_sums, sort_by_bucket, weighted_sums};
use super::generators::Generators;
use super::point::Point;

/// Rows whose buckets are weighted in step: as many independent additions.
const TASK_ROWS: usize = 64;
/// Digits summed at a time; their points stay in the second-level cache.
const GROUP_DIGITS: usize = 8192;
/// Most buckets a row, as log2.
const MAX_BUCKETS_LOG2: u32 = 9;

/// Commits to each row of `row_len` values (row-major, the last may be short): `sum_j values[j] * G_j`.
///
/// Zeros are free; the cost grows with the number of bits of the others.
///
/// # Panics
///
/// If a row is longer than the generators, or `row_len` is zero and there are values.
pub fn commit_rows(generators: &Generators, values: &[i32], row_len: usize) -> Vec<G1Affine> {
    if values.is_empty() {
        return Vec::new();
    }
    assert!(
        0 < row_len && row_len.min(values.len()) <= generators.len(),
        "rows of {row_len} values, {} generators",
        generators.len()
    );
    let rows: Vec<&[i32]> = values.chunks(row_len).collect();
    let mut order: Vec<(u32, usize)> = rows
        .par_iter()
        .enumerate()
        .map(|(index, row)| (buckets_log2(row), index))
        .collect();
    order.sort_unstable();
    let task_rows = rows
        .len()
        .div_ceil(4 * rayon::current_num_threads())
        .min(TASK_ROWS);
    let tasks: Vec<&[(u32, usize)]> = order
        .chunk_by(|(left, _), (right, _)| left == right)
        .flat_map(|alike| alike.chunks(task_rows))
        .collect();
    let shifted = generators.shifted();
    let done: Vec<Vec<G1Affine>> = tasks
        .par_iter()
        .map(|task| {
            let log2 = task.first().map_or(0, |(log2, _)| *log2);
            let rows: Vec<&[i32]> = task.iter().map(|(_, index)| rows[*index]).collect();
            commit_task(shifted, generators.len(), &rows, log2)
        })
        .collect();
    let mut commitments = vec![G1Affine::identity(); rows.len()];
    for ((_, index), commitment) in order.iter().zip(done.into_iter().flatten()) {
        commitments[*index] = commitment;
    }
    commitments
}

/// Commitments of rows that use `2^buckets_log2` buckets each.
fn commit_task(
    shifted: &[Point],
    shift_stride: usize,
    rows: &[&[i32]],
    buckets_log2: u32,
) -> Vec<G1Affine> {
    let mut buckets = Vec::with_capacity(rows.len() << buckets_log2);
    let mut digits = Vec::with_capacity(2 * GROUP_DIGITS);
    let mut group_rows = 0;
    let mut flush = |digits: &mut Vec<(u32, Entry)>, group_rows: &mut usize| {
        let (entries, lengths) = sort_by_bucket(digits, *group_rows << buckets_log2);
        buckets.extend(segment_sums(shifted, &entries, &lengths));
        digits.clear();
        *group_rows = 0;
    };
    for row in rows {
        let first_bucket = (group_rows << buckets_log2) as u32;
        for (index, value) in row.iter().enumerate() {
            push_digits(
                *value,
                index,
                shift_stride,
                buckets_log2,
                first_bucket,
                &mut digits,
            );
        }
        group_rows += 1;
        if digits.len() >= GROUP_DIGITS {
            flush(&mut digits, &mut group_rows);
        }
    }
    flush(&mut digits, &mut group_rows);
    let sums = weighted_sums(buckets, buckets_log2, Weights::Odd);
    G1Projective::normalize_batch(&sums)
}

/// The non-adjacent form of `value`, least significant digit first.
#[inline]
fn push_digits(
    value: i32,
    index: usize,
    shift_stride: usize,
    buckets_log2: u32,
    first_bucket: u32,
    digits: &mut Vec<(u32, Entry)>,
) {
    let unused = 64 - (buckets_log2 + 2);
    let mut rest = i64::from(value);
    let mut shift = 0;
    while rest != 0 {
        let zeros = rest.trailing_zeros();
        rest >>= zeros;
        shift += zeros;
        let digit = rest << unused >> unused;
        rest -= digit;
        let bucket = (digit.unsigned_abs() >> 1) as u32;
        let entry = Entry::new(shift as usize * shift_stride + index, digit < 0);
        digits.push((first_bucket + bucket, entry));
    }
}

/// The number of buckets, as log2, for which committing to `row` needs the fewest additions.
fn buckets_log2(row: &[i32]) -> u32 {
    let mut by_bits = [0u32; 33];
    for value in row {
        by_bits[(32 - value.unsigned_abs().leading_zeros()) as usize] += 1;
    }
    // Expected additions, in sixteenths.
    let additions = |log2: &u32| {
        let width = log2 + 2;
        let digits = |bits: u32| match bits {
            0 => 0,
            bits if bits < width => 16,
            bits => 16 + 16 * (bits + 1 - width) / (width + 1),
        };
        let accumulate: u32 = (0..)
            .zip(by_bits)
            .map(|(bits, count)| count * digits(bits))
            .sum();
        accumulate + (32 << log2)
    };
    (0..=MAX_BUCKETS_LOG2).min_by_key(additions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::from_i64;
    use ark_ec::VariableBaseMSM;
    use proptest::prelude::*;

    fn slow(generators: &Generators, row: &[i32]) -> G1Affine {
        let scalars: Vec<_> = row.iter().map(|v| from_i64(i64::from(*v))).collect();
        G1Projective::msm_unchecked(generators.points(), &scalars).into_affine()
    }

    fn check(values: &[i32], row_len: usize) {
        let generators = Generators::derive(row_len);
        let commitments = commit_rows(&generators, values, row_len);
        let expected: Vec<_> = values
            .chunks(row_len)
            .map(|row| slow(&generators, row))
            .collect();
        assert_eq!(commitments, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn equals_slow(
            row_len in 1usize..80,
            rows in prop::collection::vec(0u32..32, 1..12),
            missing in 0usize..80,
            seed in any::<u32>(),
        ) {
            // Each row has its own number of bits.
            let len = row_len * rows.len() - missing % row_len;
            let values: Vec<i32> = (0..len)
                .map(|i| (i as u32 ^ seed).wrapping_mul(0x9e37_79b9) as i32 >> rows[i / row_len])
                .collect();
            check(&values, row_len);
        }

        #[test]
        fn digits_add_up(value in any::<i32>(), log2 in 0..=MAX_BUCKETS_LOG2) {
            for value in [value, value >> 16, i32::MIN, i32::MAX] {
                let mut digits = Vec::new();
                push_digits(value, 0, 1, log2, 0, &mut digits);
                prop_assert!(digits.iter().all(|(bucket, _)| *bucket < 1 << log2));
                prop_assert!(digits.len() <= 33usize.div_ceil(log2 as usize + 2));
            }
        }
    }

    #[test]
    fn constant_and_extreme_rows() {
        for value in [0, 1, -1, 2, 128, i32::MAX, i32::MIN] {
            check(&[value; 150], 50);
        }
        let mut mixed = [i32::MIN; 64];
        mixed[32..].fill(i32::MAX);
        check(&mixed, 32);
        check(&[5], 16);
    }

    #[test]
    fn many_rows_of_many_widths() {
        let values: Vec<i32> = (0..300 * 64)
            .map(|i: i32| i.wrapping_mul(0x2545_f491) >> (i / 64 % 32))
            .collect();
        check(&values, 64);
    }

    #[test]
    fn no_rows() {
        assert!(commit_rows(&Generators::derive(4), &[], 4).is_empty());
        assert!(commit_rows(&Generators::derive(4), &[], 0).is_empty());
    }

    #[test]
    #[should_panic(expected = "generators")]
    fn long_rows_are_refused() {
        commit_rows(&Generators::derive(4), &[1; 8], 8);
    }
}
