//! Eight field elements at a time: Montgomery multiplication by AVX-512 IFMA.
//!
//! A [`Packed`] is eight elements side by side, five limbs of 52 bits each, in Montgomery form of radix `2^260`. It is a
//! different form from [`Fr`](super::Fr)'s (radix `2^256`): convert with [`Packed::load`] and [`Packed::store`], or keep vectors packed.
//! A product of one factor in each form is in the form of radix `2^256`: so a slice of `Fr` can be scaled by a packed challenge
//! without conversions, through [`Packed::load_words`] and [`Packed::store_words`].
//!
//! Every method has the instruction set as a target feature: call them from functions that have it too
//! (`#[target_feature(enable = "avx512f,avx512ifma")]`), and those, once [`available`] said yes, through one `unsafe` call.
//! The scalar field is the reference that all of this must equal, and the path for other machines.
//!
//! **Bounds.** With `u = 2^253`, `u < p < 2u`, a packed value is less than `p + u + 2^210 < 1.7 p`, its limbs less than `2^52`. A product of
//! values below `c p` and `d p` is less than `(1 + c d / 84) p`, as `2^260 > 84 p`. Sums and differences find the multiple of `p` to take
//! off from the top limb alone: eight cases, one table.

#![expect(
    clippy::missing_safety_doc,
    reason = "one contract for all methods, given above"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "limb i of a times limb j of b goes to limb i + j"
)]

mod constants;
mod sums;

use std::arch::x86_64::*;
use std::marker::PhantomData;

use ark_ff::{AdditiveGroup, Fp, MontBackend, MontConfig};

use constants::Constants;

use crate::field::modulus::{FqConfig, FrConfig};
pub use sums::PackedProductSum;

/// Elements of a [`Packed`].
pub const LANES: usize = 8;

const LIMB_BITS: u32 = 52;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;
/// Position of `2^253` in the top limb.
const UNIT_SHIFT: u32 = 253 - 4 * LIMB_BITS;

/// True if this machine can run the methods of [`Packed`].
#[inline]
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// A prime field by its ark configuration.
type Element<C> = Fp<MontBackend<C, 4>, 4>;

/// Eight elements of the field of `C`: five vectors of limbs.
#[derive(Debug)]
#[repr(transparent)]
pub struct Packed<C> {
    limbs: [__m512i; 5],
    field: PhantomData<C>,
}

/// Eight scalars.
pub type PackedFr = Packed<FrConfig>;
/// Eight coordinates of points.
pub type PackedFq = Packed<FqConfig>;

impl<C> Clone for Packed<C> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Packed<C> {}

