//! Sums of many affine points, arranged into levels of independent additions.
//!
//! Nothing in this file can panic; an index outside its table reads the identity.

use ark_bn254::G1Projective;
use ark_ec::AdditiveGroup;

use super::point::Point;
#[cfg(target_arch = "x86_64")]
use super::point::vectorized;

/// Additions that share an inversion; their operands and scratch fit the second-level cache.
pub(super) const BATCH: usize = 2048;

/// A point of a table, or its negative: index and sign.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry(u32);

impl Entry {
    const NEGATIVE: u32 = 1 << 31;
    /// Outside every table: the identity.
    pub(super) const IDENTITY: Self = Self(Self::NEGATIVE - 1);

    /// The `index`-th point, at most `2^31 - 2`.
    #[inline]
    pub(super) fn new(index: usize, negative: bool) -> Self {
        Self((index as u32) | if negative { Self::NEGATIVE } else { 0 })
    }

    /// The point, without the sign.
    #[inline]
    pub(super) fn point(self, table: &[Point]) -> &Point {
        let index = (self.0 & !Self::NEGATIVE) as usize;
        table.get(index).unwrap_or(&Point::IDENTITY)
    }

    /// Whether the point is negated.
    #[inline]
    pub(super) fn is_negative(self) -> bool {
        self.0 & Self::NEGATIVE != 0
    }
}

/// `left + right` for every pair of points of `table`.
fn add_pairs(table: &[Point], pairs: &[[Entry; 2]]) -> Vec<Point> {
    let mut sums = vec![Point::IDENTITY; pairs.len()];
    #[cfg(target_arch = "x86_64")]
    if vectorized() {
        // SAFETY: the instructions are there.
        unsafe { super::addition_avx512::add_pairs(table, pairs, &mut sums) };
        return sums;
    }
    super::addition::add_pairs(table, pairs, &mut sums);
    sums
}

/// `2 P` for every point.
pub(super) fn double_all(points: &[Point]) -> Vec<Point> {
    let pairs: Vec<_> = (0..points.len())
        .map(|index| [Entry::new(index, false); 2])
        .collect();
    add_pairs(points, &pairs)
}

/// The sum of each segment of `entries`; segments are consecutive, of the given lengths. Balanced trees, all in step.
pub(super) fn segment_sums(table: &[Point], entries: &[Entry], lengths: &[usize]) -> Vec<Point> {
    let mut level = Level::next(table, entries, lengths);
    while level.lengths.iter().any(|length| *length > 1) {
        level = Level::next(&level.points, &level.entries, &level.lengths);
    }
    // At most one entry a segment is left. A lone one may still bear its sign.
    let mut left = level.entries.iter();
    let pairs: Vec<[Entry; 2]> = level
        .lengths
        .iter()
        .map(|length| match left.by_ref().take(*length).last() {
            Some(entry) => [*entry, Entry::IDENTITY],
            None => [Entry::IDENTITY; 2],
        })
        .collect();
    if pairs.iter().any(|[entry, _]| entry.is_negative()) {
        return add_pairs(&level.points, &pairs);
    }
    let points = pairs.iter().map(|[entry, _]| *entry.point(&level.points));
    points.collect()
}

/// One level of the trees of [`segment_sums`]: half as many entries.
struct Level {
    points: Vec<Point>,
    entries: Vec<Entry>,
    lengths: Vec<usize>,
}

