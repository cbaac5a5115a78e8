//! Eight lanes of AVX-512 with 52-bit multiply-add.
//!
//! An element `x` is `x 2^260 mod p` up to a multiple of `p`, in five limbs of 52 bits. With `2^260 > 84 p`, no comparison with `p` is
//! needed between multiplications:
//!
//! | value | less than |
//! |---|---|
//! | reduced | `4 p` |
//! | factor: a difference, or what `diff_mul_add` makes of two | `9 p` |
//! | sum of two products of factors | `162 p^2` |
//! | its Montgomery reduction | `162 p^2 / 2^260 + 2 p < 4 p` |
//!
//! The reduction multiplies by `2^-52 mod p` instead of adding a multiple of `p`, in all of its steps but the last: the factor of
//! such a step is a limb as it stands, and no multiplication is needed to find it.

#![expect(
    clippy::needless_range_loop,
    reason = "one index for the limbs of several numbers"
)]

use std::arch::x86_64::{
    __m256i, __m512i, _MM_HINT_T0, _mm_prefetch, _mm256_loadu_si256, _mm512_add_epi64,
    _mm512_and_si512, _mm512_castsi256_si512, _mm512_cmpgt_epu64_mask, _mm512_inserti64x4,
    _mm512_loadu_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_blend_epi64,
    _mm512_mask_sub_epi64, _mm512_or_si512, _mm512_permutex2var_epi64, _mm512_permutexvar_epi64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srai_epi64,
    _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi64, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi64,
};

use ark_ff::{AdditiveGroup, BigInt, MontConfig, PrimeField};

use super::lanes::{Kernel, Lanes};
use crate::field::{Fr, FrConfig};

const LIMB: u32 = 52;
const LIMB_MASK: u64 = (1 << LIMB) - 1;
const WIDTH: usize = 8;

/// Limbs of a number less than `2^260`.
type Limbs = [u64; 5];
/// Ten columns of an unreduced sum of products.
type Columns = [__m512i; 10];

const P: Limbs = split(Fr::MODULUS.0);
const P3: Limbs = multiple(3);
const P5: Limbs = multiple(5);
const P6: Limbs = multiple(6);
/// `-p^-1 mod 2^52`.
const NEGATIVE_INVERSE: u64 = <FrConfig as MontConfig<4>>::INV & LIMB_MASK;
/// `2^-52 mod p`.
const LIMB_INVERSE: Limbs = limb_inverse();
/// Bits of the top limb below those that [`MULTIPLES`] goes by.
const TOP_SHIFT: u32 = 47;
/// Limb by limb, the greatest multiples of `p` not more than `0, 2^255, 2 * 2^255, ...`: numbers with these upper bits exceed them by
/// less than `2^255 + p < 4 p`.
const MULTIPLES: [[u64; 8]; 5] = multiples();
/// From `x` to `x 2^260`.
const IMPORT_INTEGER: Limbs = split(power_of_two(520));
/// From `-x` to `x 2^260`.
const IMPORT_NEGATIVE: Limbs = split(negate(power_of_two(520)));
/// From `x 2^260` to `x 2^256`.
const EXPORT: Limbs = split(power_of_two(256));

/// Eight elements. Whoever makes one must have asked whether [`available`](crate::field::avx512::available).
#[derive(Clone, Copy)]
pub struct Avx512Lanes([__m512i; 5]);

// SAFETY, of all blocks below: the instructions are available if any `Avx512Lanes` is used; loads and stores are unaligned
// ones of whole arrays.

impl Lanes for Avx512Lanes {
    const WIDTH: usize = WIDTH;
    // SAFETY: integers.
    const ZEROS: Self = unsafe { std::mem::zeroed() };
    type Constant = Limbs;
    type Sum = Columns;

    #[inline(always)]
    fn constant(value: Fr) -> Limbs {
        split(value.double().double().double().double().0.0)
    }

