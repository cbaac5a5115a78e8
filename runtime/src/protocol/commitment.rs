//! A hiding commitment to a tensor, the same for every model that takes or gives it.
//!
//! The integers, each axis padded with zeros to a power of two, row-major, are cut into rows of [`shown_row_log2`]; each is a Pedersen
//! commitment under a blinding factor of its own, derived from a secret, the shape and the tensor, so that no two tensors share factors: the
//! difference of their commitments would be that of the tensors. What is derived for one tensor opens its commitment, and says nothing of the
//! secret. Axes of length one do not count. Equal tensors of equal shapes under equal blindings have equal commitments; for different ones to be
//! equal, somebody must know a relation between generators.

use sha3::{Digest, Keccak256};

use crate::commitment::{
    Generators, GroupElement, add_all, blind_all, commit_rows, decode_points, encode_point,
};
use crate::field::Fr;
use crate::randomness::{Randomness, SEED_BYTES, system_seed};
use crate::statement::layout::pad;
use crate::statement::model::{cube_log2, shown_row_log2};
use crate::transcript::ELEMENT_BYTES;

/// A hiding commitment to a tensor of integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment(Vec<GroupElement>);

/// The secret that hides committed tensors; use it again to make proofs about the same tensor linkable. It stays with whoever commits: what
/// opens a single commitment is an [`OpeningSeed`].
#[derive(Clone, PartialEq, Eq)]
pub struct Blinding([u8; SEED_BYTES]);

/// What opens the commitment to one tensor: derived from a [`Blinding`] and the tensor, and of no use for any other.
#[derive(Clone, PartialEq, Eq)]
pub struct OpeningSeed([u8; SEED_BYTES]);

impl std::fmt::Debug for OpeningSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpeningSeed(..)")
    }
}

impl std::fmt::Debug for Blinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blinding(..)")
    }
}

impl Blinding {
    /// Fresh, from the operating system.
    pub fn random() -> Self {
        Self(system_seed())
    }

    /// From a seed that was kept.
    pub fn from_bytes(seed: [u8; SEED_BYTES]) -> Self {
        Self(seed)
    }

    /// To be kept, secretly.
    pub fn to_bytes(&self) -> [u8; SEED_BYTES] {
        self.0
    }

    /// For the tensor of this shape with these rows, commitments without blinding.
    pub(crate) fn opening_seed(&self, shape: &[u32], rows: &[GroupElement]) -> OpeningSeed {
        let mut hash = Keccak256::new();
        hash.update(b"zkiln opening");
        hash.update(self.0);
        absorb_shape(&mut hash, shape);
        rows.iter().for_each(|row| hash.update(encode_point(row)));
        OpeningSeed(hash.finalize().into())
    }
}

impl OpeningSeed {
    /// From an opening that was handed over.
    pub fn from_bytes(seed: [u8; SEED_BYTES]) -> Self {
        Self(seed)
    }

    /// To be handed over, with the tensor.
    pub fn to_bytes(&self) -> [u8; SEED_BYTES] {
        self.0
    }

    /// One factor for each of `rows` rows of a tensor of this shape of 32-bit integers.
    pub(crate) fn factors(&self, shape: &[u32], rows: usize) -> Vec<Fr> {
        let mut hash = Keccak256::new();
        hash.update(b"zkiln commitment to i32");
        hash.update(self.0);
        absorb_shape(&mut hash, shape);
        Randomness::from_seed("zkiln commitment", hash.finalize().into()).scalars(rows)
    }
}

/// Axes of length one do not count.
fn absorb_shape(hash: &mut Keccak256, shape: &[u32]) {
    let axes: Vec<u32> = shape.iter().copied().filter(|&len| len != 1).collect();
    hash.update((axes.len() as u64).to_le_bytes());
    axes.iter().for_each(|len| hash.update(len.to_le_bytes()));
}

impl Commitment {
    /// Commits to a tensor of true `shape`, row-major. `None` if its length is not that of the shape or an integer has more than 32 bits.
    pub fn new(shape: &[u32], integers: &[i64], blinding: &Blinding) -> Option<Self> {
        let rows = commit_tensor(shape, integers)?;
        let factors = blinding
            .opening_seed(shape, &rows)
            .factors(shape, rows.len());
        Some(Self::blinded(&rows, &factors))
    }

    /// Adds blinding to commitments that have none.
    pub(crate) fn blinded(rows: &[GroupElement], blinders: &[Fr]) -> Self {
        Self(add_all(rows, &blind_all(blinders)))
    }

    /// Whether it opens to this tensor.
    pub fn opens_to(&self, shape: &[u32], integers: &[i64], seed: &OpeningSeed) -> bool {
        commit_tensor(shape, integers)
            .is_some_and(|rows| Self::blinded(&rows, &seed.factors(shape, rows.len())) == *self)
    }

    // verify-path: begin
    /// The rows' commitments.
    pub(crate) fn rows(&self) -> &[GroupElement] {
        &self.0
    }

