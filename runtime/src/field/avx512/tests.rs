//! Eight lanes against one.

use super::*;
use ark_ff::{BigInt, Field, PrimeField};
use proptest::prelude::*;

use crate::field::modulus::{FqConfig, FrConfig};

fn element<C: MontConfig<4>>() -> impl Strategy<Value = Element<C>> {
    let mut largest = C::MODULUS.0;
    largest[0] -= 1;
    prop_oneof![
        1 => Just(Element::<C>::ZERO),
        1 => Just(Element::<C>::ONE),
        1 => Just(-Element::<C>::ONE),
        1 => Just(Fp::new_unchecked(BigInt(largest))),
        1 => any::<u64>().prop_map(|small| Fp::new_unchecked(BigInt([small, 0, 0, 0]))),
        5 => any::<[u64; 4]>().prop_map(|limbs| {
            Element::<C>::from_le_bytes_mod_order(&limbs.map(u64::to_le_bytes).concat())
        }),
    ]
}

fn eight<C: MontConfig<4>>() -> impl Strategy<Value = [Element<C>; 8]> {
    prop::array::uniform8(element::<C>())
}

fn map2<C: MontConfig<4>>(
    a: &[Element<C>; 8],
    b: &[Element<C>; 8],
    f: impl Fn(Element<C>, Element<C>) -> Element<C>,
) -> [Element<C>; 8] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn in_bounds<C: MontConfig<4>>(value: &Packed<C>) {
    for limb in &value.limbs {
        assert!(lanes(*limb).iter().all(|lane| lane >> LIMB_BITS == 0));
    }
    // 1.7 p in the top limb.
    let bound = (C::MODULUS.0[3] >> 16) * 17 / 10;
    assert!(lanes(value.limbs[4]).iter().all(|lane| *lane < bound));
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn operations<C: MontConfig<4>>(a: [Element<C>; 8], b: [Element<C>; 8]) {
    let (x, y) = (Packed::<C>::load(&a), Packed::<C>::load(&b));
    assert_eq!(x.store(), a);
    assert_eq!(x.add(&y).store(), map2(&a, &b, |a, b| a + b));
    assert_eq!(x.sub(&y).store(), map2(&a, &b, |a, b| a - b));
    assert_eq!(x.mul(&y).store(), map2(&a, &b, |a, b| a * b));
    assert_eq!(x.square().store(), a.map(|a| a.square()));
    let [xy, yy] = Packed::mul_two(&[x, y], [&y, &y]);
    assert_eq!(xy.store(), x.mul(&y).store());
    assert_eq!(yy.store(), y.square().store());
    let (cx, cy) = (x.canonical(), y.canonical());
    for minuend in [x, cx, Packed::zero(), x.add(&x)] {
        let slow = minuend.sub(&x).sub(&y);
        let fast = minuend.sub_two_canonical(&cx, &cy);
        in_bounds(&fast);
        assert_eq!(fast.store(), slow.store());
    }
    let mut words = [Element::<C>::ZERO; 8];
    Packed::load_words(&a)
        .mul(&Packed::broadcast(b[0]))
        .store_words(&mut words);
    assert_eq!(words, a.map(|a| a * b[0]));
    assert_eq!(cx.negated_canonical().store(), a.map(|a| -a));
    let zeros = a.map(|a| u8::from(a == Element::<C>::ZERO));
    let mask = zeros.iter().rev().fold(0, |mask, zero| mask << 1 | zero);
    assert_eq!(cx.zero_lanes(), mask);
    assert_eq!(cx.equal_lanes(&Packed::zero()), mask);
    assert_eq!(cx.equal_lanes(&x.add(&y).sub(&y).canonical()), 0xff);
    assert_eq!(Packed::<C>::broadcast(a[0]).store(), [a[0]; 8]);
    assert_eq!(x.sum_lanes(), a.into_iter().sum());
    assert_eq!(
        Packed::<C>::load_partial(&a[..3]).sum_lanes(),
        a[0] + a[1] + a[2]
    );

    // A random walk through all operations stays in bounds and equal.
    let (mut slow, mut fast) = (a, x);
    for step in 0..40u64 {
        match (a[0].0.0[0] ^ step.wrapping_mul(0x9e37_79b9)) >> 3 & 7 {
            0 | 1 => (slow, fast) = (map2(&slow, &b, |s, b| s + b), fast.add(&y)),
            2 | 3 => (slow, fast) = (map2(&slow, &b, |s, b| s - b), fast.sub(&y)),
            4 => (slow, fast) = (map2(&slow, &b, |s, b| b - s), y.sub(&fast)),
            5 => (slow, fast) = (slow.map(|s| s.double()), fast.double()),
            6 => (slow, fast) = (slow.map(|s| s.square()), fast.square()),
            _ => (slow, fast) = (map2(&slow, &b, |s, b| s * b), fast.mul(&y)),
        }
        in_bounds(&fast);
        assert_eq!(fast.store(), slow);
    }
    let mut sum = PackedProductSum::<C>::new();
    let mut slow_sum = [Element::<C>::ZERO; 8];
    let widest = x.add(&y);
    for step in 0..200 {
        let (left, right) = if step % 2 == 0 {
            (x, y)
        } else {
            (widest, widest)
        };
        sum.add(&left, &right);
        slow_sum = map2(
            &slow_sum,
            &map2(&left.store(), &right.store(), |a, b| a * b),
            |s, p| s + p,
        );
        in_bounds(&sum.finish());
        assert_eq!(sum.finish().store(), slow_sum);
    }
}

proptest! {
    #[test]
    fn equals_scalar_fr(a in eight::<FrConfig>(), b in eight::<FrConfig>()) {
        if available() {
            // SAFETY: the instructions are there.
            unsafe { operations::<FrConfig>(a, b) }
        }
    }

    #[test]
    fn equals_scalar_fq(a in eight::<FqConfig>(), b in eight::<FqConfig>()) {
        if available() {
            // SAFETY: the instructions are there.
            unsafe { operations::<FqConfig>(a, b) }
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn edges<C: MontConfig<4>>() {
    // Integers around the multiples of p and of 2^253 that the tables decide by, within the bounds.
    let modulus = Constants::<C>::MODULUS.map(i128::from);
    let limbs_of = |multiple: i128, unit: i128, offset: i128| {
        let mut limbs = modulus.map(|limb| limb * multiple);
        limbs[4] += unit << UNIT_SHIFT;
        limbs[0] += offset;
        for i in 1..5 {
            limbs[i] += limbs[i - 1] >> LIMB_BITS;
            limbs[i - 1] &= i128::from(LIMB_MASK);
        }
        limbs
    };
    let bound = limbs_of(1, 1, 0)[4];
    let mut values = Vec::new();
    for (multiple, unit) in [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (-1, 2), (2, -1)] {
        for offset in [-2, -1, 0, 1, 2, 1 << 51] {
            let limbs = limbs_of(multiple, unit, offset);
            if (0..=bound).contains(&limbs[4]) {
                values.push(Packed::<C>::new(limbs.map(|limb| set(limb as u64))));
            }
        }
    }
    assert!(values.len() > 30);
    for x in &values {
        for y in &values {
            let (a, b) = (x.store(), y.store());
            for (fast, slow) in [
                (x.add(y), map2(&a, &b, |a, b| a + b)),
                (x.sub(y), map2(&a, &b, |a, b| a - b)),
                (x.mul(y), map2(&a, &b, |a, b| a * b)),
            ] {
                in_bounds(&fast);
                assert_eq!(fast.store(), slow);
            }
        }
    }
}

#[test]
fn edges_of_the_tables() {
    if available() {
        // SAFETY: the instructions are there.
        unsafe {
            edges::<FrConfig>();
            edges::<FqConfig>();
        }
    }
}
