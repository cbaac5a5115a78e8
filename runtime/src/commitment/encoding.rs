//! Canonical compressed points: exactly one string of 32 bytes for a point.
//!
//! Big-endian `x < q` in 254 bits; the first bit is the parity of `y`, the second marks the identity, whose other bits are zero.

use ark_bn254::{Fq, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, BigInteger, Field, PrimeField};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use crate::field::avx512;

const ODD_Y: u64 = 1 << 63;
const IDENTITY: u64 = 1 << 62;
/// Points that a thread decodes at a time.
const DECODED: usize = 64;

/// Canonical compressed bytes of a point (32 bytes).
pub fn encode_point(point: &G1Affine) -> [u8; 32] {
    let limbs = match point.xy() {
        None => [0, 0, 0, IDENTITY],
        Some((x, y)) => {
            let [a, b, c, d] = x.into_bigint().0;
            let sign = if y.into_bigint().is_odd() { ODD_Y } else { 0 };
            [a, b, c, d | sign]
        }
    };
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.rchunks_mut(8).zip(limbs) {
        chunk
            .iter_mut()
            .zip(limb.to_be_bytes())
            .for_each(|(to, from)| *to = from);
    }
    bytes
}

// verify-path: begin
/// Inverse of [`encode_point`]; `None` unless canonical and on the curve.
pub fn decode_point(bytes: &[u8; 32]) -> Option<G1Affine> {
    match parse(bytes)? {
        None => Some(G1Affine::identity()),
        Some((x, odd)) => point_from_x(x, odd),
    }
}

/// As [`decode_point`], of each: several square roots at a time.
pub fn decode_points(encodings: &[[u8; 32]]) -> Vec<Option<G1Affine>> {
    let decode = |encodings: &[[u8; 32]]| {
        let parsed: Vec<_> = encodings.iter().map(parse).collect();
        // What is no point has a root of its own, which nobody looks at.
        let squares: Vec<Fq> = parsed
            .iter()
            .map(|parsed| match parsed {
                Some(Some((x, _))) => right_side(*x),
                _ => Fq::ONE,
            })
            .collect();
        let roots = roots(&squares);
        let mut points = Vec::with_capacity(encodings.len());
        // len: one root each
        for ((parsed, square), root) in parsed.into_iter().zip(squares).zip(roots) {
            points.push(match parsed {
                None => None,
                Some(None) => Some(G1Affine::identity()),
                Some(Some((x, odd))) => point_with_root(x, square, root, odd),
            });
        }
        points
    };
    encodings
        .par_chunks(DECODED) // len: not zero
        .flat_map_iter(decode)
        .collect()
}

/// The coordinate and the parity of `y`, or none for the identity; `None` if it is not canonical.
fn parse(bytes: &[u8; 32]) -> Option<Option<(Fq, bool)>> {
    let mut limbs = [0; 4];
    let (chunks, _) = bytes.as_chunks::<8>();
    // len: four limbs of eight bytes
    for (limb, chunk) in limbs.iter_mut().rev().zip(chunks) {
        *limb = u64::from_be_bytes(*chunk);
    }
    let [a, b, c, top] = limbs;
    if top & IDENTITY != 0 {
        return ([a, b, c, top] == [0, 0, 0, IDENTITY]).then_some(None);
    }
    let x = Fq::from_bigint(BigInt([a, b, c, top & !ODD_Y]))?;
    Some(Some((x, top & ODD_Y != 0)))
}

/// Four little-endian limbs.
pub(super) fn limbs(bytes: &[u8; 32]) -> [u64; 4] {
    let mut limbs = [0; 4];
    let (chunks, _) = bytes.as_chunks::<8>();
    // len: four limbs of eight bytes
    for (limb, chunk) in limbs.iter_mut().zip(chunks) {
        *limb = u64::from_le_bytes(*chunk);
    }
    limbs
}

/// The point with this `x` and this parity of `y`, if there is one.
pub(super) fn point_from_x(x: Fq, odd: bool) -> Option<G1Affine> {
    let square = right_side(x);
    point_with_root(x, square, root(square), odd)
}

/// The curve's equation: `x^3 + 3`.
fn right_side(x: Fq) -> Fq {
    x.square() * x + Fq::from(3u64)
}

/// The point whose `y` has this square, if `root` is one, and this parity.
fn point_with_root(x: Fq, square: Fq, root: Fq, odd: bool) -> Option<G1Affine> {
    if root.square() != square {
        return None;
    }
    let y = if root.into_bigint().is_odd() == odd {
        root
    } else {
        -root
    };
    // No point has y = 0: the group's order is odd.
    Some(G1Affine::new_unchecked(x, y))
}
// verify-path: end

/// `(q + 1) / 4` in hexadecimal digits, most significant first.
const EXPONENT: [u8; 63] = exponent_digits();

