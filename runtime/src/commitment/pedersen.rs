//! Hiding commitments to field elements: `sum_j values[j] G_j + blinder H`.
//!
//! `H` has a table of the multiples of all digits: a scalar is written with 32 signed digits of eight bits, and its multiple is a sum of 32
//! entries.

use std::sync::OnceLock;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AdditiveGroup, CurveGroup};
use ark_ff::PrimeField;
use rayon::prelude::*;

use super::batch_affine::{Entry, segment_sums};
use super::fixed_base::combine_generators;
use super::generators::blinding_generator;
use super::msm::signed_digit;
use super::point::Point;

/// Bits of a digit.
const DIGIT_BITS: u32 = 8;
/// Digits of a scalar: 254 bits and a carry.
const DIGITS: u32 = 32;
/// Entries of a table for one digit: the multiples 1, .., 128.
const MULTIPLES: usize = 1 << (DIGIT_BITS - 1);
/// Scalars whose blinding terms are summed in step.
const TASK: usize = 64;

/// Multiples of `H`.
fn blinding_multiples() -> &'static [Point] {
    static TABLE: OnceLock<Vec<Point>> = OnceLock::new();
    made_once(&TABLE, || multiples_of(&blinding_generator()))
}

/// Nobody waits for anybody: a worker that waits may take up another proof, which would wait for itself. Two proofs at the same time may both
/// make it.
fn made_once<T>(cell: &'static OnceLock<Vec<T>>, make: impl FnOnce() -> Vec<T>) -> &'static [T] {
    match cell.get() {
        Some(made) => made,
        None => {
            let made = make();
            cell.get_or_init(|| made)
        }
    }
}

/// `m 2^(8 w) B` at index `128 w + m - 1`.
fn multiples_of(base: &G1Affine) -> Vec<Point> {
    let mut units = vec![G1Projective::from(*base)];
    for _ in 1..DIGITS {
        let mut unit = units[units.len() - 1];
        for _ in 0..DIGIT_BITS {
            unit.double_in_place();
        }
        units.push(unit);
    }
    let units = G1Projective::normalize_batch(&units);
    let of_digit = |unit: &G1Affine| {
        let sums = std::iter::successors(Some(G1Projective::from(*unit)), |sum| Some(*sum + unit));
        let sums: Vec<G1Projective> = sums.take(MULTIPLES).collect();
        let sums = G1Projective::normalize_batch(&sums);
        sums.iter().map(Point::from_affine).collect::<Vec<_>>()
    };
    units.par_iter().flat_map_iter(of_digit).collect()
}

/// The entries whose sum is `scalar * H`.
fn digits(scalar: &Fr) -> impl Iterator<Item = Entry> {
    let limbs = scalar.into_bigint().0;
    (0..DIGITS).filter_map(move |window| {
        let digit = signed_digit(&limbs, window, DIGIT_BITS);
        let multiple = (digit.unsigned_abs() as usize).checked_sub(1)?;
        let index = window as usize * MULTIPLES + multiple;
        Some(Entry::new(index, digit < 0))
    })
}

/// `blinder * H` for every blinder.
pub fn blind_all(blinders: &[Fr]) -> Vec<G1Affine> {
    let table = blinding_multiples();
    let task = |blinders: &[Fr]| -> Vec<G1Affine> {
        let mut entries = Vec::with_capacity(blinders.len() * DIGITS as usize);
        let mut lengths = Vec::with_capacity(blinders.len());
        for blinder in blinders {
            let before = entries.len();
            entries.extend(digits(blinder));
            lengths.push(entries.len() - before);
        }
        let sums = segment_sums(table, &entries, &lengths);
        sums.into_iter().map(Point::to_affine).collect()
    };
    blinders.par_chunks(TASK).flat_map_iter(task).collect()
}

/// `blinder * H`.
pub fn blind(blinder: &Fr) -> G1Affine {
    let table = blinding_multiples();
    let entries: Vec<Entry> = digits(blinder).collect();
    let sums = segment_sums(table, &entries, &[entries.len()]);
    sums.first()
        .map_or_else(G1Affine::identity, |sum| sum.to_affine())
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

/// `sum_j values[j] G_(first + j) + blinding`.
pub fn commit_row(first: usize, values: &[Fr], blinding: G1Affine) -> G1Affine {
    let terms: Vec<(usize, Fr)> = (first..).zip(values.iter().copied()).collect();
    (combine_generators(&terms) + blinding).into_affine()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commitment::Generators;
    use crate::randomness::Randomness;
    use ark_ff::{AdditiveGroup, Field};

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
            assert_eq!(commit_row(0, &values, blinding), naive(&values, blinder));
            let padded = [vec![Fr::ZERO; 3], values.clone()].concat();
            assert_eq!(commit_row(3, &values, blinding), naive(&padded, blinder));
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
        for (edge, blinding) in edges.iter().zip(blindings) {
            assert_eq!(blinding, naive(&[], *edge));
            assert_eq!(commit_row(0, &[*edge], blinding), naive(&[*edge], *edge));
        }
    }
}
