//! Sums of the generators with full-width scalars, for the prover.
//!
//! A table has `2^(12 w) G_j` for all windows `w`, so that the digits of all windows go into one set of buckets. It grows with the longest sum, by
//! 1.4 kB a generator, and is kept for the whole process.

use std::sync::{Arc, Mutex, PoisonError};

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ff::PrimeField;
use rayon::prelude::*;

use super::batch_affine::{
    Entry, Weights, double_all, segment_sums, sort_by_bucket, weighted_sums,
};
use super::generators::Generators;
use super::msm::{msm, signed_digit};
use super::point::Point;

/// Bits of a window.
const WINDOW_BITS: u32 = 12;
/// Windows of a scalar, with one bit for the last carry.
const WINDOWS: usize = (Fr::MODULUS_BIT_SIZE / WINDOW_BITS + 1) as usize;
/// log2 of the buckets.
const BUCKETS_LOG2: u32 = WINDOW_BITS - 1;
/// Fewer terms do not fill the buckets.
const FEW_TERMS: usize = 100;
/// Terms that are worth buckets of their own.
const TASK_TERMS: usize = 1 << 10;
/// Generators whose multiples are made in step.
const TASK_GENERATORS: usize = 256;

/// `2^(12 w) G_j` at index `WINDOWS j + w`.
static TABLE: Mutex<Option<Arc<Vec<Point>>>> = Mutex::new(None);

fn known() -> Arc<Vec<Point>> {
    let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.clone().unwrap_or_default()
}

/// The table for at least so many generators. As in [`Generators::derive`], no lock is held while threads work.
fn table(len: usize) -> Arc<Vec<Point>> {
    let found = known();
    if found.len() >= WINDOWS * len {
        return found;
    }
    let have = found.len() / WINDOWS;
    let generators = Generators::derive(len);
    let more = generators.points()[have..].par_chunks(TASK_GENERATORS);
    let more: Vec<Vec<Point>> = more.map(multiples).collect();
    let longer = Arc::new([found.as_slice(), &more.concat()].concat());
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*table {
        Some(other) if other.len() >= longer.len() => other.clone(),
        _ => table.insert(longer).clone(),
    }
}

/// The table's part for some generators.
fn multiples(generators: &[G1Affine]) -> Vec<Point> {
    let mut of_window: Vec<Point> = generators.iter().map(Point::from_affine).collect();
    let mut part = vec![Point::IDENTITY; WINDOWS * generators.len()];
    for window in 0..WINDOWS {
        if window > 0 {
            for _ in 0..WINDOW_BITS {
                of_window = double_all(&of_window);
            }
        }
        for (of_generator, point) in part.chunks_exact_mut(WINDOWS).zip(&of_window) {
            of_generator[window] = *point;
        }
    }
    part
}

/// `sum_i scalar_i G_(index_i)`.
pub fn combine_generators(terms: &[(usize, Fr)]) -> G1Projective {
    let len = terms.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
    if terms.len() < FEW_TERMS {
        let generators = Generators::derive(len);
        let points = terms.iter().map(|(index, _)| generators.points()[*index]);
        let (points, scalars): (Vec<_>, Vec<_>) =
            points.zip(terms.iter().map(|(_, scalar)| *scalar)).unzip();
        return msm(&points, &scalars);
    }
    let table = table(len);
    let share = terms.len().div_ceil(rayon::current_num_threads());
    let tasks = terms.par_chunks(share.max(TASK_TERMS));
    tasks.map(|terms| sum_of(&table, terms)).sum()
}

fn sum_of(table: &[Point], terms: &[(usize, Fr)]) -> G1Projective {
    let mut digits = Vec::with_capacity(WINDOWS * terms.len());
    for (index, scalar) in terms {
        let limbs = scalar.into_bigint().0;
        for window in 0..WINDOWS {
            let digit = signed_digit(&limbs, window as u32, WINDOW_BITS);
            if let Some(bucket) = digit.unsigned_abs().checked_sub(1) {
                digits.push((bucket, Entry::new(WINDOWS * index + window, digit < 0)));
            }
        }
    }
    let (entries, lengths) = sort_by_bucket(&digits, 1 << BUCKETS_LOG2);
    let buckets = segment_sums(table, &entries, &lengths);
    weighted_sums(buckets, BUCKETS_LOG2, Weights::All)
        .into_iter()
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomness::Randomness;
    use ark_ff::{AdditiveGroup, Field};

    #[test]
    fn sums_are_those_of_any_points() {
        let mut randomness = Randomness::from_seed("test", [4; 32]);
        for len in [0, 1, 2, 77, 1500] {
            let mut scalars = randomness.scalars(len);
            let edges = [
                Fr::ZERO,
                Fr::ONE,
                -Fr::ONE,
                Fr::from(2048u64),
                Fr::from(2u64).pow([253]),
            ];
            scalars
                .iter_mut()
                .zip(edges)
                .for_each(|(scalar, edge)| *scalar = edge);
            let terms: Vec<(usize, Fr)> = (0..).step_by(2).zip(scalars.iter().copied()).collect();
            let generators = Generators::derive(2 * len);
            let points: Vec<G1Affine> = generators.points().iter().step_by(2).copied().collect();
            assert_eq!(combine_generators(&terms), msm(&points, &scalars));
        }
    }

    #[test]
    fn a_table_grows_and_keeps_its_places() {
        let short = table(3);
        let long = table(TASK_GENERATORS + 5);
        assert_eq!(short[..3 * WINDOWS], long[..3 * WINDOWS]);
        assert_eq!(table(2).len(), known().len());
    }
}
