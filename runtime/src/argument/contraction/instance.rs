//! One contraction during the sumcheck: its factors' tables and how they are indexed.

use ark_ff::{AdditiveGroup, Field, One, Zero};
use rayon::prelude::*;

use super::bind::bind_operand;
use crate::argument::inner_product;
use crate::argument::schedule::{Challenges, Contraction};
use crate::field::{Fr, bind_halves, dot, eq_table, half_power};
use crate::statement::model::axis_log2;
use crate::witness::trace::Trace;

/// Entries below which a loop is not worth a second thread.
const PARALLEL_LEN: usize = 1 << 12;

/// A multilinear factor over some of the contraction's variables.
struct Factor {
    table: Vec<Fr>,
    /// Which variables (rounds) it has.
    has: Vec<bool>,
    /// Table index for each assignment of the variables after the first; `None` if it has all of them.
    index: Option<Vec<u32>>,
}

impl Factor {
    fn new(table: Vec<Fr>, has: Vec<bool>) -> Self {
        let index = (!has.iter().all(|&has| has)).then(|| project(&has));
        Self { table, has, index }
    }

    fn at(&self, x: usize) -> usize {
        self.index.as_ref().map_or(x, |index| index[x] as usize)
    }
}

/// For each assignment of all variables but the first (most significant first): the bits that the factor has.
fn project(has: &[bool]) -> Vec<u32> {
    let mut index = vec![0u32];
    for &has in has.iter().skip(1) {
        index = index
            .iter()
            .flat_map(|&at| if has { [2 * at, 2 * at + 1] } else { [at, at] })
            .collect();
    }
    index
}

pub(super) struct Instance {
    coefficient: Fr,
    rounds: usize,
    operands: usize,
    /// Operands first, then the eq factor if any.
    factors: Vec<Factor>,
}

impl Instance {
    pub(super) fn new(
        contraction: &Contraction,
        coefficient: Fr,
        trace: &Trace,
        challenges: &Challenges,
    ) -> Self {
        let rounds = contraction.rounds();
        let lens: Vec<usize> = contraction
            .kept
            .iter()
            .map(|kept| axis_log2(kept.len) as usize)
            .collect();
        let spread = |axes: &dyn Fn(usize) -> bool| -> Vec<bool> {
            lens.iter()
                .enumerate()
                .flat_map(|(position, &len)| std::iter::repeat_n(axes(position), len))
                .collect()
        };
        let mut factors: Vec<Factor> = Vec::with_capacity(contraction.operands.len() + 1);
        for operand in &contraction.operands {
            let table = bind_operand(operand, contraction, trace, challenges);
            factors.push(Factor::new(
                table,
                spread(&|position| operand.axes.contains(&position)),
            ));
        }
        let shared = |position: usize| contraction.kept[position].eq.is_some();
        if (0..lens.len()).any(shared) {
            let point: Vec<_> = contraction
                .kept
                .iter()
                .filter_map(|kept| kept.eq.clone())
                .flatten()
                .collect();
            let point = challenges
                .point(&point)
                .expect("schedule and challenges agree");
            factors.push(Factor::new(eq_table(&point), spread(&shared)));
        }
        Self {
            coefficient,
            rounds,
            operands: contraction.operands.len(),
            factors,
        }
    }

    /// Coefficients of this round's polynomial, times the coefficient.
    pub(super) fn round(&self, round: usize) -> Vec<Fr> {
        if round >= self.rounds {
            let value: Fr = self.factors.iter().map(|factor| factor.table[0]).product();
            return vec![self.coefficient * value * half_power(round - self.rounds + 1)];
        }
        let (active, idle): (Vec<&Factor>, Vec<&Factor>) =
            self.factors.iter().partition(|factor| factor.has[round]);
        let degree = active.len();
        let half = 1usize << (self.rounds - round - 1);
        if let ([a, b], []) = (active.as_slice(), idle.as_slice())
            && let (None, None) = (&a.index, &b.index)
        {
            return round_of_two(&a.table, &b.table)
                .map(|c| c * self.coefficient)
                .to_vec();
        }
        let sums = (0..half)
            .into_par_iter()
            .with_min_len(PARALLEL_LEN)
            .fold(
                || (vec![Fr::zero(); degree + 1], vec![Fr::zero(); degree + 1]),
                |(mut sums, mut products), x| {
                    products_at(&active, &idle, x, &mut products);
                    sums.iter_mut()
                        .zip(&products)
                        .for_each(|(sum, product)| *sum += product);
                    (sums, products)
                },
            )
            .map(|(sums, _)| sums)
            .reduce(
                || vec![Fr::zero(); degree + 1],
                |mut a, b| {
                    a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
                    a
                },
            );
        interpolate(&sums)
            .into_iter()
            .map(|c| c * self.coefficient)
            .collect()
    }

