//! Nothing-up-my-sleeve generators, hashed to the curve by trying and incrementing.
//!
//! `G_i` has as x coordinate the first of `Keccak256("zkiln generators v1" || i || counter)`, counter = 0, 1, ..., that is below q
//! (of its low 254 bits) and on the curve; its y is even.
//!
//! The first of them are stored, so that nobody hashes them at each start: `generators.bin`, made by the test that compares it with the hash, which
//! [`stored_are_hashed`] does as well.

use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use ark_bn254::{Fq, G1Affine};
use ark_ff::{BigInt, PrimeField};
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use super::batch_affine::double_all;
use super::encoding::{limbs, point_from_x};
use super::point::Point;

const DOMAIN: &[u8] = b"zkiln generators v1";
const BLINDING_DOMAIN: &[u8] = b"zkiln blinding v1";
/// A digit of a 32-bit integer can stand at any of its bits.
pub(super) const SHIFTS: usize = 32;

/// The first generators: for each 32 bytes of x and 32 of y, least significant first.
static STORED: &[u8] = include_bytes!("generators.bin");

/// Fixed bases of the commitments, with what the prover precomputes for them.
#[derive(Debug)]
pub struct Generators {
    points: Vec<G1Affine>,
    shifted: OnceLock<Vec<Point>>,
}

/// All that were derived in this process.
static DERIVED: Mutex<Vec<Arc<Generators>>> = Mutex::new(Vec::new());

impl Generators {
    /// The first `len` generators. The shorter list is a prefix of the longer. Kept for the whole process.
    pub fn derive(len: usize) -> Arc<Self> {
        if let Some(found) = Self::known(|known| known.len() == len) {
            return found;
        }
        // No lock is held while threads work: a worker that waits may take up another proof, which would wait for its own lock.
        let longer = Self::known(|known| known.len() > len);
        let points = match longer {
            Some(longer) => longer.points().iter().copied().take(len).collect(),
            None => (0..len)
                .into_par_iter()
                .map(|index| stored(index).unwrap_or_else(|| hash_to_curve(DOMAIN, index)))
                .collect(),
        };
        let generators = Arc::new(Self {
            points,
            shifted: OnceLock::new(),
        });
        let mut derived = DERIVED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = derived.iter().find(|known| known.len() == len) {
            return found.clone();
        }
        derived.push(generators.clone());
        generators
    }

