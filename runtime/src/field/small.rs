//! Sums of products with one reduction: small integer by field element, and field element by field element.
//!
//! An [`Fr`] is held as `a R mod p`, four limbs, `R = 2^256`. A sum `sum v_i (a_i R)` over the integers is `(sum v_i a_i) R` up to
//! multiples of `p`, so it needs no Montgomery step, only one reduction of a wide integer. A sum of `(a_i R)(b_i R)` needs one.

use ark_ff::{AdditiveGroup, BigInt, MontConfig, PrimeField};
use rayon::prelude::*;

use super::Fr;
#[cfg(target_arch = "x86_64")]
use super::{avx512, small_avx512};

const MODULUS: [u64; 4] = Fr::MODULUS.0;
/// `-p^-1 mod 2^64`.
const MINUS_INVERSE: u64 = super::modulus::FrConfig::INV;
/// Values a thread takes at the least.
const PARALLEL_LEN: usize = 1 << 15;
/// Columns whose accumulators stay in the first-level cache.
const BLOCK_COLUMNS: usize = 256;

/// `value` as a field element.
#[inline]
pub fn from_i64(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// The element whose Montgomery form is congruent to `low + high * 2^256`.
#[inline]
fn from_wide(low: [u64; 4], high: i128) -> Fr {
    let mut low = low;
    // The quotient is at most five; the estimate from the top limb is at most one too small.
    let quotient = low[3] / (MODULUS[3] + 1);
    let mut carry = 0u64;
    let mut borrow = false;
    for (limb, modulus) in low.iter_mut().zip(MODULUS) {
        let (product, high) = modulus.carrying_mul(quotient, carry);
        carry = high;
        (*limb, borrow) = limb.borrowing_sub(product, borrow);
    }
    let mut low = BigInt(low);
    while low >= Fr::MODULUS {
        low.0 = subtract_modulus(low.0);
    }
    // Converting an integer multiplies it by R: exactly the weight of the high part.
    Fr::new_unchecked(low) + Fr::from(high)
}

#[inline]
fn subtract_modulus(mut limbs: [u64; 4]) -> [u64; 4] {
    let mut borrow = false;
    for (limb, modulus) in limbs.iter_mut().zip(MODULUS) {
        (*limb, borrow) = limb.borrowing_sub(modulus, borrow);
    }
    limbs
}

/// `sum value * weight` for values of 32 bits, reduced once; good for `2^31` terms.
///
/// Limbs below the top one are offset by `2^63` into signed 64-bit integers, so that a term is four signed multiplications
/// into four independent sums. The offset is repaid from the sum of the values.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmallAccumulator {
    limbs: [i128; 4],
    values: i128,
}

/// Montgomery limbs of a weight, the lower three offset by `-2^63`.
#[inline]
fn offset_limbs(weight: &Fr) -> [i64; 4] {
    let [a, b, c, d] = weight.0.0;
    [a ^ (1 << 63), b ^ (1 << 63), c ^ (1 << 63), d].map(|limb| limb as i64)
}

impl SmallAccumulator {
    /// The empty sum.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `value * weight`.
    #[inline]
    pub fn add(&mut self, value: i32, weight: &Fr) {
        self.add_limbs(value, &offset_limbs(weight));
    }

    #[inline]
    fn add_limbs(&mut self, value: i32, weight: &[i64; 4]) {
        for (sum, limb) in self.limbs.iter_mut().zip(weight) {
            *sum += i128::from(value) * i128::from(*limb);
        }
        self.values += i128::from(value);
    }

    /// Adds another sum.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        for (sum, limb) in self.limbs.iter_mut().zip(other.limbs) {
            *sum += limb;
        }
        self.values += other.values;
    }

    /// The sum.
    pub fn finish(&self) -> Fr {
        let offset = self.values << 63;
        let mut carry = 0i128;
        let mut low = [0u64; 4];
        for ((limb, sum), offset) in low
            .iter_mut()
            .zip(self.limbs)
            .zip([offset, offset, offset, 0])
        {
            carry += sum + offset;
            *limb = carry as u64;
            carry >>= 64;
        }
        from_wide(low, carry)
    }
}

