//! Small layers and last rounds: one element at a time, prefixes of any length.

use ark_ff::{AdditiveGroup, Field};

use super::lanes::Lanes;
use super::{Children, Leaves, Rounds};
use crate::field::Fr;

/// Numerator and denominator.
pub type Fraction = [Fr; 2];

/// What implicit fractions are.
pub const ZERO: Fraction = [Fr::ZERO, Fr::ONE];

/// A pair of fractions: `p0, p1 + lambda q1, q0, q1`.
pub type Quad = [Fr; 4];

/// The leaves with their numerators.
pub fn leaves(leaves: &Leaves) -> Vec<Fraction> {
    let units = std::iter::repeat_n(Fr::ONE, leaves.unit);
    let others = leaves.numerators.iter().map(|n| Fr::from(*n));
    let numerators = units.chain(others);
    numerators
        .zip(&leaves.denominators)
        .map(|(n, d)| [n, *d])
        .collect()
}

/// The layers of `1, 2, ..., 2^len_log2` nodes above and including `last`.
pub fn layers(len_log2: usize, last: Vec<Fraction>) -> Vec<Vec<Fraction>> {
    let mut layers = vec![last];
    for _ in 0..len_log2 {
        let parents = layers[layers.len() - 1]
            .chunks(2)
            .map(|children| {
                let [p0, q0] = children[0];
                let [p1, q1] = *children.get(1).unwrap_or(&ZERO);
                [Fr::products(p0, q1, p1, q0), q0 * q1]
            })
            .collect();
        layers.push(parents);
    }
    layers.reverse();
    layers
}

/// The layer as pairs.
pub fn quads(layer: &[Fraction], lambda: Fr) -> Vec<Quad> {
    layer
        .chunks(2)
        .map(|children| {
            let [p0, q0] = children[0];
            let [p1, q1] = *children.get(1).unwrap_or(&ZERO);
            [p0, p1 + lambda * q1, q0, q1]
        })
        .collect()
}

/// The first `len` values of `eq(point, x)`, `point` least significant variable first.
pub fn eq_table(point: &[Fr], len: usize) -> Vec<Fr> {
    let mut table = vec![Fr::ONE; len.min(1)];
    for (vars, z) in point.iter().enumerate().rev() {
        let len = len.div_ceil(1 << vars.min(usize::BITS as usize - 1));
        let mut next = Vec::with_capacity(2 * table.len());
        for value in table {
            let one = value * z;
            next.extend([value - one, one]);
        }
        next.truncate(len);
        table = next;
    }
    table
}

/// The rounds that are left, of a prefix of `quads`.
pub fn prove_rounds(mut quads: Vec<Quad>, lambda: Fr, rounds: &mut Rounds) -> Children {
    let implicit = [Fr::ZERO, lambda, Fr::ONE, Fr::ONE];
    let done = rounds.challenges.len();
    // Of the pairs in the next round: `eq` of the variables that the prefix has, and a factor for each of the others.
    let pairs_log2 = quads.len().div_ceil(2).next_power_of_two().ilog2() as usize;
    let point = &rounds.point[done..];
    let (own, others) = point.split_at(pairs_log2.min(point.len()));
    let mut eq = eq_table(own, 1 << own.len());
    let mut factor: Fr = others.iter().map(|z| Fr::ONE - z).product();
    let mut others = others.to_vec();

    for round in done..rounds.point.len() + 1 {
        if quads.len() % 2 == 1 || quads.is_empty() {
            quads.resize(quads.len().next_multiple_of(2).max(2), implicit);
        }
        let (mut at_zero, mut leading, mut weights) = (Fr::ZERO, Fr::ZERO, Fr::ZERO);
        for (pair, weight) in quads.as_chunks::<2>().0.iter().zip(&eq) {
            let [[p00, p10, q00, q10], [p01, p11, q01, q11]] = *pair;
            at_zero += *weight * Fr::products(p00, q10, p10, q00);
            leading += *weight * Fr::products(p01 - p00, q11 - q10, p11 - p10, q01 - q00);
            weights += weight;
        }
        let a = factor * at_zero + lambda * (Fr::ONE - factor * weights);
        let c = factor * leading;
        let at = if round == 0 {
            rounds.first(c)
        } else {
            rounds.next(a, c)
        };
        for i in 0..quads.len() / 2 {
            let (low, high) = (quads[2 * i], quads[2 * i + 1]);
            quads[i] = std::array::from_fn(|k| Fr::bind(low[k], high[k], at));
        }
        quads.truncate(quads.len() / 2);
        if eq.len() > 1 {
            eq = eq.as_chunks::<2>().0.iter().map(|[a, b]| *a + b).collect();
        } else if !others.is_empty() {
            others.remove(0);
            factor = others.iter().map(|z| Fr::ONE - z).product();
        }
    }
    let [p0, p1, q0, q1] = quads[0];
    [p0, p1 - lambda * q1, q0, q1]
}
