//! Secret scalars: blinding factors and masks.
//!
//! A stream of `Keccak256(domain || seed || counter)`, each block cut to 254 bits and dropped unless it is below the group's order: uniform
//! scalars if the hash is a random oracle and the seed is unknown. The seed comes from the operating system, or, for the
//! constants of a key, from a blinding key. It is wiped when the stream is dropped.

use ark_ff::{BigInt, PrimeField};
use sha3::{Digest, Keccak256};
use zeroize::{Zeroize, Zeroizing};

use crate::field::Fr;

/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;

/// A stream of secret scalars.
pub struct Randomness {
    domain: &'static str,
    seed: Zeroizing<[u8; SEED_BYTES]>,
    counter: u64,
    #[cfg(test)]
    planted: faults::Planted,
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
            #[cfg(test)]
            planted: faults::Planted::default(),
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
        let hedged = Self::from_seed(self.domain, hash.finalize().into());
        #[cfg(test)]
        let hedged = self.plant_in(hedged);
        hedged
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
                #[cfg(test)]
                let scalar = self.planted.draw(scalar);
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
/// If the system has none to give, as `wasm32-unknown-unknown` without the feature `wasm_js`. Verifying needs none.
pub fn system_seed() -> [u8; SEED_BYTES] {
    #[cfg(any(
        feature = "wasm_js",
        not(all(target_arch = "wasm32", target_os = "unknown"))
    ))]
    {
        let mut seed = [0; SEED_BYTES];
        getrandom::fill(&mut seed).expect("the operating system has randomness");
        seed
    }
    #[cfg(all(
        target_arch = "wasm32",
        target_os = "unknown",
        not(feature = "wasm_js")
    ))]
    panic!("this system has no randomness: enable the feature `wasm_js`")
}

/// Faults of randomness, for the tests that have to find them.
#[cfg(test)]
pub(crate) mod faults {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is wrong with a stream; scalars are numbered as they are drawn.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// One more than it was: not a fault, but a way to see what depends on it.
        Moved(usize),
        /// Zero.
        Zero(usize),
        /// The same as an earlier one.
        Repeated { at: usize, of: usize },
        /// It is the system's, whatever it is to hide.
        Unhedged,
    }

    /// A stream's faults, and what was drawn.
    #[derive(Clone, Debug, Default)]
    pub(super) struct Planted {
        faults: Vec<Fault>,
        drawn: Arc<Mutex<Vec<Fr>>>,
    }

    impl Planted {
        /// What is drawn in the place of `scalar`.
        pub fn draw(&mut self, mut scalar: Fr) -> Fr {
            let mut drawn = self.drawn.lock().unwrap();
            for fault in &self.faults {
                match *fault {
                    Fault::Moved(at) if at == drawn.len() => scalar += Fr::from(1u64),
                    Fault::Zero(at) if at == drawn.len() => scalar = Fr::from(0u64),
                    Fault::Repeated { at, of } if at == drawn.len() => scalar = drawn[of],
                    _ => {}
                }
            }
            drawn.push(scalar);
            scalar
        }
    }

    impl Randomness {
        /// With faults, the later ones after the earlier ones; and what will be drawn.
        pub(crate) fn with_faults(mut self, faults: &[Fault]) -> (Self, Arc<Mutex<Vec<Fr>>>) {
            self.planted.faults = faults.to_vec();
            let drawn = self.planted.drawn.clone();
            (self, drawn)
        }

        /// The hedged stream of this one, with this one's faults.
        pub(super) fn plant_in(self, mut hedged: Self) -> Self {
            if self.planted.faults.contains(&Fault::Unhedged) {
                return self;
            }
            hedged.planted = self.planted;
            hedged
        }
    }
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