/// `sum values[i] * weights[i]`.
///
/// # Panics
///
/// If the lengths differ.
pub fn dot_small(values: &[i32], weights: &[Fr]) -> Fr {
    assert_eq!(values.len(), weights.len(), "dot_small: lengths differ");
    if values.len() <= PARALLEL_LEN {
        return dot_small_serial(values, weights);
    }
    values
        .par_chunks(PARALLEL_LEN)
        .zip(weights.par_chunks(PARALLEL_LEN))
        .map(|(values, weights)| dot_small_serial(values, weights))
        .sum()
}

fn dot_small_serial(values: &[i32], weights: &[Fr]) -> Fr {
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        // SAFETY: the instructions are there.
        return unsafe { small_avx512::dot_small(values, weights) };
    }
    dot_small_scalar(values, weights)
}

pub(super) fn dot_small_scalar(values: &[i32], weights: &[Fr]) -> Fr {
    let mut sum = SmallAccumulator::new();
    for (value, weight) in values.iter().zip(weights) {
        sum.add(*value, weight);
    }
    sum.finish()
}

/// `sum_row weights[row] * rows[row]`: a vector of `row_len` elements. Rows are row-major and the last one may be short.
///
/// Rows of weight zero cost nothing; others cost one small multiply-add a value.
///
/// # Panics
///
/// If there is not one weight a row.
pub fn combine_rows_small(rows: &[i32], row_len: usize, weights: &[Fr]) -> Vec<Fr> {
    if rows.is_empty() || row_len == 0 {
        assert!(rows.is_empty() && weights.is_empty(), "rows without length");
        return vec![Fr::ZERO; row_len];
    }
    assert_eq!(
        rows.len().div_ceil(row_len),
        weights.len(),
        "combine_rows_small: one weight a row"
    );
    let threads = rayon::current_num_threads();
    let chunk_rows = weights
        .len()
        .div_ceil(2 * threads)
        .max((PARALLEL_LEN * 2).div_ceil(row_len));
    let combine = |(rows, weights): (&[i32], &[Fr])| {
        let weighted: Vec<(&[i32], &Fr)> = rows.chunks(row_len).zip(weights).collect();
        combine_slices_small(&weighted, row_len)
    };
    rows.par_chunks(chunk_rows * row_len)
        .zip(weights.par_chunks(chunk_rows))
        .map(combine)
        .reduce_with(|mut left, right| {
            left.iter_mut().zip(right).for_each(|(l, r)| *l += r);
            left
        })
        .unwrap_or_default()
}

/// As [`combine_rows_small`], in this thread, of rows that lie anywhere and may be short.
pub fn combine_slices_small(rows: &[(&[i32], &Fr)], row_len: usize) -> Vec<Fr> {
    let live: Vec<(&[i32], &Fr)> = rows
        .iter()
        .filter(|(row, weight)| **weight != Fr::ZERO && !row.is_empty())
        .copied()
        .collect();
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        // SAFETY: the instructions are there.
        return unsafe { small_avx512::combine_rows(&live, row_len) };
    }
    combine_rows_scalar(&live, row_len)
}

fn combine_rows_scalar(live: &[(&[i32], &Fr)], row_len: usize) -> Vec<Fr> {
    let mut out = Vec::with_capacity(row_len);
    let live: Vec<(&[i32], [i64; 4])> = live
        .iter()
        .map(|(row, weight)| (*row, offset_limbs(weight)))
        .collect();
    for from in (0..row_len).step_by(BLOCK_COLUMNS) {
        let columns = BLOCK_COLUMNS.min(row_len - from);
        let mut sums = vec![SmallAccumulator::new(); columns];
        for (row, weight) in &live {
            let to = (from + columns).min(row.len());
            let block = row.get(from..to).unwrap_or_default();
            for (sum, value) in sums.iter_mut().zip(block) {
                sum.add_limbs(*value, weight);
            }
        }
        out.extend(sums.iter().map(SmallAccumulator::finish));
    }
    out
}