/// Limbs of 52 bits.
pub(super) const fn split(words: [u64; 4]) -> [u64; 5] {
    let [a, b, c, d] = words;
    [
        a & LIMB_MASK,
        (a >> 52 | b << 12) & LIMB_MASK,
        (b >> 40 | c << 24) & LIMB_MASK,
        (c >> 28 | d << 36) & LIMB_MASK,
        d >> 16,
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn set(value: u64) -> __m512i {
    _mm512_set1_epi64(value as i64)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn low(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    _mm512_madd52lo_epu64(sum, a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn high(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    _mm512_madd52hi_epu64(sum, a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn vector(values: &[i64; 8]) -> __m512i {
    // SAFETY: reads the 64 bytes of the array; no alignment is asked for.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[cfg(test)]
#[target_feature(enable = "avx512f,avx512ifma")]
fn lanes(vector: __m512i) -> [u64; 8] {
    let mut out = [0; 8];
    // SAFETY: writes the 64 bytes of the array; no alignment is asked for.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), vector) };
    out
}

/// Carries (signed) from limb to limb; the last keeps what is left.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn carry<const N: usize>(limbs: &mut [__m512i; N]) {
    let mask = set(LIMB_MASK);
    for limb in 1..N {
        let over = _mm512_srai_epi64::<LIMB_BITS>(limbs[limb - 1]);
        limbs[limb] = _mm512_add_epi64(limbs[limb], over);
        limbs[limb - 1] = _mm512_and_si512(limbs[limb - 1], mask);
    }
}

impl<C: MontConfig<4>> Packed<C> {
    #[inline(always)]
    fn new(limbs: [__m512i; 5]) -> Self {
        Self {
            limbs,
            field: PhantomData,
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn modulus() -> [__m512i; 5] {
        Constants::<C>::MODULUS.map(|limb| set(limb))
    }

    /// Eight zeros.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn zero() -> Self {
        Self::new([_mm512_setzero_si512(); 5])
    }

    /// `value` eight times.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn broadcast(value: Element<C>) -> Self {
        // 2^260 = 16 * 2^256.
        let sixteen = value.double().double().double().double();
        Self::new(split(sixteen.0.0).map(|limb| set(limb)))
    }

    /// The form of radix `2^260` of elements in the form of radix `2^256`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn load(values: &[Element<C>; LANES]) -> Self {
        let factor = Self::new(Constants::<C>::TO_PACKED.map(|limb| set(limb)));
        Self::load_words(values).mul(&factor)
    }

    /// The elements' words as they are: packed, they mean a sixteenth of the elements.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn load_words(values: &[Element<C>; LANES]) -> Self {
        Self::from_words(transpose_in(values.each_ref().map(|value| &value.0.0)))
    }

    /// The inverse of [`Self::load_words`]; canonical.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn store_words(&self, values: &mut [Element<C>; LANES]) {
        let words = self.canonical().to_words();
        transpose_out(words, values.each_mut().map(|value| &mut value.0.0));
    }

    /// The residue of the integer `sum_i limbs[i] 2^(52 i)`, for limbs below `2^63` (as an integer, not in Montgomery form).
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn from_sums(limbs: [__m512i; 6]) -> Self {
        let mut sums = [_mm512_setzero_si512(); 10];
        sums.iter_mut()
            .zip(limbs)
            .for_each(|(sum, limb)| *sum = limb);
        carry(&mut sums);
        let factor = Self::new(Constants::<C>::TWICE_REDUCED.map(|limb| set(limb)));
        Self::reduce(sums).mul(&factor)
    }

    /// Limbs of 52 bits.
    #[inline(always)]
    pub(crate) fn limbs(&self) -> [__m512i; 5] {
        self.limbs
    }

    /// As [`Self::load`] for at most eight elements; the rest is zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn load_partial(values: &[Element<C>]) -> Self {
        let mut all = [Element::<C>::ZERO; LANES];
        all.iter_mut()
            .zip(values)
            .for_each(|(to, from)| *to = *from);
        Self::load(&all)
    }

    /// The eight elements, canonical.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn store(&self) -> [Element<C>; LANES] {
        let factor = Self::new(Constants::<C>::FROM_PACKED.map(|limb| set(limb)));
        let mut values = [Element::<C>::ZERO; LANES];
        self.mul(&factor).store_words(&mut values);
        values
    }

    /// Limbs of 52 bits from words of 64, limb by limb; the integers are kept.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn from_words(words: [__m512i; 4]) -> Self {
        let mask = set(LIMB_MASK);
        let [a, b, c, d] = words;
        let or = |x, y| _mm512_and_si512(_mm512_or_si512(x, y), mask);
        Self::new([
            _mm512_and_si512(a, mask),
            or(_mm512_srli_epi64::<52>(a), _mm512_slli_epi64::<12>(b)),
            or(_mm512_srli_epi64::<40>(b), _mm512_slli_epi64::<24>(c)),
            or(_mm512_srli_epi64::<28>(c), _mm512_slli_epi64::<36>(d)),
            _mm512_srli_epi64::<16>(d),
        ])
    }

    /// Words of 64 bits from limbs of 52; the value must be canonical.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn to_words(self) -> [__m512i; 4] {
        let [a, b, c, d, e] = self.limbs;
        [
            _mm512_or_si512(a, _mm512_slli_epi64::<52>(b)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
        ]
    }

    /// `self + other`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn add(&self, other: &Self) -> Self {
        let mut sum = [_mm512_setzero_si512(); 5];
        for (limb, sum) in sum.iter_mut().enumerate() {
            *sum = _mm512_add_epi64(self.limbs[limb], other.limbs[limb]);
        }
        let units = _mm512_srli_epi64::<UNIT_SHIFT>(sum[4]);
        Self::corrected(sum, units, &Constants::<C>::SUM_CORRECTIONS)
    }

    /// `self - other`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn sub(&self, other: &Self) -> Self {
        let mut difference = [_mm512_setzero_si512(); 5];
        for limb in 0..5 {
            difference[limb] = _mm512_sub_epi64(self.limbs[limb], other.limbs[limb]);
        }
        // Four units up, so that the table starts at zero; one limb down, for a borrow from below.
        let offset = set((4 << UNIT_SHIFT) - 1);
        let units = _mm512_srli_epi64::<UNIT_SHIFT>(_mm512_add_epi64(difference[4], offset));
        Self::corrected(difference, units, &Constants::<C>::DIFFERENCE_CORRECTIONS)
    }

    /// `self - a - b`, for canonical `a` and `b`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn sub_two_canonical(&self, a: &Self, b: &Self) -> Self {
        let mut difference = [_mm512_setzero_si512(); 5];
        for limb in 0..5 {
            let once = _mm512_sub_epi64(self.limbs[limb], a.limbs[limb]);
            difference[limb] = _mm512_sub_epi64(once, b.limbs[limb]);
        }
        // As in `sub`, with two borrows; more than -3.1 and less than 2.6 units.
        let offset = set((4 << UNIT_SHIFT) - 2);
        let units = _mm512_srli_epi64::<UNIT_SHIFT>(_mm512_add_epi64(difference[4], offset));
        Self::corrected(difference, units, &Constants::<C>::DIFFERENCE_CORRECTIONS)
    }

    /// `p - self` as an integer, canonical if `self` is canonical and not zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn negated_canonical(&self) -> Self {
        let mut limbs = Self::modulus();
        for (limb, own) in limbs.iter_mut().zip(self.limbs) {
            *limb = _mm512_sub_epi64(*limb, own);
        }
        carry(&mut limbs);
        Self::new(limbs)
    }

    /// `self + self`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn double(&self) -> Self {
        self.add(self)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn corrected(mut limbs: [__m512i; 5], units: __m512i, table: &[[i64; 8]; 5]) -> Self {
        for (limb, corrections) in limbs.iter_mut().zip(table) {
            let correction = _mm512_permutexvar_epi64(units, vector(corrections));
            *limb = _mm512_add_epi64(*limb, correction);
        }
        carry(&mut limbs);
        Self::new(limbs)
    }

    /// `self * other`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn mul(&self, other: &Self) -> Self {
        let mut sums = [_mm512_setzero_si512(); 10];
        for (i, a) in self.limbs.into_iter().enumerate() {
            for (j, b) in other.limbs.into_iter().enumerate() {
                sums[i + j] = low(sums[i + j], a, b);
                sums[i + j + 1] = high(sums[i + j + 1], a, b);
            }
        }
        Self::reduce(sums)
    }

    /// Two products at once: neither waits for the other.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn mul_two(a: &[Self; 2], b: [&Self; 2]) -> [Self; 2] {
        let zero = _mm512_setzero_si512();
        let mut sums = [[zero; 10]; 2];
        for i in 0..5 {
            for j in 0..5 {
                for k in 0..2 {
                    let (x, y) = (a[k].limbs[i], b[k].limbs[j]);
                    sums[k][i + j] = low(sums[k][i + j], x, y);
                    sums[k][i + j + 1] = high(sums[k][i + j + 1], x, y);
                }
            }
        }
        let modulus = Self::modulus();
        let minus_inverse = set(Constants::<C>::MINUS_INVERSE);
        for i in 0..5 {
            for sums in &mut sums {
                Self::reduce_limb(sums, i, &modulus, minus_inverse);
            }
        }
        sums.map(|sums| Self::high_limbs(sums))
    }

    /// `self * self`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn square(&self) -> Self {
        let mut sums = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in i + 1..5 {
                sums[i + j] = low(sums[i + j], self.limbs[i], self.limbs[j]);
                sums[i + j + 1] = high(sums[i + j + 1], self.limbs[i], self.limbs[j]);
            }
        }
        for sum in &mut sums {
            *sum = _mm512_add_epi64(*sum, *sum);
        }
        for (i, limb) in self.limbs.into_iter().enumerate() {
            sums[2 * i] = low(sums[2 * i], limb, limb);
            sums[2 * i + 1] = high(sums[2 * i + 1], limb, limb);
        }
        Self::reduce(sums)
    }

    /// The Montgomery reduction of ten limbs of at most 63 bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce(mut sums: [__m512i; 10]) -> Self {
        let modulus = Self::modulus();
        let minus_inverse = set(Constants::<C>::MINUS_INVERSE);
        for i in 0..5 {
            Self::reduce_limb(&mut sums, i, &modulus, minus_inverse);
        }
        Self::high_limbs(sums)
    }

    /// Makes limb `i` vanish by a multiple of `p`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce_limb(
        sums: &mut [__m512i; 10],
        i: usize,
        modulus: &[__m512i; 5],
        minus_inverse: __m512i,
    ) {
        let zero = _mm512_setzero_si512();
        let factor = low(zero, sums[i], minus_inverse);
        let vanishing = low(sums[i], factor, modulus[0]);
        let over = _mm512_srli_epi64::<LIMB_BITS>(vanishing);
        // The next factor waits for this limb: three short sums rather than one long one.
        let own_high = high(sums[i + 1], factor, modulus[0]);
        let own_low = low(zero, factor, modulus[1]);
        sums[i + 1] = _mm512_add_epi64(_mm512_add_epi64(own_high, own_low), over);
        sums[i + 2] = high(sums[i + 2], factor, modulus[1]);
        for j in 2..5 {
            sums[i + j] = low(sums[i + j], factor, modulus[j]);
            sums[i + j + 1] = high(sums[i + j + 1], factor, modulus[j]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn high_limbs(sums: [__m512i; 10]) -> Self {
        let [_, _, _, _, _, mut limbs @ ..] = sums;
        carry(&mut limbs);
        Self::new(limbs)
    }

    /// The same elements with the least representatives.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn canonical(&self) -> Self {
        let modulus = Self::modulus();
        let mut reduced = self.limbs;
        for (limb, modulus) in reduced.iter_mut().zip(modulus) {
            *limb = _mm512_sub_epi64(*limb, modulus);
        }
        carry(&mut reduced);
        let below = negative_lanes(reduced[4]);
        self.select(below, &Self::new(reduced))
    }

    /// `self` in the lanes of `mask`, `other` in the rest.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn select(&self, mask: __mmask8, other: &Self) -> Self {
        let mut limbs = other.limbs;
        for (limb, own) in limbs.iter_mut().zip(self.limbs) {
            *limb = _mm512_mask_mov_epi64(*limb, mask, own);
        }
        Self::new(limbs)
    }

    /// Lanes whose values are the same; both must be canonical.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn equal_lanes(&self, other: &Self) -> __mmask8 {
        let mut differences = _mm512_setzero_si512();
        for (a, b) in self.limbs.into_iter().zip(other.limbs) {
            differences = _mm512_or_si512(differences, _mm512_xor_si512(a, b));
        }
        _mm512_cmpeq_epi64_mask(differences, _mm512_setzero_si512())
    }

    /// Lanes that are zero; must be canonical.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn zero_lanes(&self) -> __mmask8 {
        let [a, b, c, d, e] = self.limbs;
        let any = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
        let any = _mm512_or_si512(any, e);
        _mm512_cmpeq_epi64_mask(any, _mm512_setzero_si512())
    }

    /// The sum of the eight elements.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn sum_lanes(&self) -> Element<C> {
        self.store().into_iter().sum()
    }
}

