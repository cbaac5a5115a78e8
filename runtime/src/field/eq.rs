//! The equality polynomial `eq(r, x) = prod_i (r_i x_i + (1 - r_i)(1 - x_i))`, most significant variable first.

use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;

use super::Fr;

/// Entries below which a thread is not worth its start.
const PARALLEL_LEN: usize = 1 << 13;

/// `eq(point, x)` for every `x` of the cube: `2^point.len()` entries, `point[0]` is the index's top bit.
///
/// One multiplication an entry.
pub fn eq_table(point: &[Fr]) -> Vec<Fr> {
    let mut table = Vec::with_capacity(1 << point.len());
    table.push(Fr::ONE);
    table.resize(1 << point.len(), Fr::ZERO);
    for (bit, coordinate) in point.iter().rev().enumerate() {
        let (low, rest) = table.split_at_mut(1 << bit);
        let high = rest.get_mut(..1 << bit).unwrap_or_default();
        if low.len() < PARALLEL_LEN {
            split(low, high, coordinate);
        } else {
            low.par_chunks_mut(PARALLEL_LEN / 2)
                .zip(high.par_chunks_mut(PARALLEL_LEN / 2))
                .for_each(|(low, high)| split(low, high, coordinate));
        }
    }
    table
}

/// `high = low * coordinate`, `low = low * (1 - coordinate)`.
fn split(low: &mut [Fr], high: &mut [Fr], coordinate: &Fr) {
    #[cfg(target_arch = "x86_64")]
    if super::avx512::available() {
        // SAFETY: the instructions are there.
        return unsafe { super::small_avx512::split(low, high, coordinate) };
    }
    split_scalar(low, high, coordinate);
}

pub(super) fn split_scalar(low: &mut [Fr], high: &mut [Fr], coordinate: &Fr) {
    for (low, high) in low.iter_mut().zip(high) {
        *high = *low * coordinate;
        *low -= *high;
    }
}

/// `eq(a, b)`. The shorter point is continued with zeros.
pub fn eq_eval(a: &[Fr], b: &[Fr]) -> Fr {
    let len = a.len().max(b.len());
    let continued = |point: &[Fr]| -> Vec<Fr> {
        let zeros = std::iter::repeat(Fr::ZERO);
        point.iter().copied().chain(zeros).take(len).collect()
    };
    continued(a)
        .into_iter()
        .zip(continued(b))
        .map(|(a, b)| Fr::ONE - a - b + (a * b).double())
        .product()
}

/// `eq(point, index)`: the entry of [`eq_table`].
pub fn eq_at(point: &[Fr], index: usize) -> Fr {
    let bits = (0u32..).zip(point.iter().rev()); // len: as many as coordinates
    let one = |bit: u32| index.checked_shr(bit).unwrap_or(0) & 1 == 1;
    bits.map(|(bit, r)| if one(bit) { *r } else { Fr::ONE - r })
        .product()
}

/// `sum_{x < len} eq(point, x)`, the multilinear extension of `x < len`, in `O(point.len())`.
///
/// One if `len` is at least `2^point.len()`.
pub fn less_than(point: &[Fr], len: usize) -> Fr {
    let cube_len = u32::try_from(point.len())
        .ok()
        .and_then(|bits| 1usize.checked_shl(bits));
    if cube_len.is_some_and(|cube_len| len >= cube_len) {
        return Fr::ONE;
    }
    // `prefix` is eq of the coordinates so far with the same bits of `len`.
    let mut prefix = Fr::ONE;
    let mut sum = Fr::ZERO;
    for (from_top, coordinate) in point.iter().enumerate() {
        let bit = u32::try_from(point.len() - 1 - from_top)
            .ok()
            .and_then(|bit| len.checked_shr(bit))
            .is_some_and(|shifted| shifted & 1 == 1);
        let at_one = prefix * coordinate;
        let at_zero = prefix - at_one;
        if bit {
            sum += at_zero;
            prefix = at_one;
        } else {
            prefix = at_zero;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::from_i64;
    use proptest::prelude::*;

    fn point(len: usize, seed: u64) -> Vec<Fr> {
        (0..len as u64)
            .map(|i| {
                Fr::from(seed ^ (i << 40))
                    .pow([i + 3])
                    .inverse()
                    .unwrap_or(Fr::ONE)
            })
            .collect()
    }

    fn bits(x: usize, len: usize) -> Vec<Fr> {
        (0..len)
            .rev()
            .map(|bit| from_i64((x >> bit & 1) as i64))
            .collect()
    }

    proptest! {
        #[test]
        fn table_equals_evaluations(len in 0usize..9, seed in 1u64..) {
            let point = point(len, seed);
            let table = eq_table(&point);
            prop_assert_eq!(table.len(), 1 << len);
            for (x, entry) in table.iter().enumerate() {
                prop_assert_eq!(*entry, eq_eval(&point, &bits(x, len)));
            }
        }

        #[test]
        fn less_than_is_a_prefix_sum(len in 0usize..7, seed in 1u64..) {
            let point = point(len, seed);
            let table = eq_table(&point);
            for end in 0..=table.len() + 2 {
                let slow: Fr = table.iter().take(end).sum();
                prop_assert_eq!(less_than(&point, end), slow);
            }
        }
    }

    #[test]
    fn large_table_sums_to_one() {
        let table = eq_table(&point(16, 9));
        assert_eq!(table.iter().sum::<Fr>(), Fr::ONE);
    }

    #[test]
    fn boolean_points_and_odd_lengths() {
        assert_eq!(eq_eval(&bits(5, 3), &bits(5, 3)), Fr::ONE);
        assert_eq!(eq_eval(&bits(5, 3), &bits(4, 3)), Fr::ZERO);
        assert_eq!(eq_eval(&bits(2, 2), &bits(4, 3)), Fr::ONE);
        assert_eq!(eq_eval(&[], &[]), Fr::ONE);
        let long = vec![Fr::ZERO; 200];
        assert_eq!(less_than(&long, 1), Fr::ONE);
        assert_eq!(less_than(&long, usize::MAX), Fr::ONE);
        assert_eq!(less_than(&long, 0), Fr::ZERO);
    }
}
