//! Field arithmetic as the sumcheck over the tree needs it: several elements at once, reductions delayed.
//!
//! [`Lanes`] is implemented by [`Fr`] itself (one lane, the reference of every other) and by vectors where the machine has them.

use ark_ff::{AdditiveGroup, BigInt, MontConfig, PrimeField};

use crate::field::{Fr, FrConfig};

/// Most weighted terms that a [`Lanes::Sum`] may hold (log2).
pub const SUM_LOG2: usize = 7;

/// `WIDTH` field elements.
///
/// A value is *reduced* when it is small enough for every method; all methods return reduced values, but for
/// [`diff`](Lanes::diff) and [`diff_mul_add`](Lanes::diff_mul_add), which return factors for [`product`](Lanes::product) and
/// [`products`](Lanes::products) only.
pub trait Lanes: Copy + Send + Sync + 'static {
    /// Elements.
    const WIDTH: usize;
    /// Zero in each lane.
    const ZEROS: Self;
    /// One element, the same for all lanes.
    type Constant: Copy + Send + Sync;
    /// An unreduced sum of weighted values.
    type Sum: Copy;

    /// A constant.
    fn constant(value: Fr) -> Self::Constant;
    /// The constant in each lane.
    fn splat(value: Self::Constant) -> Self;
    /// One element a lane.
    fn load<'a>(element: impl Fn(usize) -> &'a Fr) -> Self;
    /// One small integer a lane.
    fn load_integers(element: impl Fn(usize) -> i64) -> Self;
    /// Writes the elements to `out`, lane by lane.
    fn store(self, out: &mut [Fr]);

    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self * other`.
    fn product(self, other: Self) -> Self;
    /// `a * b + c * d`.
    fn products(a: Self, b: Self, c: Self, d: Self) -> Self;
    /// `low + at * (high - low)`.
    fn bind(low: Self, high: Self, at: Self::Constant) -> Self;
    /// `self * by + to`.
    fn mul_add(self, by: Self::Constant, to: Self) -> Self;
    /// `self - other`, a factor.
    fn diff(self, other: Self) -> Self;
    /// `self * by + to` of two factors, a factor.
    fn diff_mul_add(self, by: Self::Constant, to: Self) -> Self;

    /// Asks for values soon to be read.
    fn prefetch(values: &[Self; 4]);

    /// The empty sum.
    fn sum() -> Self::Sum;
    /// Adds `weight * value` to at most `2^SUM_LOG2 - 1` others.
    fn accumulate(sum: &mut Self::Sum, weight: Self::Constant, value: Self);
    /// The sum.
    fn total(sum: Self::Sum) -> Self;

    /// Runs `kernel` compiled for the instructions that these lanes use.
    fn vectorize<K: Kernel<Self>>(kernel: K) -> K::Output;
}

/// A loop over lanes; `run` must be `#[inline(always)]`, and so must all that it calls on lanes.
pub trait Kernel<L: Lanes> {
    /// What it computes.
    type Output;
    /// Computes it.
    fn run(self) -> Self::Output;
}

/// Sum of all lanes.
#[inline(always)]
pub fn total<L: Lanes>(lanes: L) -> Fr {
    let mut elements = vec![Fr::ZERO; L::WIDTH];
    lanes.store(&mut elements);
    elements.into_iter().sum()
}

impl Lanes for Fr {
    const WIDTH: usize = 1;
    const ZEROS: Self = <Fr as AdditiveGroup>::ZERO;
    type Constant = Fr;
    type Sum = [u64; 9];

    #[inline(always)]
    fn constant(value: Fr) -> Fr {
        value
    }

    #[inline(always)]
    fn splat(value: Fr) -> Fr {
        value
    }

    #[inline(always)]
    fn load<'a>(element: impl Fn(usize) -> &'a Fr) -> Self {
        *element(0)
    }

    #[inline(always)]
    fn load_integers(element: impl Fn(usize) -> i64) -> Self {
        Fr::from(element(0))
    }

    #[inline(always)]
    fn store(self, out: &mut [Fr]) {
        out[0] = self;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (sum, _) = add(&self.0.0, &other.0.0);
        // Less than 2 p < 2^256.
        let (difference, borrow) = subtract(&sum, &MODULUS);
        add_modulus_if(difference, borrow)
    }

    #[inline(always)]
    fn product(self, other: Self) -> Self {
        self * other
    }

    #[inline(always)]
    fn products(a: Self, b: Self, c: Self, d: Self) -> Self {
        // 2 p^2 < 2^512: no carry.
        let (wide, _) = add(&wide_product(&a, &b), &wide_product(&c, &d));
        from_montgomery(wide)
    }

    #[inline(always)]
    fn bind(low: Self, high: Self, at: Fr) -> Self {
        (high.diff(low) * at).add(low)
    }

    #[inline(always)]
    fn mul_add(self, by: Fr, to: Self) -> Self {
        (self * by).add(to)
    }

    #[inline(always)]
    fn diff(self, other: Self) -> Self {
        let (difference, borrow) = subtract(&self.0.0, &other.0.0);
        add_modulus_if(difference, borrow)
    }

    #[inline(always)]
    fn diff_mul_add(self, by: Fr, to: Self) -> Self {
        (self * by).add(to)
    }

    #[inline(always)]
    fn prefetch(_: &[Self; 4]) {}

    #[inline(always)]
    fn sum() -> Self::Sum {
        [0; 9]
    }

    #[inline(always)]
    fn accumulate(sum: &mut Self::Sum, weight: Fr, value: Self) {
        let wide = wide_product(&weight, &value);
        let mut carry = false;
        for (to, limb) in sum.iter_mut().zip(wide) {
            (*to, carry) = to.carrying_add(limb, carry);
        }
        sum[8] += u64::from(carry);
    }

    /// `sum < 2^7 p^2`, so that `sum / 2^256 + p < 26 p` after the reduction.
    #[inline(always)]
    fn total(sum: Self::Sum) -> Self {
        let [s0, s1, s2, s3, s4, s5, s6, s7, s8] = sum;
        let (r, carry) = montgomery([s0, s1, s2, s3, s4, s5, s6, s7]);
        let mut value = [r[0], r[1], r[2], r[3], s8 + u64::from(carry)];
        for log2 in (0..5).rev() {
            subtract_if_not_less(&mut value, &shifted_modulus(log2));
        }
        Fr::new_unchecked(BigInt([value[0], value[1], value[2], value[3]]))
    }

    #[inline(always)]
    fn vectorize<K: Kernel<Self>>(kernel: K) -> K::Output {
        kernel.run()
    }
}

