//! The scalar field of the group in `commitment`, and its small-integer kernels.
//!
//! Everything that meets a witness is a small integer; everything that meets a challenge is an [`Fr`].
//! The kernels here multiply the one by the other, or add up many products, and reduce once at the end.
//!
//! This room knows numbers. It must not know what they are for: no points, no messages, no models.

use std::sync::LazyLock;

use ark_ff::{AdditiveGroup, Field, PrimeField};

#[cfg(target_arch = "x86_64")]
pub mod avx512;
mod eq;
mod inverse;
mod modulus;
mod small;
#[cfg(target_arch = "x86_64")]
mod small_avx512;

pub use eq::{eq_at, eq_eval, eq_table, less_than};
pub use inverse::inverse;
pub use modulus::Fr;
pub(crate) use modulus::FrConfig;
pub use small::{
    ProductAccumulator, SmallAccumulator, bind_halves, combine_rows_small, combine_slices_small,
    dot, dot_small, from_i64, scale_and_add,
};

/// log2 of the field's order, rounded down.
pub const FIELD_BITS: u32 = Fr::MODULUS_BIT_SIZE - 1;

/// `2^-power`.
pub fn half_power(power: usize) -> Fr {
    static HALF: LazyLock<Fr> = LazyLock::new(|| inverse(&Fr::ONE.double()).unwrap_or(Fr::ZERO));
    HALF.pow([power as u64])
}

/// Inverts every nonzero element with one inversion in all; zeros stay zero.
pub fn batch_invert(values: &mut [Fr]) {
    let mut running = Fr::ONE;
    let mut prefixes = Vec::with_capacity(values.len());
    for value in values.iter().filter(|value| **value != Fr::ZERO) {
        prefixes.push(running);
        running *= value;
    }
    let mut inverse = inverse(&running).unwrap_or(Fr::ONE);
    let nonzero = values.iter_mut().filter(|value| **value != Fr::ZERO);
    for (value, prefix) in nonzero.rev().zip(prefixes.into_iter().rev()) {
        let own = inverse * prefix;
        inverse *= *value;
        *value = own;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_double_to_one() {
        for power in [0usize, 1, 2, 31, 400] {
            assert_eq!(
                half_power(power) * Fr::from(2u64).pow([power as u64]),
                Fr::ONE
            );
        }
    }

    #[test]
    fn batch_invert_skips_zeros() {
        let mut values: Vec<Fr> = [3i64, 0, -1, 0, 0, 77, i64::MIN].map(from_i64).to_vec();
        let expected: Vec<Fr> = values
            .iter()
            .map(|value| value.inverse().unwrap_or(Fr::ZERO))
            .collect();
        batch_invert(&mut values);
        assert_eq!(values, expected);
        batch_invert(&mut []);
    }
}