/// Lanes that are negative.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn negative_lanes(vector: __m512i) -> __mmask8 {
    _mm512_cmplt_epi64_mask(vector, _mm512_setzero_si512())
}

/// Eight rows of four words to four vectors of eight.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn transpose_in(rows: [&[u64; 4]; 8]) -> [__m512i; 4] {
    // SAFETY: reads the 32 bytes of a row; no alignment is asked for.
    let [a, b, c, d, e, f, g, h] =
        rows.map(|row| unsafe { _mm256_loadu_si256(row.as_ptr().cast()) });
    let pair = |low, high| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
    let (a, b, c, d) = (pair(a, b), pair(c, d), pair(e, f), pair(g, h));
    // Words 0 and 2 (then 1 and 3) of rows 0, 2, 1, 3.
    let (even_low, odd_low) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (even_high, odd_high) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    let first = _mm512_setr_epi64(0, 4, 1, 5, 8, 12, 9, 13);
    let second = _mm512_setr_epi64(2, 6, 3, 7, 10, 14, 11, 15);
    [
        _mm512_permutex2var_epi64(even_low, first, even_high),
        _mm512_permutex2var_epi64(odd_low, first, odd_high),
        _mm512_permutex2var_epi64(even_low, second, even_high),
        _mm512_permutex2var_epi64(odd_low, second, odd_high),
    ]
}