const fn exponent_digits() -> [u8; 63] {
    let modulus = Fq::MODULUS.0;
    let mut digits = [0; 63];
    let mut i = 0;
    while i < 63 {
        // q = 3 mod 4, so (q + 1) / 4 = floor(q / 4) + 1, and the lowest digit of floor(q / 4) is not 15.
        let bit = 4 * (62 - i) + 2;
        let (limb, shift) = (bit / 64, bit % 64);
        let mut digit = modulus[limb] >> shift;
        if shift > 60 && limb < 3 {
            digit |= modulus[limb + 1] << (64 - shift);
        }
        digits[i] = (digit & 15) as u8;
        i += 1;
    }
    digits[62] += 1;
    digits
}

// verify-path: begin
/// [`root`] of each.
fn roots(values: &[Fq]) -> Vec<Fq> {
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        let mut found = Vec::with_capacity(values.len());
        // len: not zero
        for some in values.chunks(avx512::LANES) {
            let mut lanes = [Fq::ONE; avx512::LANES];
            let each = lanes.iter_mut().zip(some); // len: those that there are
            each.for_each(|(lane, value)| *lane = *value);
            // SAFETY: the instructions are there.
            let powers = unsafe { super::roots_avx512::to_power(&lanes, &EXPONENT) };
            found.extend(powers.into_iter().take(some.len()));
        }
        return found;
    }
    values.iter().map(|value| root(*value)).collect()
}

/// `a^((q + 1) / 4)`, one of the two roots of `a` if it has any: q is 3 modulo 4. By 252 squarings and 76 multiplications.
fn root(a: Fq) -> Fq {
    let mut powers = [Fq::ONE; 16];
    let mut power = Fq::ONE;
    for slot in powers.iter_mut().skip(1) {
        power *= a;
        *slot = power;
    }
    let mut root = Fq::ONE;
    for digit in EXPONENT {
        for _ in 0..4 {
            root.square_in_place();
        }
        if let Some(power) = powers.get(usize::from(digit)).filter(|_| digit != 0) {
            root *= power;
        }
    }
    root
}
// verify-path: end

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Fr, G1Projective};
    use ark_ec::{CurveGroup, PrimeGroup};
    use ark_ff::AdditiveGroup;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn many_are_decoded_as_each_is(kinds in prop::collection::vec((0..4u8, any::<u64>()), 0..150)) {
            let encodings: Vec<[u8; 32]> = kinds
                .into_iter()
                .map(|(kind, number)| {
                    let point = G1Projective::generator() * Fr::from(number);
                    let mut bytes = encode_point(&point.into_affine());
                    match kind {
                        0 => bytes = encode_point(&G1Affine::identity()),
                        1 => bytes[31] ^= number as u8,
                        2 => bytes[0] |= 0x40,
                        _ => {}
                    }
                    bytes
                })
                .collect();
            let each: Vec<_> = encodings.iter().map(decode_point).collect();
            prop_assert_eq!(decode_points(&encodings), each);
        }

        #[test]
        fn roundtrip(scalar in any::<u64>()) {
            let point = (G1Projective::generator() * Fr::from(scalar)).into_affine();
            for point in [point, -point] {
                prop_assert_eq!(decode_point(&encode_point(&point)), Some(point));
            }
        }

        #[test]
        fn any_bytes_decode_to_themselves_or_not_at_all(bytes in any::<[u8; 32]>(), top in 0u8..=255) {
            let mut bytes = bytes;
            bytes[0] = bytes[0] & 0x1f | top & 0xe0;
            if let Some(point) = decode_point(&bytes) {
                prop_assert!(point.is_on_curve());
                prop_assert_eq!(encode_point(&point), bytes);
            }
        }

        #[test]
        fn roots_of_squares(limbs in any::<[u64; 4]>()) {
            let a = Fq::from_le_bytes_mod_order(&limbs.map(u64::to_le_bytes).concat());
            let root = root(a.square());
            prop_assert!(root == a || root == -a);
            let is_square = super::root(a).square() == a;
            prop_assert_eq!(is_square, a.legendre().is_qr() || a == Fq::ZERO);
            prop_assert_eq!(roots(&[a; 11]), vec![super::root(a); 11]);
        }
    }

    #[test]
    fn identity_has_one_encoding() {
        let identity = G1Affine::identity();
        let bytes = encode_point(&identity);
        assert_eq!(decode_point(&bytes), Some(identity));
        for (index, bit) in [(0, 0x80), (31, 1), (17, 4)] {
            let mut other = bytes;
            other[index] |= bit;
            assert_eq!(decode_point(&other), None);
        }
    }

    #[test]
    fn x_of_at_least_q_is_rejected() {
        let generator = G1Affine::generator();
        let mut x = generator.x.into_bigint();
        x.add_with_carry(&Fq::MODULUS);
        for sign in [0, ODD_Y] {
            let mut limbs = x.0;
            limbs[3] |= sign;
            let limbs = limbs.iter().rev();
            let bytes: Vec<u8> = limbs.flat_map(|limb| limb.to_be_bytes()).collect();
            assert_eq!(decode_point(bytes.as_slice().try_into().unwrap()), None);
        }
        assert_eq!(decode_point(&[0xff; 32]), None);
    }
}