    #[inline(always)]
    fn splat(value: Limbs) -> Self {
        let mut out = Self::ZEROS;
        for i in 0..5 {
            out.0[i] = unsafe { _mm512_set1_epi64(value[i] as i64) };
        }
        out
    }

    #[inline(always)]
    fn load<'a>(element: impl Fn(usize) -> &'a Fr) -> Self {
        let mut rows = [unsafe { _mm512_setzero_si512() }; 4];
        for (i, row) in rows.iter_mut().enumerate() {
            let low = element(i).0.0.as_ptr().cast::<__m256i>();
            let high = element(i + 4).0.0.as_ptr().cast::<__m256i>();
            *row = unsafe {
                let low = _mm512_castsi256_si512(_mm256_loadu_si256(low));
                _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(high))
            };
        }
        times_16(transpose(rows))
    }

    #[inline(always)]
    fn load_integers(element: impl Fn(usize) -> i64) -> Self {
        let mut absolute = [0; WIDTH];
        let mut negative = 0;
        for lane in 0..WIDTH {
            let value = element(lane);
            absolute[lane] = value.unsigned_abs();
            negative |= u8::from(value < 0) << lane;
        }
        let mut value = Self::ZEROS;
        let mut factor = Self::ZEROS;
        unsafe {
            let words = _mm512_loadu_si512(absolute.as_ptr().cast());
            value.0[0] = _mm512_and_si512(words, _mm512_set1_epi64(LIMB_MASK as i64));
            value.0[1] = _mm512_srli_epi64::<LIMB>(words);
            for i in 0..5 {
                let positive = _mm512_set1_epi64(IMPORT_INTEGER[i] as i64);
                let other = _mm512_set1_epi64(IMPORT_NEGATIVE[i] as i64);
                factor.0[i] = _mm512_mask_blend_epi64(negative, positive, other);
            }
        }
        product(&value, &factor)
    }

    #[inline(always)]
    fn store(self, out: &mut [Fr]) {
        let exported = product(&self, &Self::splat(EXPORT));
        let mut limbs = [[0u64; WIDTH]; 5];
        for (to, limb) in limbs.iter_mut().zip(exported.0) {
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), limb) };
        }
        for (lane, out) in out.iter_mut().enumerate() {
            let [l0, l1, l2, l3, l4] = std::array::from_fn(|i| limbs[i][lane]);
            let mut value = [
                l0 | (l1 << 52),
                (l1 >> 12) | (l2 << 40),
                (l2 >> 24) | (l3 << 28),
                (l3 >> 36) | (l4 << 16),
            ];
            // Less than 3 p.
            for _ in 0..2 {
                value = reduce_once(value);
            }
            *out = Fr::new_unchecked(BigInt(value));
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut limbs = self.0;
        unsafe {
            for i in 0..5 {
                limbs[i] = _mm512_add_epi64(limbs[i], other.0[i]);
            }
            let top = limbs[4];
            let above3 = _mm512_cmpgt_epu64_mask(top, _mm512_set1_epi64(P3[4] as i64));
            let above6 = _mm512_cmpgt_epu64_mask(top, _mm512_set1_epi64(P6[4] as i64));
            for i in 0..5 {
                let by = _mm512_set1_epi64(P3[i] as i64);
                limbs[i] = _mm512_mask_sub_epi64(limbs[i], above3, limbs[i], by);
                limbs[i] = _mm512_mask_sub_epi64(limbs[i], above6, limbs[i], by);
            }
        }
        normalize_signed(limbs)
    }

    #[inline(always)]
    fn product(self, other: Self) -> Self {
        product(&self, &other)
    }

    #[inline(always)]
    fn products(a: Self, b: Self, c: Self, d: Self) -> Self {
        let mut columns = zero_columns();
        multiply_add(&mut columns, &a, &b);
        multiply_add(&mut columns, &c, &d);
        normalize(reduce(columns))
    }

    #[inline(always)]
    fn bind(low: Self, high: Self, at: Limbs) -> Self {
        high.diff(low).mul_add(at, low)
    }

    #[inline(always)]
    fn mul_add(self, by: Limbs, to: Self) -> Self {
        let mut columns = zero_columns();
        // `to 2^260`.
        columns[5..].copy_from_slice(&to.0);
        multiply_add(&mut columns, &self, &Self::splat(by));
        subtract_3p_if_more(reduce(columns))
    }

    #[inline(always)]
    fn diff(self, other: Self) -> Self {
        let mut limbs = self.0;
        for i in 0..5 {
            limbs[i] = unsafe {
                let difference = _mm512_sub_epi64(limbs[i], other.0[i]);
                _mm512_add_epi64(difference, _mm512_set1_epi64(P5[i] as i64))
            };
        }
        normalize_signed(limbs)
    }

    #[inline(always)]
    fn diff_mul_add(self, by: Limbs, to: Self) -> Self {
        self.mul_add(by, to)
    }

    #[inline(always)]
    fn prefetch(values: &[Self; 4]) {
        for line in values.iter().flat_map(|value| &value.0) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *line).cast()) };
        }
    }

    #[inline(always)]
    fn sum() -> Columns {
        zero_columns()
    }

    /// A column gets at most ten limbs a product: `10 * 2^7 * 2^52 < 2^63`.
    #[inline(always)]
    fn accumulate(sum: &mut Columns, weight: Limbs, value: Self) {
        multiply_add(sum, &value, &Self::splat(weight));
    }

    /// `2^7 * 4 p^2 / 2^260 + 2 p < 9 p`: a product reduces it.
    #[inline(always)]
    fn total(sum: Columns) -> Self {
        product(
            &normalize(reduce(sum)),
            &Self::splat(split(power_of_two(260))),
        )
    }

    #[inline(always)]
    fn vectorize<K: Kernel<Self>>(kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512ifma")]
        fn with_instructions<K: Kernel<Avx512Lanes>>(kernel: K) -> K::Output {
            kernel.run()
        }
        unsafe { with_instructions(kernel) }
    }
}