/// Inverse of [`transpose_in`].
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn transpose_out(words: [__m512i; 4], rows: [&mut [u64; 4]; 8]) {
    let [a, b, c, d] = words;
    // Words 0 and 1 (then 2 and 3) of rows 0, 2, 4, 6, and of rows 1, 3, 5, 7.
    let (even_low, odd_low) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (even_high, odd_high) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    let store = |vector: __m512i, low: &mut [u64; 4], high: &mut [u64; 4]| {
        // SAFETY: writes the 32 bytes of a row each; no alignment is asked for.
        unsafe {
            _mm256_storeu_si256(low.as_mut_ptr().cast(), _mm512_castsi512_si256(vector));
            let upper = _mm512_extracti64x4_epi64::<1>(vector);
            _mm256_storeu_si256(high.as_mut_ptr().cast(), upper);
        }
    };
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    store(
        _mm512_permutex2var_epi64(even_low, first, even_high),
        r0,
        r2,
    );
    store(_mm512_permutex2var_epi64(odd_low, first, odd_high), r1, r3);
    store(
        _mm512_permutex2var_epi64(even_low, second, even_high),
        r4,
        r6,
    );
    store(_mm512_permutex2var_epi64(odd_low, second, odd_high), r5, r7);
}

#[cfg(test)]
mod tests;
