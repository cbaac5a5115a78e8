//! Hiding commitments to field elements: `sum_j values[j] G_j + blinder H`.
//!
//! `H` and the first few `G_j` have tables of the multiples of all digits: a scalar is written with 32 signed digits of eight bits, and a
//! multiple is a sum of 32 entries.

use std::sync::LazyLock;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AdditiveGroup, CurveGroup};
use ark_ff::PrimeField;
use rayon::prelude::*;

use super::batch_affine::{Entry, segment_sums};
use super::generators::{Generators, blinding_generator};
use super::msm::{msm, signed_digit};
use super::point::Point;

/// Bits of a digit.
const DIGIT_BITS: u32 = 8;
/// Digits of a scalar: 254 bits and a carry.
const DIGITS: u32 = 32;
/// Entries of a table for one digit: the multiples 1, .., 128.
const MULTIPLES: usize = 1 << (DIGIT_BITS - 1);
/// Generators with a table.
const TABLES: usize = 4;
/// Scalars whose blinding terms are summed in step.
const TASK: usize = 64;

/// Multiples of one base.
struct FixedBase(Vec<G1Affine>);

static BASES: LazyLock<Vec<FixedBase>> = LazyLock::new(|| {
    let generators = Generators::derive(TABLES);
    generators.points().iter().map(FixedBase::new).collect()
});

/// Multiples of `H`, as the batched sums have them.
static BLINDING: LazyLock<Vec<Point>> = LazyLock::new(|| {
    let FixedBase(table) = FixedBase::new(&blinding_generator());
    table.iter().map(Point::from_affine).collect()
});

impl FixedBase {
    fn new(base: &G1Affine) -> Self {
        let mut multiples = Vec::with_capacity(DIGITS as usize * MULTIPLES);
        let mut unit = G1Projective::from(*base);
        for _ in 0..DIGITS {
            let mut multiple = unit;
            for _ in 0..MULTIPLES {
                multiples.push(multiple);
                multiple += unit;
            }
            for _ in 0..DIGIT_BITS {
                unit.double_in_place();
            }
        }
        Self(G1Projective::normalize_batch(&multiples))
    }

    /// Adds `scalar * base`.
    fn add(&self, scalar: &Fr, sum: &mut G1Projective) {
        for (index, negative) in digits(scalar) {
            let multiple = self.0[index];
            if negative {
                *sum -= multiple;
            } else {
                *sum += multiple;
            }
        }
    }
}

/// Table indices of a scalar's digits, and their signs.
fn digits(scalar: &Fr) -> impl Iterator<Item = (usize, bool)> {
    let limbs = scalar.into_bigint().0;
    (0..DIGITS).filter_map(move |window| {
        let digit = signed_digit(&limbs, window, DIGIT_BITS);
        let multiple = (digit.unsigned_abs() as usize).checked_sub(1)?;
        Some((window as usize * MULTIPLES + multiple, digit < 0))
    })
}

/// `blinder * H` for every blinder.
pub fn blind_all(blinders: &[Fr]) -> Vec<G1Affine> {
    let table: &[Point] = &BLINDING;
    let task = |blinders: &[Fr]| -> Vec<G1Affine> {
        let mut entries = Vec::with_capacity(blinders.len() * DIGITS as usize);
        let mut lengths = Vec::with_capacity(blinders.len());
        for blinder in blinders {
            let before = entries.len();
            entries.extend(digits(blinder).map(|(index, negative)| Entry::new(index, negative)));
            lengths.push(entries.len() - before);
        }
        let sums = segment_sums(table, &entries, &lengths);
        sums.into_iter().map(Point::to_affine).collect()
    };
    blinders.par_chunks(TASK).flat_map_iter(task).collect()
}

/// `left + right` of each pair.
pub fn add_all(left: &[G1Affine], right: &[G1Affine]) -> Vec<G1Affine> {
    let sums: Vec<G1Projective> = left
        .par_iter()
        .zip_eq(right)
        .map(|(left, right)| *left + right)
        .collect();
    G1Projective::normalize_batch(&sums)
}

/// `value * G_0 + blinding` for each pair.
pub fn commit_scalars(terms: impl IntoIterator<Item = (Fr, G1Affine)>) -> Vec<G1Affine> {
    let base = &BASES[0];
    let commit = |(value, blinding): (Fr, G1Affine)| {
        let mut sum = G1Projective::from(blinding);
        base.add(&value, &mut sum);
        sum
    };
    let sums: Vec<G1Projective> = terms.into_iter().map(commit).collect();
    G1Projective::normalize_batch(&sums)
}

/// `sum_j values[j] G_j + blinding`.
pub fn commit_row(values: &[Fr], blinding: G1Affine) -> G1Affine {
    let mut sum = G1Projective::from(blinding);
    if values.len() <= TABLES {
        let pairs = BASES.iter().zip(values);
        pairs.for_each(|(base, value)| base.add(value, &mut sum));
    } else {
        sum += msm(Generators::derive(values.len()).points(), values);
    }
    sum.into_affine()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomness::Randomness;
    use ark_ff::Field;

    fn naive(values: &[Fr], blinder: Fr) -> G1Affine {
        let generators = Generators::derive(values.len());
        let terms = generators.points().iter().zip(values).map(|(g, v)| *g * v);
        let sum: G1Projective = terms.sum();
        (sum + blinding_generator() * blinder).into_affine()
    }

    #[test]
    fn commitments_are_sums_of_multiples() {
        let mut randomness = Randomness::from_seed("test", [7; 32]);
        for len in [1, 2, 3, 4, 5, 9, 130] {
            let (values, blinder) = (randomness.scalars(len), randomness.scalar());
            let blinding = blind_all(&[blinder])[0];
            assert_eq!(commit_row(&values, blinding), naive(&values, blinder));
        }
        let mut edges = vec![
            Fr::ZERO,
            Fr::ONE,
            -Fr::ONE,
            Fr::from(128u64),
            Fr::from(129u64),
        ];
        edges.push(Fr::from(2u64).pow([253]));
        edges.extend(randomness.scalars(100));
        let blindings = blind_all(&edges);
        let commitments = commit_scalars(edges.iter().copied().zip(blindings.iter().copied()));
        for ((edge, blinding), commitment) in edges.iter().zip(blindings).zip(commitments) {
            assert_eq!(blinding, naive(&[], *edge));
            assert_eq!(commitment, naive(&[*edge], *edge));
        }
    }
}