#[inline(always)]
fn zero_columns() -> Columns {
    [Avx512Lanes::ZEROS.0[0]; 10]
}

#[inline(always)]
fn product(a: &Avx512Lanes, b: &Avx512Lanes) -> Avx512Lanes {
    let mut columns = zero_columns();
    multiply_add(&mut columns, a, b);
    normalize(reduce(columns))
}

#[inline(always)]
fn multiply_add(columns: &mut Columns, a: &Avx512Lanes, b: &Avx512Lanes) {
    for i in 0..5 {
        for j in 0..5 {
            unsafe {
                columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], a.0[i], b.0[j]);
                columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], a.0[i], b.0[j]);
            }
        }
    }
}

/// Columns of `columns / 2^260` up to a multiple of `p`, with carries pending: more by less than `2 p`.
#[inline(always)]
fn reduce(mut columns: Columns) -> [__m512i; 5] {
    unsafe {
        for i in 0..4 {
            let factor = columns[i];
            columns[i + 1] = _mm512_add_epi64(columns[i + 1], _mm512_srli_epi64::<LIMB>(factor));
            add_multiple(&mut columns, i + 1, factor, &LIMB_INVERSE);
        }
        let inverse = _mm512_set1_epi64(NEGATIVE_INVERSE as i64);
        let factor = _mm512_madd52lo_epu64(_mm512_setzero_si512(), columns[4], inverse);
        add_multiple(&mut columns, 4, factor, &P);
        columns[5] = _mm512_add_epi64(columns[5], _mm512_srli_epi64::<LIMB>(columns[4]));
    }
    let [.., c5, c6, c7, c8, c9] = columns;
    [c5, c6, c7, c8, c9]
}

/// Adds `factor * by`, from the column `at` on; `factor`'s upper bits do not count.
#[inline(always)]
fn add_multiple(columns: &mut Columns, at: usize, factor: __m512i, by: &Limbs) {
    for j in 0..5 {
        unsafe {
            let limb = _mm512_set1_epi64(by[j] as i64);
            columns[at + j] = _mm512_madd52lo_epu64(columns[at + j], factor, limb);
            columns[at + j + 1] = _mm512_madd52hi_epu64(columns[at + j + 1], factor, limb);
        }
    }
}