/// `sum a * b` over field elements with one Montgomery reduction; good for `2^68` terms.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProductAccumulator {
    limbs: [u64; 9],
}

impl ProductAccumulator {
    /// The empty sum.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `a * b`.
    #[inline]
    pub fn add(&mut self, a: &Fr, b: &Fr) {
        self.add_wide(&wide_product(&a.0.0, &b.0.0));
    }

    #[inline]
    fn add_wide(&mut self, product: &[u64; 8]) {
        let mut carry = false;
        let [low @ .., top] = &mut self.limbs;
        for (sum, limb) in low.iter_mut().zip(product) {
            (*sum, carry) = sum.carrying_add(*limb, carry);
        }
        *top += u64::from(carry);
    }

    /// Adds another sum.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        let mut carry = false;
        for (sum, limb) in self.limbs.iter_mut().zip(other.limbs) {
            (*sum, carry) = sum.carrying_add(limb, carry);
        }
    }

    /// The sum.
    pub fn finish(&self) -> Fr {
        // Montgomery reduction: four times, make the lowest limb vanish by a multiple of p and drop it.
        let mut limbs = self.limbs;
        for start in 0..4 {
            let factor = limbs[start].wrapping_mul(MINUS_INVERSE);
            let mut carry = 0;
            for (limb, modulus) in limbs[start..].iter_mut().zip(MODULUS) {
                (*limb, carry) = factor.carrying_mul_add(modulus, *limb, carry);
            }
            let mut carry_bit = false;
            for limb in &mut limbs[start + 4..] {
                (*limb, carry_bit) = limb.carrying_add(std::mem::take(&mut carry), carry_bit);
            }
        }
        let [_, _, _, _, low @ .., high] = limbs;
        from_wide(low, i128::from(high))
    }
}

/// All 512 bits of a product.
#[inline]
fn wide_product(a: &[u64; 4], b: &[u64; 4]) -> [u64; 8] {
    let mut out = [0u64; 8];
    for (i, x) in a.iter().enumerate() {
        let mut carry = 0;
        for (limb, y) in out[i..i + 4].iter_mut().zip(b) {
            (*limb, carry) = x.carrying_mul_add(*y, *limb, carry);
        }
        out[i + 4] = carry;
    }
    out
}

/// `sum a[i] * b[i]`.
///
/// # Panics
///
/// If the lengths differ.
pub fn dot(a: &[Fr], b: &[Fr]) -> Fr {
    assert_eq!(a.len(), b.len(), "dot: lengths differ");
    if a.len() <= PARALLEL_LEN {
        return dot_serial(a, b);
    }
    a.par_chunks(PARALLEL_LEN / 4)
        .zip(b.par_chunks(PARALLEL_LEN / 4))
        .map(|(a, b)| dot_serial(a, b))
        .sum()
}

fn dot_serial(a: &[Fr], b: &[Fr]) -> Fr {
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        // SAFETY: the instructions are there.
        return unsafe { small_avx512::dot(a, b) };
    }
    dot_scalar(a, b)
}

pub(super) fn dot_scalar(a: &[Fr], b: &[Fr]) -> Fr {
    let mut sum = ProductAccumulator::new();
    for (a, b) in a.iter().zip(b) {
        sum.add(a, b);
    }
    sum.finish()
}