impl Level {
    /// Adds neighbors; the last of an odd number is handed on with its sign.
    fn next(table: &[Point], entries: &[Entry], lengths: &[usize]) -> Self {
        let mut pairs = Vec::with_capacity(entries.len() / 2);
        let mut rest = entries;
        let mut segments = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (segment, tail) = rest.split_at_checked(*length).unwrap_or((rest, &[]));
            rest = tail;
            let (whole, odd) = segment.as_chunks::<2>();
            pairs.extend_from_slice(whole);
            segments.push((whole.len(), odd.first()));
        }
        let mut points = add_pairs(table, &pairs);
        let mut entries = Vec::with_capacity(pairs.len() + lengths.len());
        let mut lengths = Vec::with_capacity(lengths.len());
        let mut sums = 0..points.len();
        for (pairs, odd) in segments {
            entries.extend(sums.by_ref().take(pairs).map(|sum| Entry::new(sum, false)));
            entries.extend(odd.map(|odd| {
                points.push(*odd.point(table));
                Entry::new(points.len() - 1, odd.is_negative())
            }));
            lengths.push(pairs + usize::from(odd.is_some()));
        }
        Self {
            points,
            entries,
            lengths,
        }
    }
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
/// With `T` the plain sum and `W = sum_k k * bucket_k`, it is `T + W` or `T + 2 W`. Pairing neighbors gives half as many buckets
/// with the same `T`, and `W = 2 W' + (sum of odd-numbered buckets)`. Two additions a bucket, like a running sum, but
/// in `2 group_log2` levels.
pub(super) fn weighted_sums(
    buckets: Vec<Point>,
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
            *sum += odd.to_affine();
        }
    }
    for (sum, total) in weighted.iter_mut().zip(arena.iter().skip(from)) {
        if weights == Weights::Odd {
            sum.double_in_place();
        }
        *sum += total.to_affine();
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
    use ark_bn254::G1Affine;
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

    fn points(table: &[G1Affine]) -> Vec<Point> {
        table.iter().map(Point::from_affine).collect()
    }

    fn read(entry: &Entry, table: &[G1Affine]) -> G1Affine {
        let index = (entry.0 & !Entry::NEGATIVE) as usize;
        let point = table.get(index).copied().unwrap_or_default();
        if entry.is_negative() { -point } else { point }
    }

    fn slow_sum(table: &[G1Affine], entries: &[Entry]) -> G1Projective {
        entries
            .iter()
            .map(|entry| G1Projective::from(read(entry, table)))
            .sum()
    }

    fn affine(points: &[Point]) -> Vec<G1Affine> {
        points.iter().map(|point| point.to_affine()).collect()
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
            let sums = segment_sums(&points(&table), &segments.concat(), &lengths);
            prop_assert_eq!(sums.len(), segments.len());
            for (sum, segment) in sums.iter().zip(&segments) {
                prop_assert_eq!(sum.to_affine(), slow_sum(&table, segment).into_affine());
            }
        }

        #[test]
        fn weighted_equal_slow(
            picks in prop::collection::vec((0usize..24, any::<bool>()), 64),
            group_log2 in 0u32..7,
        ) {
            let table = table();
            let buckets: Vec<G1Affine> = picks.iter()
                .map(|(index, negative)| read(&Entry::new(*index, *negative), &table))
                .collect();
            for (weights, step) in [(Weights::All, 1), (Weights::Odd, 2)] {
                let sums = weighted_sums(points(&buckets), group_log2, weights);
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

    /// Every pair of the traps with every sign, by both kernels in their own radix.
    #[test]
    fn kernels_are_exact() {
        let table = table();
        let signs = [(false, false), (false, true), (true, false), (true, true)];
        let indices = (0..23).flat_map(|left| (0..23).map(move |right| (left, right)));
        let pairs: Vec<[Entry; 2]> = indices
            .flat_map(|(left, right)| {
                signs.map(|(l, r)| [Entry::new(left, l), Entry::new(right, r)])
            })
            .collect();
        let slow: Vec<G1Affine> = pairs
            .iter()
            .map(|pair| slow_sum(&table, pair).into_affine())
            .collect();
        assert_eq!(affine(&add_pairs(&points(&table), &pairs)), slow);

        let in_ark_form = |point: &G1Affine| Point {
            x: point.x.0.0,
            y: point.y.0.0,
        };
        let ark_table: Vec<Point> = table.iter().map(in_ark_form).collect();
        let mut sums = vec![Point::IDENTITY; pairs.len()];
        crate::commitment::addition::add_pairs(&ark_table, &pairs, &mut sums);
        let slow: Vec<Point> = slow.iter().map(in_ark_form).collect();
        assert_eq!(sums, slow);
    }

    #[test]
    fn batches_longer_than_one() {
        let table = table();
        let entries: Vec<Entry> = (0..5 * BATCH)
            .map(|i| Entry::new(i * i % 22, i % 3 == 0))
            .collect();
        let sums = segment_sums(&points(&table), &entries, &[4 * BATCH, 0, BATCH]);
        let (first, last) = entries.split_at(4 * BATCH);
        let slow = [
            slow_sum(&table, first),
            G1Projective::ZERO,
            slow_sum(&table, last),
        ];
        assert_eq!(affine(&sums), slow.map(|sum| sum.into_affine()));
        assert!(segment_sums(&points(&table), &[], &[]).is_empty());
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
