//! Sums of many affine points: hundreds of additions share one field inversion.
//!
//! An affine addition is `s = (y2 - y1) / (x2 - x1)`, `x3 = s^2 - x1 - x2`, `y3 = s (x1 - x3) - y1`: six multiplications with a shared
//! inversion (Montgomery's trick), against eleven for a mixed Jacobian one. Everything here is therefore arranged into levels of
//! independent additions. The exceptional cases (identity, equal and opposite points) are exact: verifiers meet them on purpose.
//!
//! Nothing in this file can panic; an index outside its table reads the identity.

use ark_bn254::{Fq, G1Affine, G1Projective};
use ark_ec::{AdditiveGroup, AffineRepr};
use ark_ff::Field;

/// Additions that share an inversion; their operands and scratch fit the second-level cache.
const BATCH: usize = 1024;

/// A point of a table, or its negative: index and sign.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry(u32);

impl Entry {
    const NEGATIVE: u32 = 1 << 31;
    /// Outside every table: the identity.
    const IDENTITY: Self = Self(Self::NEGATIVE - 1);

    /// The `index`-th point, at most `2^31 - 2`.
    #[inline]
    pub(super) fn new(index: usize, negative: bool) -> Self {
        Self((index as u32) | if negative { Self::NEGATIVE } else { 0 })
    }

    #[inline]
    fn read(self, table: &[G1Affine]) -> G1Affine {
        let index = (self.0 & !Self::NEGATIVE) as usize;
        let point = table.get(index).copied().unwrap_or(G1Affine::identity());
        if self.0 & Self::NEGATIVE == 0 {
            point
        } else {
            -point
        }
    }
}

/// An addition under way: what is to be inverted (zero if nothing), and the product of those before.
#[derive(Clone, Copy, Default)]
struct Pending {
    denominator: Fq,
    prefix: Fq,
}

/// `left + right` for every pair of points of `table`.
fn add_pairs(table: &[G1Affine], pairs: &[[Entry; 2]]) -> Vec<G1Affine> {
    let mut sums = vec![G1Affine::identity(); pairs.len()];
    let mut pending = vec![Pending::default(); BATCH.min(pairs.len())];
    for (pairs, sums) in pairs.chunks(BATCH).zip(sums.chunks_mut(BATCH)) {
        add_batch(table, pairs, sums, &mut pending);
    }
    sums
}

fn add_batch(
    table: &[G1Affine],
    pairs: &[[Entry; 2]],
    sums: &mut [G1Affine],
    pending: &mut [Pending],
) {
    let mut running = Fq::ONE;
    for ([left, right], pending) in pairs.iter().zip(pending.iter_mut()) {
        let denominator = denominator(&left.read(table), &right.read(table));
        *pending = Pending {
            denominator,
            prefix: running,
        };
        if denominator != Fq::ZERO {
            running *= denominator;
        }
    }
    let mut inverse = running.inverse().unwrap_or(Fq::ONE);
    let results = pairs.iter().zip(pending).zip(sums);
    for (([left, right], pending), sum) in results.rev() {
        let inverted = inverse * pending.prefix;
        if pending.denominator != Fq::ZERO {
            inverse *= pending.denominator;
        }
        *sum = finish_addition(&left.read(table), &right.read(table), inverted);
    }
}