/// Carries between columns.
#[inline(always)]
fn normalize(mut limbs: [__m512i; 5]) -> Avx512Lanes {
    for i in 0..4 {
        unsafe {
            limbs[i + 1] = _mm512_add_epi64(limbs[i + 1], _mm512_srli_epi64::<LIMB>(limbs[i]));
            limbs[i] = _mm512_and_si512(limbs[i], _mm512_set1_epi64(LIMB_MASK as i64));
        }
    }
    Avx512Lanes(limbs)
}

/// Carries and borrows between columns of a number that is not negative.
#[inline(always)]
fn normalize_signed(mut limbs: [__m512i; 5]) -> Avx512Lanes {
    for i in 0..4 {
        unsafe {
            limbs[i + 1] = _mm512_add_epi64(limbs[i + 1], _mm512_srai_epi64::<LIMB>(limbs[i]));
            limbs[i] = _mm512_and_si512(limbs[i], _mm512_set1_epi64(LIMB_MASK as i64));
        }
    }
    Avx512Lanes(limbs)
}

/// From less than `12 p` to less than `9 p`, from less than `7 p` to less than `4 p`. The top column, though it lacks carries,
/// decides: if it is more than that of `3 p`, so is the number; if not, the number is less than `3 p` and a few times `2^208`.
#[inline(always)]
fn subtract_3p_if_more(mut limbs: [__m512i; 5]) -> Avx512Lanes {
    unsafe {
        let more = _mm512_cmpgt_epu64_mask(limbs[4], _mm512_set1_epi64(P3[4] as i64));
        for i in 0..5 {
            let by = _mm512_set1_epi64(P3[i] as i64);
            limbs[i] = _mm512_mask_sub_epi64(limbs[i], more, limbs[i], by);
        }
    }
    normalize_signed(limbs)
}

/// From elements `(i, i + 4)` a row to the `i`-th words of all elements a row.
#[inline(always)]
fn transpose([r0, r1, r2, r3]: [__m512i; 4]) -> [__m512i; 4] {
    const EVEN: [u64; 8] = [0, 1, 8, 9, 4, 5, 12, 13];
    const ODD: [u64; 8] = [2, 3, 10, 11, 6, 7, 14, 15];
    unsafe {
        let (low01, high01) = (_mm512_unpacklo_epi64(r0, r1), _mm512_unpackhi_epi64(r0, r1));
        let (low23, high23) = (_mm512_unpacklo_epi64(r2, r3), _mm512_unpackhi_epi64(r2, r3));
        let even = _mm512_loadu_si512(EVEN.as_ptr().cast());
        let odd = _mm512_loadu_si512(ODD.as_ptr().cast());
        [
            _mm512_permutex2var_epi64(low01, even, low23),
            _mm512_permutex2var_epi64(high01, even, high23),
            _mm512_permutex2var_epi64(low01, odd, low23),
            _mm512_permutex2var_epi64(high01, odd, high23),
        ]
    }
}

/// From elements in Montgomery form `x 2^256` to `x 2^260`: sixteen times the words, less the greatest multiple of `p` that the
/// upper bits allow.
#[inline(always)]
fn times_16([w0, w1, w2, w3]: [__m512i; 4]) -> Avx512Lanes {
    unsafe {
        let mask = _mm512_set1_epi64(LIMB_MASK as i64);
        let limb1 = _mm512_or_si512(_mm512_srli_epi64::<48>(w0), _mm512_slli_epi64::<16>(w1));
        let limb2 = _mm512_or_si512(_mm512_srli_epi64::<36>(w1), _mm512_slli_epi64::<28>(w2));
        let limb3 = _mm512_or_si512(_mm512_srli_epi64::<24>(w2), _mm512_slli_epi64::<40>(w3));
        let top = _mm512_srli_epi64::<12>(w3);
        let mut limbs = [
            _mm512_and_si512(_mm512_slli_epi64::<4>(w0), mask),
            _mm512_and_si512(limb1, mask),
            _mm512_and_si512(limb2, mask),
            _mm512_and_si512(limb3, mask),
            top,
        ];
        let index = _mm512_srli_epi64::<TOP_SHIFT>(top);
        for i in 0..5 {
            let row = _mm512_loadu_si512(MULTIPLES[i].as_ptr().cast());
            limbs[i] = _mm512_sub_epi64(limbs[i], _mm512_permutexvar_epi64(index, row));
        }
        normalize_signed(limbs)
    }
}

