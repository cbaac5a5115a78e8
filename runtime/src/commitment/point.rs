//! Points as the prover's and verifier's sums hold them.

use ark_bn254::{Fq, G1Affine};
use ark_ff::{AdditiveGroup, BigInt};

/// True if additions run eight at a time, and coordinates have their radix.
#[inline]
pub(super) fn vectorized() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        crate::field::avx512::available()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// An affine point: canonical Montgomery words of its coordinates, on a cache line of its own. Both zero for the identity.
///
/// The radix is `2^260` where the machine adds eight points at a time ([`vectorized`]), `2^256` elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Point {
    pub(super) x: [u64; 4],
    pub(super) y: [u64; 4],
}

impl Point {
    pub(super) const IDENTITY: Self = Self {
        x: [0; 4],
        y: [0; 4],
    };

    /// In this machine's radix.
    pub(super) fn from_affine(point: &G1Affine) -> Self {
        let words = |coordinate: Fq| {
            if vectorized() {
                coordinate.double().double().double().double().0.0
            } else {
                coordinate.0.0
            }
        };
        Self {
            x: words(point.x),
            y: words(point.y),
        }
    }

    /// From this machine's radix.
    pub(super) fn to_affine(self) -> G1Affine {
        // Montgomery words 2^252 of radix 2^256.
        const SIXTEENTH: Fq = Fq::new_unchecked(BigInt([0, 0, 0, 1 << 60]));
        let element = |words: [u64; 4]| {
            let element = Fq::new_unchecked(BigInt(words));
            if vectorized() {
                element * SIXTEENTH
            } else {
                element
            }
        };
        G1Affine::new_unchecked(element(self.x), element(self.y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commitment::Generators;
    use ark_ec::AffineRepr;

    #[test]
    fn roundtrip() {
        for point in Generators::derive(20).points() {
            assert_eq!(Point::from_affine(point).to_affine(), *point);
        }
        assert_eq!(Point::from_affine(&G1Affine::identity()), Point::IDENTITY);
        assert!(Point::IDENTITY.to_affine().is_zero());
    }
}