    /// Number of rows of a tensor.
    pub(crate) fn rows_of(shape: &[u32]) -> Option<usize> {
        1usize.checked_shl(cube_log2(shape).saturating_sub(shown_row_log2(shape).into()))
    }

    /// Length of the bytes of a commitment to a tensor.
    pub(crate) fn bytes(shape: &[u32]) -> Option<usize> {
        Self::rows_of(shape)?.checked_mul(ELEMENT_BYTES)
    }

    /// Compressed points.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(encode_point).collect()
    }

    /// Inverse of [`Self::to_bytes`]; `None` unless canonical points.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<ELEMENT_BYTES>();
        let points = decode_points(chunks)
            .into_iter()
            .collect::<Option<Vec<_>>>();
        points.filter(|_| rest.is_empty()).map(Self)
    }
    // verify-path: end
}

/// Unblinded commitments to the rows of a tensor of true `shape`; `None` if they do not fit, or an integer has more than 32 bits.
fn commit_tensor(shape: &[u32], integers: &[i64]) -> Option<Vec<GroupElement>> {
    let small = integers.iter().map(|&value| i32::try_from(value).ok());
    let small: Vec<i32> = small.collect::<Option<_>>()?;
    let expected: usize = shape.iter().map(|&len| len as usize).product();
    (small.len() == expected).then(|| commit_padded(shape, &pad(shape, small)))
}

/// Unblinded commitments to the rows of a padded tensor of true `shape`.
pub(crate) fn commit_padded(shape: &[u32], padded: &[i32]) -> Vec<GroupElement> {
    let row = 1usize << shown_row_log2(shape);
    commit_rows(&Generators::derive(row), padded, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commitments_bind_tensor_and_blinding() {
        let shape = [3, 100];
        let integers: Vec<i64> = (0..300).collect();
        let blinding = Blinding::random();
        let commitment = Commitment::new(&shape, &integers, &blinding).expect("fits");
        assert_eq!(commitment.rows().len(), 2);
        let seed_of = |blinding: &Blinding, integers: &[i64]| {
            blinding.opening_seed(&shape, &commit_tensor(&shape, integers).expect("fits"))
        };
        let seed = seed_of(&blinding, &integers);
        assert!(commitment.opens_to(&shape, &integers, &seed));
        assert!(commitment.opens_to(&[3, 1, 100], &integers, &seed));
        assert!(!commitment.opens_to(&shape, &integers, &seed_of(&Blinding::random(), &integers)));
        let mut other = integers.clone();
        other[299] += 1;
        assert!(!commitment.opens_to(&shape, &other, &seed));
        // What opens one tensor opens no other under the same blinding.
        let another = Commitment::new(&shape, &other, &blinding).expect("fits");
        assert!(another.opens_to(&shape, &other, &seed_of(&blinding, &other)));
        assert!(!another.opens_to(&shape, &other, &seed));
        assert_ne!(seed.to_bytes(), blinding.to_bytes());
        let again = Commitment::from_bytes(&commitment.to_bytes());
        assert_eq!(again, Some(commitment));
    }

    #[test]
    fn a_commitment_opens_to_one_shape() {
        let integers: Vec<i64> = (0..8).collect();
        let blinding = Blinding::from_bytes([3; 32]);
        let commitment = Commitment::new(&[2, 4], &integers, &blinding).expect("fits");
        let rows = commit_tensor(&[2, 4], &integers).expect("fits");
        let seed = blinding.opening_seed(&[2, 4], &rows);
        // Nor the same numbers in another shape, under the same blinding.
        let flat = Commitment::new(&[8], &integers, &blinding).expect("fits");
        assert!(!flat.opens_to(&[8], &integers, &seed));
        for (shape, opens) in [
            (&[2, 4][..], true),
            (&[4, 2], false),
            (&[8], false),
            (&[2, 1, 4], true),
        ] {
            assert_eq!(commitment.opens_to(shape, &integers, &seed), opens);
        }
    }

    #[test]
    fn rows_follow_from_the_shape() {
        let rows = |shape: &[u32]| Commitment::rows_of(shape);
        assert_eq!(rows(&[255]), Some(1));
        assert_eq!(rows(&[1024, 4096]), Some(1 << 11));
        assert_eq!(rows(&[300, 300]), Some(1 << 9));
        assert_eq!(rows(&[1 << 13, 1 << 13]), Some(1 << 14));
    }

    #[test]
    fn what_cannot_be_committed_is_none() {
        let blinding = Blinding::from_bytes([3; 32]);
        assert_eq!(Commitment::new(&[2], &[1], &blinding), None);
        assert_eq!(Commitment::new(&[1], &[1 << 40], &blinding), None);
        assert_eq!(Commitment::from_bytes(&[0; 33]), None);
        assert_eq!(Commitment::from_bytes(&[0xff; 32]), None);
    }
}
