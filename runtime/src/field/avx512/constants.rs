//! What a field's Montgomery arithmetic with radix 2^260 needs to know.

use super::*;

/// Numbers that a field needs.
pub(super) struct Constants<C>(PhantomData<C>);

impl<C: MontConfig<4>> Constants<C> {
    pub(super) const MODULUS: [u64; 5] = {
        let top = C::MODULUS.0[3];
        assert!(top >> 61 == 1, "the modulus must have 254 bits");
        split(C::MODULUS.0)
    };
    /// `-p^-1 mod 2^52`.
    pub(super) const MINUS_INVERSE: u64 = C::INV & LIMB_MASK;
    /// `-floor(unit * 2^253 / p) * p` for units 0, 1, ..., 7, limb by limb.
    pub(super) const SUM_CORRECTIONS: [[i64; 8]; 5] = Self::corrections(0);
    /// The same for units -4, -3, ..., 3.
    pub(super) const DIFFERENCE_CORRECTIONS: [[i64; 8]; 5] = Self::corrections(-4);

    /// `2^264 mod p`: multiplying by it takes radix `2^256` to radix `2^260`.
    pub(super) const TO_PACKED: [u64; 5] = split(Self::power_of_two(264));
    /// `2^520 mod p`: makes up for two reductions.
    pub(super) const TWICE_REDUCED: [u64; 5] = split(Self::power_of_two(520));
    /// `2^256 mod p`: multiplying by it takes radix `2^260` to radix `2^256`.
    pub(super) const FROM_PACKED: [u64; 5] = split(C::R.0);

    /// `2^exponent mod p`, for exponents of at least 256.
    pub(super) const fn power_of_two(exponent: u32) -> [u64; 4] {
        let mut words = C::R.0;
        let mut reached = 256;
        while reached < exponent {
            words = double_modulo(words, C::MODULUS.0);
            reached += 1;
        }
        words
    }

    pub(super) const fn corrections(first_unit: i64) -> [[i64; 8]; 5] {
        let top = Self::MODULUS[4] as i64;
        let mut out = [[0; 8]; 5];
        let mut index = 0;
        while index < 8 {
            // The modulus is not a multiple of 2^208, so its top limb plus one is above it, and the floor may come out one
            // too small only where `unit * 2^253` is within 2^211 of a multiple: nowhere but at zero.
            let units = (first_unit + index as i64) << UNIT_SHIFT;
            let multiple = -units.div_euclid(if units < 0 { top } else { top + 1 });
            let mut limb = 0;
            while limb < 5 {
                out[limb][index] = multiple * Self::MODULUS[limb] as i64;
                limb += 1;
            }
            index += 1;
        }
        out
    }
}

/// `2 words mod modulus`, for `words < modulus < 2^255`.
const fn double_modulo(words: [u64; 4], modulus: [u64; 4]) -> [u64; 4] {
    let mut doubled = [0; 4];
    let mut reduced = [0; 4];
    let mut borrow = false;
    let mut limb = 0;
    while limb < 4 {
        let below = if limb == 0 { 0 } else { words[limb - 1] >> 63 };
        doubled[limb] = words[limb] << 1 | below;
        let (once, first) = doubled[limb].overflowing_sub(modulus[limb]);
        let (twice, second) = once.overflowing_sub(borrow as u64);
        reduced[limb] = twice;
        borrow = first || second;
        limb += 1;
    }
    if borrow { doubled } else { reduced }
}