const MODULUS: [u64; 4] = Fr::MODULUS.0;

/// `2^log2 p`.
const fn shifted_modulus(log2: u32) -> [u64; 5] {
    let [m0, m1, m2, m3] = MODULUS;
    if log2 == 0 {
        return [m0, m1, m2, m3, 0];
    }
    let back = 64 - log2;
    [
        m0 << log2,
        (m1 << log2) | (m0 >> back),
        (m2 << log2) | (m1 >> back),
        (m3 << log2) | (m2 >> back),
        m3 >> back,
    ]
}

#[inline(always)]
fn add<const N: usize>(a: &[u64; N], b: &[u64; N]) -> ([u64; N], bool) {
    let mut sum = [0; N];
    let mut carry = false;
    for i in 0..N {
        (sum[i], carry) = a[i].carrying_add(b[i], carry);
    }
    (sum, carry)
}

#[inline(always)]
fn subtract<const N: usize>(a: &[u64; N], b: &[u64; N]) -> ([u64; N], bool) {
    let mut difference = [0; N];
    let mut borrow = false;
    for i in 0..N {
        (difference[i], borrow) = a[i].borrowing_sub(b[i], borrow);
    }
    (difference, borrow)
}

/// Without a branch: for sums and differences no prediction holds.
#[inline(always)]
fn add_modulus_if(value: [u64; 4], condition: bool) -> Fr {
    let mask = u64::from(condition).wrapping_neg();
    let (sum, _) = add(&value, &MODULUS.map(|limb| limb & mask));
    Fr::new_unchecked(BigInt(sum))
}

#[inline(always)]
fn subtract_if_not_less<const N: usize>(value: &mut [u64; N], by: &[u64; N]) {
    let (difference, borrow) = subtract(value, by);
    if !borrow {
        *value = difference;
    }
}

#[inline(always)]
fn wide_product(a: &Fr, b: &Fr) -> [u64; 8] {
    let (a, b) = (a.0.0, b.0.0);
    let mut wide = [0u64; 8];
    for i in 0..4 {
        let mut carry = 0;
        for j in 0..4 {
            (wide[i + j], carry) = a[i].carrying_mul_add(b[j], wide[i + j], carry);
        }
        wide[i + 4] = carry;
    }
    wide
}

/// `wide / 2^256 mod p` up to a multiple of `p`: less than `wide / 2^256 + p`; the carry is worth `2^256`.
#[inline(always)]
fn montgomery(mut wide: [u64; 8]) -> ([u64; 4], bool) {
    let mut carry_in = false;
    for i in 0..4 {
        let factor = wide[i].wrapping_mul(<FrConfig as MontConfig<4>>::INV);
        let mut carry = 0;
        for j in 0..4 {
            (wide[i + j], carry) = factor.carrying_mul_add(MODULUS[j], wide[i + j], carry);
        }
        (wide[i + 4], carry_in) = wide[i + 4].carrying_add(carry, carry_in);
    }
    ([wide[4], wide[5], wide[6], wide[7]], carry_in)
}

/// `wide / 2^256 mod p` for `wide <= 2 p^2`, for which the result of [`montgomery`] is less than `2 p`.
#[inline(always)]
fn from_montgomery(wide: [u64; 8]) -> Fr {
    let (mut value, _) = montgomery(wide);
    subtract_if_not_less(&mut value, &MODULUS);
    Fr::new_unchecked(BigInt(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argument::logup::tests::random_field;
    use ark_ff::Field;

    #[test]
    fn scalar_lanes_equal_the_field() {
        let mut seed = 1;
        let mut random = || random_field(&mut seed);
        for round in 0..200 {
            let edge = |value: Fr| if round % 3 == 0 { -Fr::ONE } else { value };
            let [a, b, c, d] = [(); 4].map(|()| edge(random()));
            assert_eq!(a.product(b), a * b);
            assert_eq!(Fr::products(a, b, c, d), a * b + c * d);
            assert_eq!(Fr::bind(a, b, c), a + c * (b - a));
            let mut sum = Fr::sum();
            let mut expected = Fr::ZERO;
            for _ in 0..1 << SUM_LOG2 {
                let (weight, value) = (edge(random()), edge(random()));
                Fr::accumulate(&mut sum, weight, value);
                expected += weight * value;
            }
            assert_eq!(Fr::total(sum), expected);
        }
    }
}
