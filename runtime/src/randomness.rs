//! Secret scalars: blinding factors and masks.
//!
//! A stream of `Keccak256(domain || seed || counter)`, each block cut to 254 bits and dropped unless it is below the group's order: uniform
//! scalars if the hash is a random oracle and the seed is unknown. The seed comes from the operating system, or, for the
//! constants of a key, from a blinding key. It is wiped when the stream is dropped.

use ark_bn254::Fr;
use ark_ff::{BigInt, PrimeField};
use sha3::{Digest, Keccak256};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;

/// A stream of secret scalars.
pub struct Randomness {
    domain: &'static str,
    seed: Zeroizing<[u8; SEED_BYTES]>,
    counter: u64,
}

impl std::fmt::Debug for Randomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Randomness(..)")
    }
}

impl Randomness {
    /// Fresh randomness of the operating system.
    ///
    /// # Panics
    /// If the system has none to give: nothing secret can be proved then.
    pub fn from_system() -> Self {
        Self::from_seed("zkiln proof", system_seed())
    }

    /// The stream of a seed: as secret as the seed is. Streams of different domains are independent. Only the runtime itself derives randomness
    /// from seeds, and tests do.
    #[doc(hidden)]
    pub fn from_seed(domain: &'static str, seed: [u8; SEED_BYTES]) -> Self {
        Self {
            domain,
            seed: Zeroizing::new(seed),
            counter: 0,
        }
    }

    /// A stream of this one's seed and of `parts`, of what is to be hidden: as good as this one, and, where the system gives the same seed twice, still
    /// another for every other secret.
    pub fn hedged(self, parts: &[&[u8]]) -> Self {
        let mut hash = Keccak256::new();
        hash.update(b"zkiln hedged randomness");
        hash.update(*self.seed);
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self::from_seed(self.domain, hash.finalize().into())
    }

    /// The next scalar.
    pub fn scalar(&mut self) -> Fr {
        loop {
            let mut hash = Keccak256::new();
            hash.update(self.domain.as_bytes());
            hash.update([0]);
            hash.update(*self.seed);
            hash.update(self.counter.to_le_bytes());
            self.counter += 1;
            let mut block: [u8; 32] = hash.finalize().into();
            block[31] &= 0x3f;
            let mut limbs = [0u64; 4];
            for (limb, bytes) in limbs.iter_mut().zip(block.as_chunks::<8>().0) {
                *limb = u64::from_le_bytes(*bytes);
            }
            block.zeroize();
            if let Some(scalar) = Fr::from_bigint(BigInt(limbs)) {
                return scalar;
            }
        }
    }

    /// The next `len` scalars.
    pub fn scalars(&mut self, len: usize) -> Vec<Fr> {
        (0..len).map(|_| self.scalar()).collect()
    }
}

/// A seed of the operating system's randomness.
///
/// # Panics
/// If the system has none to give.
pub fn system_seed() -> [u8; SEED_BYTES] {
    let mut seed = [0; SEED_BYTES];
    getrandom::fill(&mut seed).expect("the operating system has randomness");
    seed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn streams_repeat_for_a_seed_and_differ_otherwise() {
        let stream = |domain, seed| Randomness::from_seed(domain, [seed; 32]).scalars(100);
        assert_eq!(stream("a", 1), stream("a", 1));
        let all: HashSet<Fr> = [stream("a", 1), stream("a", 2), stream("b", 1)]
            .concat()
            .into_iter()
            .collect();
        assert_eq!(all.len(), 300);
    }

    #[test]
    fn hedged_streams_depend_on_seed_and_every_part() {
        let stream = |seed, parts: &[&[u8]]| {
            let stream = Randomness::from_seed("a", [seed; 32]);
            stream.hedged(parts).scalar()
        };
        assert_eq!(stream(1, &[b"ab", b"c"]), stream(1, &[b"ab", b"c"]));
        let all: HashSet<Fr> = HashSet::from([
            stream(1, &[b"ab", b"c"]),
            stream(2, &[b"ab", b"c"]),
            stream(1, &[b"a", b"bc"]),
            stream(1, &[b"abc"]),
            stream(1, &[b"ab", b"d"]),
            stream(1, &[]),
            Randomness::from_seed("a", [1; 32]).scalar(),
        ]);
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn scalars_fill_the_field() {
        let scalars = Randomness::from_system().scalars(2000);
        let half = Fr::MODULUS_MINUS_ONE_DIV_TWO;
        let high = scalars.iter().filter(|s| s.into_bigint() > half).count();
        assert!(
            (800..1200).contains(&high),
            "{high} of 2000 in the upper half"
        );
    }
}