/// What the slope of `left + right` is divided by; zero if the sum needs no slope.
#[inline]
fn denominator(left: &G1Affine, right: &G1Affine) -> Fq {
    if left.is_zero() || right.is_zero() {
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
fn finish_addition(left: &G1Affine, right: &G1Affine, inverted: Fq) -> G1Affine {
    if left.is_zero() {
        return *right;
    }
    if right.is_zero() {
        return *left;
    }
    let slope = if left.x != right.x {
        (right.y - left.y) * inverted
    } else if left.y == right.y {
        let square = left.x.square();
        (square.double() + square) * inverted
    } else {
        return G1Affine::identity();
    };
    let x = slope.square() - left.x - right.x;
    let y = slope * (left.x - x) - left.y;
    G1Affine::new_unchecked(x, y)
}

/// `2 P` for every point.
pub(super) fn double_all(points: &[G1Affine]) -> Vec<G1Affine> {
    let pairs: Vec<_> = (0..points.len())
        .map(|index| [Entry::new(index, false); 2])
        .collect();
    add_pairs(points, &pairs)
}

/// The sum of each segment of `entries`; segments are consecutive, of the given lengths. Balanced trees, all in step.
pub(super) fn segment_sums(
    table: &[G1Affine],
    entries: &[Entry],
    lengths: &[usize],
) -> Vec<G1Affine> {
    let mut lengths = lengths.to_vec();
    let mut pairs = Vec::with_capacity(entries.len() / 2 + lengths.len());
    let mut rest = entries;
    for length in &mut lengths {
        let (segment, tail) = rest.split_at_checked(*length).unwrap_or((rest, &[]));
        rest = tail;
        let (whole, odd) = segment.as_chunks::<2>();
        pairs.extend_from_slice(whole);
        pairs.extend(odd.iter().map(|last| [*last, Entry::IDENTITY]));
        *length = segment.len().div_ceil(2);
    }
    let mut points = add_pairs(table, &pairs);
    while lengths.iter().any(|length| *length > 1) {
        pairs.clear();
        let mut from = 0;
        for length in &mut lengths {
            let end = from + *length;
            pairs.extend((from..end).step_by(2).map(|left| {
                let right = left + 1;
                let right = if right < end {
                    Entry::new(right, false)
                } else {
                    Entry::IDENTITY
                };
                [Entry::new(left, false), right]
            }));
            from = end;
            *length = length.div_ceil(2);
        }
        points = add_pairs(&points, &pairs);
    }
    let mut points = points.into_iter();
    let sum = |length: &usize| points.by_ref().take(*length).last().unwrap_or_default();
    lengths.iter().map(sum).collect()
}

/// The weights of a group of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// 1, 2, 3, ...
    All,
    /// 1, 3, 5, ...
    Odd,
}

/// `sum_k weight_k * bucket_k` for each group of `2^group_log2` consecutive buckets.
///
/// With `T` the plain sum and `W = sum_k k * bucket_k`, it is `T + W` or `T + 2 W`. Pairing neighbours gives half as many buckets
/// with the same `T`, and `W = 2 W' + (sum of odd-numbered buckets)`. Two additions a bucket, like a running sum, but
/// in `2 group_log2` levels.
pub(super) fn weighted_sums(
    buckets: Vec<G1Affine>,
    group_log2: u32,
    weights: Weights,
) -> Vec<G1Projective> {
    let groups = buckets.len() >> group_log2;
    let mut arena = buckets;
    let mut odd_entries = Vec::with_capacity(arena.len());
    let mut odd_lengths = Vec::new();
    let mut from = 0;
    for level in (0..group_log2).rev() {
        let pairs: Vec<_> = (0..groups << level)
            .map(|i| [from + 2 * i, from + 2 * i + 1].map(|index| Entry::new(index, false)))
            .collect();
        odd_entries.extend(pairs.iter().map(|[_, odd]| *odd));
        odd_lengths.extend(std::iter::repeat_n(1 << level, groups));
        let sums = add_pairs(&arena, &pairs);
        from = arena.len();
        arena.extend(sums);
    }
    let odd_sums = segment_sums(&arena, &odd_entries, &odd_lengths);
    // Horner over the levels, from the coarsest.
    let mut weighted = vec![G1Projective::ZERO; groups];
    for level in odd_sums.chunks(groups.max(1)).rev() {
        for (sum, odd) in weighted.iter_mut().zip(level) {
            sum.double_in_place();
            *sum += odd;
        }
    }
    for (sum, total) in weighted.iter_mut().zip(arena.iter().skip(from)) {
        if weights == Weights::Odd {
            sum.double_in_place();
        }
        *sum += total;
    }
    weighted
}

/// Counting sort of `(bucket, entry)` pairs: the entries bucket by bucket, and how many each bucket has.
pub(super) fn sort_by_bucket(digits: &[(u32, Entry)], buckets: usize) -> (Vec<Entry>, Vec<usize>) {
    let mut lengths = vec![0usize; buckets];
    for (bucket, _) in digits {
        if let Some(length) = lengths.get_mut(*bucket as usize) {
            *length += 1;
        }
    }
    let mut next = 0;
    let mut slots: Vec<usize> = lengths
        .iter()
        .map(|length| {
            next += length;
            next - length
        })
        .collect();
    let mut entries = vec![Entry::IDENTITY; next];
    for (bucket, entry) in digits {
        if let Some(slot) = slots.get_mut(*bucket as usize) {
            if let Some(place) = entries.get_mut(*slot) {
                *place = *entry;
            }
            *slot += 1;
        }
    }
    (entries, lengths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commitment::Generators;
    use ark_ec::CurveGroup;
    use proptest::prelude::*;

    /// A table full of traps: identities, equal points, opposite points, multiples of one point.
    fn table() -> Vec<G1Affine> {
        let base = Generators::derive(12);
        let mut table = base.points().to_vec();
        let one = table[0];
        let two = (one + one).into_affine();
        let four = (two + two).into_affine();
        table.extend([
            G1Affine::identity(),
            one,
            -one,
            two,
            -two,
            four,
            -four,
            one,
            one,
            two,
        ]);
        table
    }

    fn slow_sum(table: &[G1Affine], entries: &[Entry]) -> G1Projective {
        entries
            .iter()
            .map(|entry| G1Projective::from(entry.read(table)))
            .sum()
    }

    proptest! {
        #[test]
        fn segments_equal_slow(
            segments in prop::collection::vec(
                prop::collection::vec((0usize..24, any::<bool>()), 0..40), 0..30)
        ) {
            let table = table();
            let segments: Vec<Vec<Entry>> = segments.iter().map(|segment| {
                segment.iter().map(|(index, negative)| Entry::new(*index, *negative)).collect()
            }).collect();
            let lengths: Vec<usize> = segments.iter().map(Vec::len).collect();
            let sums = segment_sums(&table, &segments.concat(), &lengths);
            prop_assert_eq!(sums.len(), segments.len());
            for (sum, segment) in sums.iter().zip(&segments) {
                prop_assert_eq!(*sum, slow_sum(&table, segment).into_affine());
            }
        }

        #[test]
        fn weighted_equal_slow(
            picks in prop::collection::vec((0usize..24, any::<bool>()), 64),
            group_log2 in 0u32..7,
        ) {
            let table = table();
            let buckets: Vec<G1Affine> = picks.iter()
                .map(|(index, negative)| Entry::new(*index, *negative).read(&table))
                .collect();
            for (weights, step) in [(Weights::All, 1), (Weights::Odd, 2)] {
                let sums = weighted_sums(buckets.clone(), group_log2, weights);
                prop_assert_eq!(sums.len(), 64 >> group_log2);
                for (sum, group) in sums.iter().zip(buckets.chunks(1 << group_log2)) {
                    let slow: G1Projective = group.iter().enumerate()
                        .map(|(k, bucket)| *bucket * ark_bn254::Fr::from(1 + step * k as u64))
                        .sum();
                    prop_assert_eq!(*sum, slow);
                }
            }
        }
    }

    #[test]
    fn batches_longer_than_one() {
        let table = table();
        let entries: Vec<Entry> = (0..5 * BATCH)
            .map(|i| Entry::new(i * i % 22, i % 3 == 0))
            .collect();
        let sums = segment_sums(&table, &entries, &[4 * BATCH, 0, BATCH]);
        let (first, last) = entries.split_at(4 * BATCH);
        let slow = [
            slow_sum(&table, first),
            G1Projective::ZERO,
            slow_sum(&table, last),
        ];
        assert_eq!(sums, slow.map(|sum| sum.into_affine()));
        assert!(segment_sums(&table, &[], &[]).is_empty());
    }

    #[test]
    fn sorting_keeps_every_entry() {
        let digits: Vec<(u32, Entry)> = [2, 0, 2, 3, 0]
            .into_iter()
            .zip((0..).map(|i| Entry::new(i, false)))
            .collect();
        let (entries, lengths) = sort_by_bucket(&digits, 5);
        assert_eq!(lengths, [2, 0, 2, 1, 0]);
        let order: Vec<u32> = entries.iter().map(|entry| entry.0).collect();
        assert_eq!(order, [1, 4, 0, 2, 3]);
    }
}
