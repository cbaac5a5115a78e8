//! Powers to a public exponent, eight at a time: square roots of points' coordinates.

use ark_bn254::Fq;
use ark_ff::Field;

use crate::field::avx512::{LANES, PackedFq};

/// Each value to the power with these hexadecimal digits, most significant first.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn to_power(values: &[Fq; LANES], digits: &[u8]) -> [Fq; LANES] {
    let base = PackedFq::load(values);
    let one = PackedFq::broadcast(Fq::ONE);
    let mut powers = [one; 16];
    let mut power = one;
    for slot in powers.iter_mut().skip(1) {
        power = power.mul(&base);
        *slot = power;
    }
    let mut result = one;
    for digit in digits {
        for _ in 0..4 {
            result = result.square();
        }
        if let Some(power) = powers.get(usize::from(*digit)).filter(|_| *digit != 0) {
            result = result.mul(power);
        }
    }
    result.store()
}
