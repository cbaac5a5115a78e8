//! Hiding commitments to field elements: `sum_j values[j] G_j + blinder H`.
//!
//! `H` and the first few `G_j` have tables of the multiples of all digits: a scalar is written with 32 signed digits of eight bits, and its
//! multiple is a sum of 32 entries.

use std::sync::OnceLock;

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AdditiveGroup, CurveGroup};
use ark_ff::PrimeField;
use rayon::prelude::*;

use super::batch_affine::{Entry, segment_sums};
use super::generators::{Generators, blinding_generator};
use super::msm::{msm, signed_digit};
use super::point::Point;
#[cfg(target_arch = "x86_64")]
use super::point::vectorized;
#[cfg(target_arch = "x86_64")]
use crate::field::avx512::LANES;

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

/// Multiples of the first generators, one after the other.
fn multiples() -> &'static [Point] {
    static TABLE: OnceLock<Vec<Point>> = OnceLock::new();
    made_once(&TABLE, || {
        let generators = Generators::derive(TABLES);
        let tables = generators.points().par_iter();
        tables.flat_map_iter(multiples_of).collect()
    })
}

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

/// The multiples of base number `base` whose sum is `scalar` times it.
fn digits(base: usize, scalar: &Fr) -> impl Iterator<Item = Entry> {
    let limbs = scalar.into_bigint().0;
    (0..DIGITS).filter_map(move |window| {
        let digit = signed_digit(&limbs, window, DIGIT_BITS);
        let multiple = (digit.unsigned_abs() as usize).checked_sub(1)?;
        let index = (base * DIGITS as usize + window as usize) * MULTIPLES + multiple;
        Some(Entry::new(index, digit < 0))
    })
}

/// The sum of each list of entries: few of them, and soon.
fn few_sums(table: &[Point], lists: &[Vec<Entry>]) -> Vec<G1Projective> {
    #[cfg(target_arch = "x86_64")]
    if vectorized() {
        return lists
            .chunks(LANES)
            .flat_map(|lists| few_sums_by_lanes(table, lists))
            .collect();
    }
    few_sums_by_one(table, lists)
}

/// Without lanes.
fn few_sums_by_one(table: &[Point], lists: &[Vec<Entry>]) -> Vec<G1Projective> {
    let add = |sum: G1Projective, entry: &Entry| {
        let point = entry.point(table).to_affine();
        if entry.is_negative() {
            sum - point
        } else {
            sum + point
        }
    };
    let sum = |list: &Vec<Entry>| list.iter().fold(G1Projective::ZERO, add);
    lists.iter().map(sum).collect()
}

/// At most [`LANES`] lists, each spread over as many lanes as there are for it.
#[cfg(target_arch = "x86_64")]
fn few_sums_by_lanes(table: &[Point], lists: &[Vec<Entry>]) -> Vec<G1Projective> {
    let share = LANES / lists.len().max(1);
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let mut rows = vec![[Entry::IDENTITY; LANES]; longest.div_ceil(share)];
    for (list, entries) in lists.iter().enumerate() {
        for (place, entry) in entries.iter().enumerate() {
            rows[place / share][list * share + place % share] = *entry;
        }
    }
    // SAFETY: the instructions are there.
    let lanes = unsafe { super::sums_avx512::lane_sums(table, &rows) };
    let lists = lanes.chunks(share).take(lists.len());
    lists.map(|lanes| lanes.iter().sum()).collect()
}

/// `blinder * H` for every blinder.
pub fn blind_all(blinders: &[Fr]) -> Vec<G1Affine> {
    let table = blinding_multiples();
    let task = |blinders: &[Fr]| -> Vec<G1Affine> {
        let mut entries = Vec::with_capacity(blinders.len() * DIGITS as usize);
        let mut lengths = Vec::with_capacity(blinders.len());
        for blinder in blinders {
            let before = entries.len();
            entries.extend(digits(0, blinder));
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
pub fn commit_scalars(values: &[Fr], blindings: &[G1Affine]) -> Vec<G1Affine> {
    let lists: Vec<Vec<Entry>> = values
        .iter()
        .map(|value| digits(0, value).collect())
        .collect();
    let sums = few_sums(multiples(), &lists);
    let blinded = sums
        .iter()
        .zip(blindings)
        .map(|(sum, blinding)| *sum + blinding);
    G1Projective::normalize_batch(&blinded.collect::<Vec<_>>())
}

/// `sum_j values[j] G_j + blinding`.
pub fn commit_row(values: &[Fr], blinding: G1Affine) -> G1Affine {
    let sum = if values.len() <= TABLES {
        let entries = values.iter().enumerate();
        let list = entries
            .flat_map(|(base, value)| digits(base, value))
            .collect();
        few_sums(multiples(), &[list]).iter().sum()
    } else {
        msm(Generators::derive(values.len()).points(), values)
    };
    (sum + blinding).into_affine()
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
    fn with_and_without_lanes() {
        let mut randomness = Randomness::from_seed("test", [8; 32]);
        for count in [1, 2, 3, 5, 8, 9, 20] {
            let mut scalars = randomness.scalars(count);
            scalars[count / 2] = Fr::from(count as u64 / 2);
            let lists = scalars
                .iter()
                .map(|scalar| digits(count % TABLES, scalar).collect());
            let lists: Vec<Vec<Entry>> = lists.collect();
            let by_one = few_sums_by_one(multiples(), &lists);
            assert_eq!(few_sums(multiples(), &lists), by_one);
        }
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
        let commitments = commit_scalars(&edges, &blindings);
        for ((edge, blinding), commitment) in edges.iter().zip(blindings).zip(commitments) {
            assert_eq!(blinding, naive(&[], *edge));
            assert_eq!(commitment, naive(&[*edge], *edge));
        }
    }
}