/// `low + at (high - low)` in place of each `low`: a variable of a table bound.
///
/// # Panics
///
/// If the lengths differ.
pub fn bind_halves(low: &mut [Fr], high: &[Fr], at: &Fr) {
    assert_eq!(low.len(), high.len(), "bind_halves: lengths differ");
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        // SAFETY: the instructions are there.
        return unsafe { small_avx512::bind_halves(low, high, at) };
    }
    bind_halves_scalar(low, high, at);
}

pub(super) fn bind_halves_scalar(low: &mut [Fr], high: &[Fr], at: &Fr) {
    for (low, high) in low.iter_mut().zip(high) {
        *low += *at * (*high - *low);
    }
}

/// `factor * sum + value` in place of each sum: a step of Horner's rule.
///
/// # Panics
///
/// If the lengths differ.
pub fn scale_and_add(sums: &mut [Fr], factor: &Fr, values: &[Fr]) {
    assert_eq!(sums.len(), values.len(), "scale_and_add: lengths differ");
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        // SAFETY: the instructions are there.
        return unsafe { small_avx512::scale_and_add(sums, factor, values) };
    }
    scale_and_add_scalar(sums, factor, values);
}

pub(super) fn scale_and_add_scalar(sums: &mut [Fr], factor: &Fr, values: &[Fr]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = *sum * factor + value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::Field;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = Fr> {
        prop_oneof![
            Just(Fr::ZERO),
            Just(Fr::ONE),
            Just(-Fr::ONE),
            Just(Fr::new_unchecked(BigInt(subtract_one(MODULUS)))),
            any::<[u64; 4]>().prop_map(|limbs| {
                Fr::from_le_bytes_mod_order(&limbs.map(u64::to_le_bytes).concat())
            }),
        ]
    }

    /// The largest Montgomery form there is.
    fn subtract_one(mut limbs: [u64; 4]) -> [u64; 4] {
        limbs[0] -= 1;
        limbs
    }

    fn small() -> impl Strategy<Value = i32> {
        prop_oneof![
            Just(0),
            Just(i32::MIN),
            Just(i32::MAX),
            -9..9i32,
            any::<i32>()
        ]
    }

    fn slow_small(values: &[i32], weights: &[Fr]) -> Fr {
        let terms = values.iter().zip(weights);
        terms.map(|(v, w)| from_i64(i64::from(*v)) * w).sum()
    }

    proptest! {
        #[test]
        fn dot_small_equals_slow(terms in prop::collection::vec((small(), element()), 0..60)) {
            let (values, weights): (Vec<i32>, Vec<Fr>) = terms.into_iter().unzip();
            let slow = slow_small(&values, &weights);
            prop_assert_eq!(dot_small(&values, &weights), slow);
            prop_assert_eq!(dot_small_scalar(&values, &weights), slow);
        }

        #[test]
        fn steps_equal_slow(
            terms in prop::collection::vec((element(), element()), 0..60),
            factor in element(),
        ) {
            let (a, b): (Vec<Fr>, Vec<Fr>) = terms.iter().copied().unzip();
            let of = |step: fn(&mut [Fr], &[Fr], &Fr)| {
                let mut a = a.clone();
                step(&mut a, &b, &factor);
                a
            };
            let slow: Vec<Fr> = terms.iter().map(|(a, b)| *a + factor * (*b - a)).collect();
            prop_assert_eq!(of(bind_halves), slow.clone());
            prop_assert_eq!(of(bind_halves_scalar), slow);
            let slow: Vec<Fr> = terms.iter().map(|(a, b)| *a * factor + b).collect();
            prop_assert_eq!(of(|a, b, factor| scale_and_add(a, factor, b)), slow.clone());
            prop_assert_eq!(of(|a, b, factor| scale_and_add_scalar(a, factor, b)), slow);
        }

        #[test]
        fn dot_equals_slow(terms in prop::collection::vec((element(), element()), 0..60)) {
            let (a, b): (Vec<Fr>, Vec<Fr>) = terms.iter().copied().unzip();
            let slow: Fr = terms.iter().map(|(a, b)| *a * b).sum();
            prop_assert_eq!(dot(&a, &b), slow);
            prop_assert_eq!(dot_scalar(&a, &b), slow);
        }

        #[test]
        fn combine_equals_slow(
            row_len in 1usize..600,
            weights in prop::collection::vec(element(), 1..6),
            missing in 0usize..600,
            seed in any::<u32>(),
        ) {
            let len = row_len * weights.len() - missing % row_len;
            let values: Vec<i32> = (0..len as u32)
                .map(|i| (i ^ seed).wrapping_mul(0x9e37_79b9) as i32 >> (i % 32))
                .collect();
            let combined = combine_rows_small(&values, row_len, &weights);
            let live: Vec<(&[i32], &Fr)> = values.chunks(row_len).zip(&weights).collect();
            prop_assert_eq!(&combined, &combine_rows_scalar(&live, row_len));
            prop_assert_eq!(combined.len(), row_len);
            for (column, sum) in combined.iter().enumerate() {
                let slow: Fr = weights.iter().enumerate().map(|(row, weight)| {
                    let value = values.get(row * row_len + column).copied().unwrap_or(0);
                    from_i64(i64::from(value)) * weight
                }).sum();
                prop_assert_eq!(*sum, slow);
            }
        }

        #[test]
        fn wide_integers_reduce(low in any::<[u64; 4]>(), high in any::<i64>()) {
            let slow = Fr::from_le_bytes_mod_order(&low.map(u64::to_le_bytes).concat())
                * Fr::from(2).pow([256]).inverse().unwrap()
                + from_i64(high);
            prop_assert_eq!(from_wide(low, i128::from(high)), slow);
        }
    }

    #[test]
    fn long_sums_of_extremes() {
        let len = 1 << 22;
        let largest = Fr::new_unchecked(BigInt(subtract_one(MODULUS)));
        for value in [i32::MIN, i32::MAX] {
            let mut sum = SmallAccumulator::new();
            (0..len).for_each(|_| sum.add(value, &largest));
            let expected = from_i64(i64::from(value) * len) * largest;
            assert_eq!(sum.finish(), expected);
            sum.merge(&sum.clone());
            assert_eq!(sum.finish(), expected.double());
            let (values, weights) = (vec![value; len as usize], vec![largest; len as usize]);
            assert_eq!(dot_small(&values, &weights), expected);
            let row = [value; 16];
            let rows = vec![row; 1 << 16];
            let combined = combine_rows_small(rows.as_flattened(), 16, &weights[..1 << 16]);
            let expected = from_i64(i64::from(value) << 16) * largest;
            assert_eq!(combined, vec![expected; 16]);
        }
        let mut sum = ProductAccumulator::new();
        (0..len).for_each(|_| sum.add(&largest, &largest));
        let expected = largest.square() * from_i64(len);
        assert_eq!(sum.finish(), expected);
        sum.merge(&sum.clone());
        assert_eq!(sum.finish(), expected.double());
        assert_eq!(
            dot(&vec![largest; 1 << 17], &vec![largest; 1 << 17]),
            largest.square() * from_i64(1 << 17)
        );
    }

    #[test]
    fn many_rows_in_parallel() {
        let (rows, row_len) = (700, 300);
        let values: Vec<i32> = (0..rows * row_len).map(|i| (i * i) as i32 >> 3).collect();
        let weights: Vec<Fr> = (0..rows as u64).map(|i| Fr::from(i % 7).pow([9])).collect();
        let combined = combine_rows_small(&values, row_len, &weights);
        for column in [0, 1, 255, 256, 299] {
            let one: Vec<i32> = (0..rows)
                .map(|row| values[row * row_len + column])
                .collect();
            assert_eq!(combined[column], slow_small(&one, &weights));
        }
        assert_eq!(combine_rows_small(&[], 4, &[]), vec![Fr::ZERO; 4]);
    }
}
