//! Random mutations of proofs, and random bytes: all rejected, none panics.
//!
//! The test command runs a seeded sample. `ZKILN_MUTATIONS=100000 cargo test --release --test mutations` runs as many as asked for of a
//! tiny perceptron's proof and of random byte strings, and a fiftieth of that of a transformer's proof.

mod proofs;

use proofs::proven;
use rayon::prelude::*;
use zkiln_runtime::protocol::{Proof, verify};

fn count() -> u64 {
    std::env::var("ZKILN_MUTATIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1000)
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// A flipped bit, a random byte, a random canonical element, two swapped elements, a zeroed element, an element copied onto another, or another length.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    // Elements, or words of the header where they are few.
    let start = if bytes.len() >= Proof::HEADER_BYTES + 32 {
        Proof::HEADER_BYTES
    } else {
        0
    };
    let elements = (bytes.len() - start) / 32;
    let mut place = || start + 32 * random.below(elements);
    let (a, b) = (place(), place());
    match random.below(8) {
        0 => bytes[a + random.below(32)] ^= 1 << random.below(8),
        1 => bytes[a + random.below(32)] = random.next() as u8,
        2 => {
            bytes[a] = 0;
            bytes[a + 1..a + 32].fill_with(|| random.next() as u8);
        }
        3 => (0..32).for_each(|i| bytes.swap(a + i, b + i)),
        4 => bytes[a..a + 32].fill(0),
        5 => bytes.copy_within(a..a + 32, b),
        6 => bytes.truncate(random.below(bytes.len())),
        _ => bytes.extend((0..=random.below(64)).map(|i| i as u8)),
    }
}

fn all_rejected(model: &str, mutations: u64) {
    let (key, statement, proof) = proven(model);
    (0..mutations).into_par_iter().for_each(|seed| {
        let mut random = Random(seed);
        let mut bytes = proof.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, &mut random);
            if bytes.len() < 32 {
                break;
            }
        }
        if bytes != proof.as_bytes() {
            let result = verify(key.verifier_key(), &statement, &Proof::from_bytes(bytes));
            assert!(result.is_err(), "mutation {seed} was accepted");
        }
    });
}

#[test]
fn mutated_proofs_of_a_perceptron_are_rejected() {
    all_rejected("tiny_mlp", count());
}

#[test]
fn mutated_proofs_of_a_transformer_are_rejected() {
    all_rejected("nanoGPT", count() / 50);
}

#[test]
fn random_bytes_are_rejected() {
    let (key, statement, proof) = proven("tiny_mlp");
    (0..count()).into_par_iter().for_each(|seed| {
        let mut random = Random(seed);
        // Half of them have the right length, and half of those canonical elements.
        let len = if seed % 2 == 0 {
            proof.as_bytes().len()
        } else {
            random.below(2 * proof.as_bytes().len())
        };
        let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        if seed % 4 == 0 {
            let start = Proof::HEADER_BYTES.min(bytes.len());
            let elements = bytes[start..].chunks_exact_mut(32);
            elements.for_each(|element| element[0] &= 0x1f);
            bytes[..start].copy_from_slice(&proof.as_bytes()[..start]);
        }
        assert!(
            verify(key.verifier_key(), &statement, &Proof::from_bytes(bytes)).is_err(),
            "random bytes {seed} were accepted"
        );
    });
}
