//! Eight lanes against one.

use super::*;
use crate::argument::logup::lanes::SUM_LOG2;
use crate::argument::logup::tests::random_field;
use ark_ff::Field;

fn elements(lanes: Avx512Lanes) -> [Fr; WIDTH] {
    let mut out = [Fr::ZERO; WIDTH];
    lanes.store(&mut out);
    out
}

/// Random elements and the worst ones.
fn random(seed: &mut u64) -> [Fr; WIDTH] {
    let mut out = [(); WIDTH].map(|()| random_field(seed));
    out[0] = -Fr::ONE;
    out[1] = Fr::ZERO;
    // All ones, and p - 1, in Montgomery form.
    out[2] = Fr::new_unchecked(BigInt([u64::MAX, u64::MAX, u64::MAX, 0]));
    let [w0, w1, w2, w3] = Fr::MODULUS.0;
    out[3] = Fr::new_unchecked(BigInt([w0 - 1, w1, w2, w3]));
    out
}

#[test]
fn equals_the_field() {
    if !crate::field::avx512::available() {
        return;
    }
    let mut seed = 1;
    for _ in 0..300 {
        let [a, b, c, d] = [(); 4].map(|()| random(&mut seed));
        let [x, y, z, w] = [a, b, c, d].map(|e| Avx512Lanes::load(|lane| &e[lane]));
        let s = d[7];
        let at = Avx512Lanes::constant(s);
        let all = |f: &dyn Fn(usize) -> Fr| std::array::from_fn::<Fr, WIDTH, _>(f);
        assert_eq!(elements(x), a);
        assert_eq!(elements(x.add(y)), all(&|i| a[i] + b[i]));
        assert_eq!(elements(x.product(y)), all(&|i| a[i] * b[i]));
        assert_eq!(
            elements(Avx512Lanes::products(x, y, z, w)),
            all(&|i| a[i] * b[i] + c[i] * d[i])
        );
        let bound = Avx512Lanes::bind(x, y, at);
        assert_eq!(elements(bound), all(&|i| a[i] + s * (b[i] - a[i])));
        assert_eq!(elements(x.mul_add(at, y)), all(&|i| a[i] * s + b[i]));
        let factor = x.diff(y).diff_mul_add(at, z.diff(w));
        let expected = all(&|i| (a[i] - b[i]) * s + c[i] - d[i]);
        assert_eq!(
            elements(Avx512Lanes::products(
                factor,
                x.diff(w),
                y.diff(x),
                z.diff(x)
            )),
            all(&|i| expected[i] * (a[i] - d[i]) + (b[i] - a[i]) * (c[i] - a[i]))
        );
        assert_eq!(elements(Avx512Lanes::splat(at)), [s; WIDTH]);
    }
}

/// Limbs of `4 p - 1`: the greatest that any method takes.
#[test]
fn bounds_hold() {
    if !crate::field::avx512::available() {
        return;
    }
    let mut limbs = multiple(4);
    limbs[0] -= 1;
    let most = Avx512Lanes::splat(limbs);
    let least = Avx512Lanes::ZEROS;
    let at = Avx512Lanes::constant(-Fr::ONE);
    let one = elements(most)[0];
    let less = |value: Avx512Lanes, bound: Limbs| {
        let mut rows = [[0u64; WIDTH]; 5];
        for (row, limb) in rows.iter_mut().zip(value.0) {
            unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), limb) };
        }
        let value: Limbs = std::array::from_fn(|i| rows[i][3]);
        assert!(value.iter().all(|limb| *limb <= LIMB_MASK));
        assert!(
            value.iter().rev().lt(bound.iter().rev()),
            "{value:x?} {bound:x?}"
        );
    };
    for value in [
        most.add(most),
        most.add(least),
        most.product(most),
        Avx512Lanes::bind(least, most, at),
        Avx512Lanes::bind(most, least, at),
        most.mul_add(at, most),
    ] {
        less(value, multiple(4));
    }
    let factor = most.diff(least);
    less(factor, multiple(9).map(|limb| limb + 1));
    let other = factor.diff_mul_add(at, factor);
    less(other, multiple(9));
    less(
        Avx512Lanes::products(factor, factor, other, factor),
        multiple(4),
    );
    let mut sum = Avx512Lanes::sum();
    for _ in 0..1 << SUM_LOG2 {
        Avx512Lanes::accumulate(&mut sum, at, most);
    }
    less(Avx512Lanes::total(sum), multiple(4));
    let terms = Fr::from(1u64 << SUM_LOG2);
    assert_eq!(elements(Avx512Lanes::total(sum)), [-one * terms; WIDTH]);
}

#[test]
fn loads_integers() {
    if !crate::field::avx512::available() {
        return;
    }
    let integers = [
        0,
        1,
        -1,
        i64::MAX,
        i64::MIN,
        -123_456_789,
        1 << 52,
        -(1 << 53),
    ];
    let lanes = Avx512Lanes::load_integers(|lane| integers[lane]);
    assert_eq!(elements(lanes), integers.map(Fr::from));
}
