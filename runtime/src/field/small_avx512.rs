//! The kernels of `small` and `eq`, eight lanes at a time.
//!
//! Weights enter as the 52-bit limbs of their Montgomery words, radix `2^256`. A value `v` of 32 bits enters as `v + 2^31`, which is not
//! negative; `2^31` times the sum of the weights is taken off at the end.

use std::arch::x86_64::*;

use ark_ff::AdditiveGroup;

use super::Fr;
use super::avx512::{LANES, PackedFr, PackedProductSum, carry, high, low, set, split as limbs_of};
use super::eq::split_scalar;
use super::modulus::FrConfig;
use super::small::{bind_halves_scalar, dot_scalar, dot_small_scalar, scale_and_add_scalar};

/// Rows whose block of values stays in the second-level cache; also few enough for the carries of [`Sums`].
const TILE_ROWS: usize = 64;
/// Columns that are summed in registers.
const TILE_COLUMNS: usize = 2 * LANES;
/// Additions of 52-bit limbs that fit 63 bits.
const CARRY_FREE: usize = 1 << 11;

/// `sum (v + 2^31) * w` in eight lanes: low and high halves of the products of limbs.
#[derive(Clone, Copy)]
struct Sums {
    low: [__m512i; 5],
    high: [__m512i; 5],
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new() -> Self {
        Self {
            low: [_mm512_setzero_si512(); 5],
            high: [_mm512_setzero_si512(); 5],
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(&mut self, values: __m512i, weights: &[__m512i; 5]) {
        for (sum, weight) in self.low.iter_mut().zip(weights) {
            *sum = low(*sum, values, *weight);
        }
        for (sum, weight) in self.high.iter_mut().zip(weights) {
            *sum = high(*sum, values, *weight);
        }
    }

    /// Moves what is above 52 bits out of the low halves.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn normalize(&mut self) {
        for (low, high) in self.low.iter_mut().zip(&mut self.high) {
            let mut pair = [*low, *high];
            carry(&mut pair);
            [*low, *high] = pair;
        }
    }

    /// The sums modulo p.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn finish(&self) -> PackedFr {
        let mut limbs = [_mm512_setzero_si512(); 6];
        for (limb, low) in limbs.iter_mut().zip(self.low) {
            *limb = low;
        }
        for (limb, high) in limbs.iter_mut().skip(1).zip(self.high) {
            *limb = _mm512_add_epi64(*limb, high);
        }
        PackedFr::from_sums(limbs)
    }
}

/// The integers `v + 2^31`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn offset(values: __m256i) -> __m512i {
    _mm512_cvtepu32_epi64(_mm256_xor_si256(values, _mm256_set1_epi32(i32::MIN)))
}

/// `2^31 * weight`.
fn repaid(weight: Fr) -> Fr {
    weight * Fr::from(1u64 << 31)
}

/// As `combine_rows_scalar`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn combine_rows(rows: &[(&[i32], &Fr)], row_len: usize) -> Vec<Fr> {
    let mut sums = vec![[Sums::new(); 2]; row_len.div_ceil(TILE_COLUMNS)];
    for tile in rows.chunks(TILE_ROWS) {
        let weights: Vec<[u64; 5]> = tile.iter().map(|(_, w)| limbs_of(w.0.0)).collect();
        for (block, sums) in sums.iter_mut().enumerate() {
            add_tile(tile, &weights, block * TILE_COLUMNS, sums);
        }
    }
    let repaid = repaid(rows.iter().map(|(_, weight)| **weight).sum());
    let repaid = PackedFr::load_words(&[repaid; LANES]);
    let mut out = vec![Fr::ZERO; row_len.next_multiple_of(LANES)];
    let (blocks, _) = out.as_chunks_mut::<LANES>();
    for (block, sums) in blocks.iter_mut().zip(sums.as_flattened()) {
        sums.finish().sub(&repaid).store_words(block);
    }
    out.truncate(row_len);
    out
}