    fn known(wanted: impl Fn(&Self) -> bool) -> Option<Arc<Self>> {
        let derived = DERIVED.lock().unwrap_or_else(PoisonError::into_inner);
        derived.iter().find(|known| wanted(known)).cloned()
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// `G_0, G_1, ...`
    pub fn points(&self) -> &[G1Affine] {
        &self.points
    }

    /// `2^shift G_j` at index `shift * len + j`, for shifts below [`SHIFTS`]; 2 KiB a generator, made at the first commitment.
    pub(super) fn shifted(&self) -> &[Point] {
        // As in `derive`, nobody waits for anybody: two proofs at the same time may both make it.
        match self.shifted.get() {
            Some(table) => table,
            None => {
                let table = self.make_shifted();
                self.shifted.get_or_init(|| table)
            }
        }
    }

    fn make_shifted(&self) -> Vec<Point> {
        let chunk_len = self.len().div_ceil(rayon::current_num_threads()).max(1);
        let mut table = Vec::with_capacity(SHIFTS * self.len());
        table.extend(self.points.iter().map(Point::from_affine));
        for _ in 1..SHIFTS {
            let from = table.len() - self.len();
            let doubled: Vec<_> = table[from..]
                .par_chunks(chunk_len)
                .map(double_all)
                .collect();
            doubled
                .iter()
                .for_each(|part| table.extend_from_slice(part));
        }
        table
    }
}

/// `H`, the base of blinding factors: hashed like the others, under a name of its own.
pub fn blinding_generator() -> G1Affine {
    static BLINDING: LazyLock<G1Affine> = LazyLock::new(|| hash_to_curve(BLINDING_DOMAIN, 0));
    *BLINDING
}

/// A stored generator.
fn stored(index: usize) -> Option<G1Affine> {
    let (points, _) = STORED.as_chunks::<64>();
    let (coordinates, _) = points.get(index)?.as_chunks::<32>();
    let [x, y] = coordinates else { return None };
    let [x, y] = [x, y].map(|bytes| Fq::from_bigint(BigInt(limbs(bytes))));
    Some(G1Affine::new_unchecked(x?, y?))
}

/// Whether every generator that is stored is the one that is hashed.
pub fn stored_are_hashed() -> bool {
    let (points, rest) = STORED.as_chunks::<64>();
    let is_hashed = |index| stored(index) == Some(hash_to_curve(DOMAIN, index));
    rest.is_empty() && (0..points.len()).into_par_iter().all(is_hashed)
}

fn hash_to_curve(domain: &[u8], index: usize) -> G1Affine {
    (0u64..)
        .find_map(|counter| {
            let mut hash = Keccak256::new();
            hash.update(domain);
            hash.update((index as u64).to_le_bytes());
            hash.update(counter.to_le_bytes());
            let [a, b, c, d] = limbs(&hash.finalize().into());
            point_from_x(
                Fq::from_bigint(BigInt([a, b, c, d & (u64::MAX >> 2)]))?,
                false,
            )
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::{AdditiveGroup, AffineRepr, CurveGroup};

    #[test]
    fn distinct_points_of_the_curve_and_prefixes() {
        let long = Generators::derive(300);
        let short = Generators::derive(17);
        assert_eq!(short.points(), &long.points()[..17]);
        assert!(Arc::ptr_eq(&long, &Generators::derive(300)));
        assert!(Generators::derive(0).is_empty());
        let mut seen = std::collections::HashSet::new();
        for point in long.points() {
            assert!(point.is_on_curve() && !point.is_zero() && seen.insert(point.x));
        }
    }

    /// Workers that wait for each other's derivations must not deadlock.
    #[test]
    fn derivation_inside_parallel_work() {
        (0..64usize).into_par_iter().for_each(|task| {
            let generators = Generators::derive(400 + task % 3);
            assert_eq!(generators.shifted().len(), SHIFTS * generators.len());
        });
    }

    /// Rows of this length need no hashing.
    const STORED_LOG2: usize = 12;

    #[test]
    fn stored_generators_are_the_hashed_ones() {
        if std::env::var_os("ZKILN_BLESS").is_some() {
            let points = (0..1 << STORED_LOG2).map(|index| hash_to_curve(DOMAIN, index));
            let limbs = points.flat_map(|point| [point.x, point.y].map(|c| c.into_bigint().0));
            let bytes: Vec<u8> = limbs.flatten().flat_map(u64::to_le_bytes).collect();
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/commitment/generators.bin");
            std::fs::write(path, bytes).unwrap();
        }
        assert_eq!(STORED.len(), 64 << STORED_LOG2, "made with ZKILN_BLESS=1");
        assert!(stored_are_hashed());
        let beyond = Generators::derive((1 << STORED_LOG2) + 1);
        assert_eq!(
            beyond.points()[1 << STORED_LOG2],
            hash_to_curve(DOMAIN, 1 << STORED_LOG2)
        );
    }

    #[test]
    fn derivation_is_pinned() {
        let generators = Generators::derive(300);
        let bytes: Vec<u8> = generators
            .points()
            .iter()
            .flat_map(super::super::encode_point)
            .collect();
        let digest: [u8; 32] = Keccak256::digest(&bytes).into();
        assert_eq!(digest[..4], [88, 63, 24, 242]);
    }

    #[test]
    fn shifted_are_doublings() {
        let generators = Generators::derive(5);
        for (j, point) in generators.points().iter().enumerate() {
            let mut shifted = point.into_group();
            for shift in 0..SHIFTS {
                assert_eq!(
                    generators.shifted()[shift * 5 + j].to_affine(),
                    shifted.into_affine()
                );
                shifted.double_in_place();
            }
        }
    }
}