const fn split([w0, w1, w2, w3]: [u64; 4]) -> Limbs {
    [
        w0 & LIMB_MASK,
        ((w0 >> 52) | (w1 << 12)) & LIMB_MASK,
        ((w1 >> 40) | (w2 << 24)) & LIMB_MASK,
        ((w2 >> 28) | (w3 << 36)) & LIMB_MASK,
        w3 >> 16,
    ]
}

/// `factor p`.
const fn multiple(factor: u64) -> Limbs {
    let mut out = [0; 5];
    let mut carry = 0;
    let mut i = 0;
    while i < 5 {
        let limb = P[i] * factor + carry;
        out[i] = limb & LIMB_MASK;
        carry = limb >> LIMB;
        i += 1;
    }
    out
}

const fn multiples() -> [[u64; 8]; 5] {
    let mut out = [[0; 8]; 5];
    let mut i = 0;
    while i < 8 {
        let mut factor = 0;
        // The top limb of a multiple, and one more for those below, does not exceed the bits.
        while multiple(factor + 1)[4] < (i as u64) << TOP_SHIFT {
            factor += 1;
        }
        let limbs = multiple(factor);
        let mut j = 0;
        while j < 5 {
            out[j][i] = limbs[j];
            j += 1;
        }
        i += 1;
    }
    out
}

/// `(NEGATIVE_INVERSE p + 1) / 2^52`.
const fn limb_inverse() -> Limbs {
    let mut out = [0; 5];
    let mut carry = 1u128;
    let mut i = 0;
    while i < 5 {
        let limb = P[i] as u128 * NEGATIVE_INVERSE as u128 + carry;
        if i > 0 {
            out[i - 1] = limb as u64 & LIMB_MASK;
        }
        carry = limb >> LIMB;
        i += 1;
    }
    out[4] = carry as u64;
    out
}

/// `value - p`, or `value` if it is less.
const fn reduce_once(value: [u64; 4]) -> [u64; 4] {
    let mut out = [0; 4];
    let mut borrow = false;
    let mut i = 0;
    while i < 4 {
        let (difference, first) = value[i].overflowing_sub(Fr::MODULUS.0[i]);
        let (difference, second) = difference.overflowing_sub(borrow as u64);
        out[i] = difference;
        borrow = first | second;
        i += 1;
    }
    if borrow { value } else { out }
}

/// `2^exponent mod p`.
const fn power_of_two(exponent: usize) -> [u64; 4] {
    let mut value = [1, 0, 0, 0];
    let mut i = 0;
    while i < exponent {
        let [w0, w1, w2, w3] = value;
        value = reduce_once([
            w0 << 1,
            (w1 << 1) | (w0 >> 63),
            (w2 << 1) | (w1 >> 63),
            (w3 << 1) | (w2 >> 63),
        ]);
        i += 1;
    }
    value
}

/// `p - value`, of a value that is not zero.
const fn negate(value: [u64; 4]) -> [u64; 4] {
    let mut out = [0; 4];
    let mut borrow = false;
    let mut i = 0;
    while i < 4 {
        let (difference, first) = Fr::MODULUS.0[i].overflowing_sub(value[i]);
        let (difference, second) = difference.overflowing_sub(borrow as u64);
        out[i] = difference;
        borrow = first | second;
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests;