/// Adds columns `from..from + TILE_COLUMNS` of some rows.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_tile(rows: &[(&[i32], &Fr)], weights: &[[u64; 5]], from: usize, sums: &mut [Sums; 2]) {
    let [mut first, mut second] = *sums;
    for ((row, _), weight) in rows.iter().zip(weights) {
        let values = match row.get(from..).map(|rest| (rest, rest.len())) {
            Some((rest, TILE_COLUMNS..)) => {
                // SAFETY: reads sixteen values, which are there; no alignment is asked for.
                unsafe { _mm512_loadu_epi32(rest.as_ptr()) }
            }
            Some((rest, len)) => {
                // SAFETY: reads only the values of the mask, which are there.
                unsafe { _mm512_maskz_loadu_epi32((1 << len) - 1, rest.as_ptr()) }
            }
            None => _mm512_setzero_si512(),
        };
        let weight = weight.map(|limb| set(limb));
        first.add(offset(_mm512_castsi512_si256(values)), &weight);
        second.add(offset(_mm512_extracti64x4_epi64::<1>(values)), &weight);
    }
    first.normalize();
    second.normalize();
    *sums = [first, second];
}

/// As `dot_small_scalar`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn dot_small(values: &[i32], weights: &[Fr]) -> Fr {
    let (value_blocks, value_rest) = values.as_chunks::<LANES>();
    let (weight_blocks, weight_rest) = weights.as_chunks::<LANES>();
    let mut sum = dot_small_scalar(value_rest, weight_rest);
    let chunks = value_blocks
        .chunks(CARRY_FREE)
        .zip(weight_blocks.chunks(CARRY_FREE));
    for (values, weights) in chunks {
        let mut products = Sums::new();
        let mut all = [_mm512_setzero_si512(); 6];
        for (values, weights) in values.iter().zip(weights) {
            let weights = PackedFr::load_words(weights).limbs();
            // SAFETY: reads eight values, which are there; no alignment is asked for.
            let values = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
            products.add(offset(values), &weights);
            for (sum, limb) in all.iter_mut().zip(weights) {
                *sum = _mm512_add_epi64(*sum, limb);
            }
        }
        products.normalize();
        let mut lanes = [[Fr::ZERO; LANES]; 2];
        let [of_products, of_weights] = &mut lanes;
        products.finish().store_words(of_products);
        PackedFr::from_sums(all).store_words(of_weights);
        sum += of_products.iter().sum::<Fr>() - repaid(of_weights.iter().sum());
    }
    sum
}

/// As `dot_scalar`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn dot(a: &[Fr], b: &[Fr]) -> Fr {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sum = PackedProductSum::<FrConfig>::new();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        sum.add(&PackedFr::load_words(a), &PackedFr::load_words(b));
    }
    let mut lanes = [Fr::ZERO; LANES];
    sum.finish().store_words(&mut lanes);
    // Two factors of radix 2^256 and a reduction by 2^260: sixteen too small.
    let blocks = lanes.iter().sum::<Fr>() * Fr::from(16u64);
    blocks + dot_scalar(a_rest, b_rest)
}

/// As `bind_halves_scalar`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn bind_halves(low: &mut [Fr], high: &[Fr], at: &Fr) {
    let (low_blocks, low_rest) = low.as_chunks_mut::<LANES>();
    let (high_blocks, high_rest) = high.as_chunks::<LANES>();
    let factor = PackedFr::broadcast(*at);
    for (low, high) in low_blocks.iter_mut().zip(high_blocks) {
        let from = PackedFr::load_words(low);
        let step = PackedFr::load_words(high).sub(&from);
        from.add(&step.mul(&factor)).store_words(low);
    }
    bind_halves_scalar(low_rest, high_rest, at);
}

/// As `scale_and_add_scalar`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn scale_and_add(sums: &mut [Fr], factor: &Fr, values: &[Fr]) {
    let (sum_blocks, sum_rest) = sums.as_chunks_mut::<LANES>();
    let (value_blocks, value_rest) = values.as_chunks::<LANES>();
    let packed = PackedFr::broadcast(*factor);
    for (sum, values) in sum_blocks.iter_mut().zip(value_blocks) {
        let scaled = PackedFr::load_words(sum).mul(&packed);
        scaled.add(&PackedFr::load_words(values)).store_words(sum);
    }
    scale_and_add_scalar(sum_rest, factor, value_rest);
}

/// As `split_scalar`.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn split(low: &mut [Fr], high: &mut [Fr], coordinate: &Fr) {
    let (low_blocks, low_rest) = low.as_chunks_mut::<LANES>();
    let (high_blocks, high_rest) = high.as_chunks_mut::<LANES>();
    let factor = PackedFr::broadcast(*coordinate);
    for (low, high) in low_blocks.iter_mut().zip(high_blocks) {
        let parent = PackedFr::load_words(low);
        let upper = parent.mul(&factor);
        parent.sub(&upper).store_words(low);
        upper.store_words(high);
    }
    split_scalar(low_rest, high_rest, coordinate);
}