    /// Binds this round's variable to `r`.
    pub(super) fn bind(&mut self, r: Fr, round: usize) {
        if round >= self.rounds {
            return;
        }
        for factor in self.factors.iter_mut().filter(|factor| factor.has[round]) {
            let half = factor.table.len() / 2;
            let (low, high) = factor.table.split_at_mut(half);
            low.par_chunks_mut(PARALLEL_LEN)
                .zip_eq(high.par_chunks(PARALLEL_LEN))
                .for_each(|(low, high)| bind_halves(low, high, &r));
            factor.table.truncate(half);
        }
        // The next round's variable leaves the joint index: assignments of what follows are a prefix.
        let left = self.rounds - round - 1;
        for index in self
            .factors
            .iter_mut()
            .filter_map(|factor| factor.index.as_mut())
        {
            index.truncate(1 << left.saturating_sub(1));
        }
    }

    /// The operands' values when all variables are bound.
    pub(super) fn operand_values(&self) -> impl Iterator<Item = Fr> + '_ {
        self.factors
            .iter()
            .take(self.operands)
            .map(|factor| factor.table[0])
    }
}

/// Coefficients of `sum_x a(t, x) b(t, x)`.
fn round_of_two(a: &[Fr], b: &[Fr]) -> [Fr; 3] {
    let [constant, square] = inner_product::round(a, b);
    let half = a.len() / 2;
    let at_one = dot(&a[half..], &b[half..]);
    [constant, at_one - constant - square, square]
}

/// The products of all factors at 0, 1, .. in the round's variable, for assignment `x` of the others. `active` factors have the variable.
fn products_at(active: &[&Factor], idle: &[&Factor], x: usize, products: &mut [Fr]) {
    let weight: Option<Fr> = idle
        .iter()
        .map(|factor| factor.table[factor.at(x)])
        .reduce(|a, b| a * b);
    products.fill(weight.unwrap_or(Fr::one()));
    for (number, factor) in active.iter().enumerate() {
        let at = factor.at(x);
        let low = factor.table[at];
        let step = factor.table[at + factor.table.len() / 2] - low;
        let mut value = low;
        for product in products.iter_mut() {
            *product = if number == 0 && idle.is_empty() {
                value
            } else {
                *product * value
            };
            value += step;
        }
    }
}

/// Coefficients of the polynomial with the given values at 0, 1, 2, ...
fn interpolate(values: &[Fr]) -> Vec<Fr> {
    // Newton's divided differences on integer nodes, expanded from the top.
    let mut differences = values.to_vec();
    for level in 1..values.len() {
        let inverse = Fr::from(level as u64)
            .inverse()
            .expect("small and not zero");
        for at in (level..values.len()).rev() {
            differences[at] = (differences[at] - differences[at - 1]) * inverse;
        }
    }
    let mut coefficients = vec![Fr::ZERO; values.len()];
    for (node, &difference) in differences.iter().enumerate().rev() {
        let shift = Fr::from(node as u64);
        for at in (1..coefficients.len()).rev() {
            coefficients[at] = coefficients[at - 1] - shift * coefficients[at];
        }
        coefficients[0] = difference - shift * coefficients[0];
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_recovers_coefficients() {
        for degree in 0..6u64 {
            let coefficients: Vec<Fr> = (0..=degree).map(|i| Fr::from(7 * i * i + 3)).collect();
            let at = |x: u64| {
                coefficients
                    .iter()
                    .rev()
                    .fold(Fr::zero(), |acc, c| acc * Fr::from(x) + c)
            };
            let values: Vec<Fr> = (0..=degree).map(at).collect();
            assert_eq!(interpolate(&values), coefficients);
        }
    }
}
