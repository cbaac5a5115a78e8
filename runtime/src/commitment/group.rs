//! The group, and what a discrete logarithm in it costs. No function outside this room names the curve.

pub use ark_bn254::{G1Affine as GroupElement, G1Projective as GroupSum};

/// What it is called.
pub const GROUP: &str = "BN254's G1";

/// An attack on discrete logarithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attack {
    /// What it is called.
    pub name: &'static str,
    /// log2 of its operations, rounded down.
    pub bits: u32,
    /// Where that follows from.
    pub source: &'static str,
}

/// The best that holds for any curve with these automorphisms: `sqrt(pi q / 12) = 2^125.8` additions, where `q` is the group's order. The six
/// automorphisms of a curve `y^2 = x^3 + b` save a factor of `sqrt(6)`.
pub const GENERIC_ATTACK: Attack = Attack {
    name: "Pollard's rho",
    bits: 125,
    source: "van Oorschot, Wiener, J. Cryptology 1999; Duursma, Gaudry, Morain, Asiacrypt 1999",
};

/// The best that is known for this curve: a pairing takes logarithms to the field of `p^12` elements, `p` of 254 bits, where the extended tower
/// number field sieve finds them. An estimate, of a cost that nobody has paid.
pub const BEST_ATTACK: Attack = Attack {
    name: "the number field sieve in the pairing's target field",
    bits: 100,
    source: "Kim, Barbulescu, ePrint 2015/1027; Barbulescu, Duquesne, ePrint 2017/334; draft-irtf-cfrg-pairing-friendly-curves",
};

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::Fr;
    use ark_ff::PrimeField;

    #[test]
    fn the_generic_attack_is_the_square_root_of_the_order() {
        let order = Fr::MODULUS.0.iter().rev();
        let order = order.fold(0f64, |sum, &limb| sum * 2f64.powi(64) + limb as f64);
        let additions = (std::f64::consts::PI * order / 12.0).sqrt();
        assert_eq!(GENERIC_ATTACK.bits, additions.log2() as u32);
        const { assert!(BEST_ATTACK.bits <= GENERIC_ATTACK.bits) };
    }
}
