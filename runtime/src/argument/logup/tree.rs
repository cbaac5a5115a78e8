//! The tree of fractions and the sumcheck over each of its layers.
//!
//! The leaves are cut into chunks: lane `l` of a chunk holds the `2^depth` consecutive leaves `[u 2^depth, (u + 1) 2^depth)` for
//! `u = first + l * stride`. So the children `2x` and `2x + 1` are in the same lane of consecutive vectors, and all that
//! depends on the lower `depth` variables is the same for all lanes; what depends on the upper ones is one vector of weights a chunk.
//! A chunk has its own subtree, is bound in place, and is the unit of parallelism. What is left of the chunks when a single fraction
//! a lane remains, and the top of the tree, is [dense].
//!
//! Chunks of unit leaves hold denominators `d` only: with `mu = 1 / lambda`, `d0 + d1 + lambda d0 d1` is
//! `lambda (d0 + mu) (d1 + mu) - mu`.

use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;

use super::dense::{self, Fraction, Quad, eq_table};
use super::lanes::{Lanes, SUM_LOG2};
use super::level::{
    Bind, BindLast, BindSum, Block, Build, FirstSum, Kind, Level, Place, Tables, Weigh, blocks,
};
use super::memory::reserve;
use super::{Children, Leaves, Rounds};
use crate::field::Fr;

/// Least number of chunks: bounds what rounding the length to whole chunks costs.
const CHUNKS: usize = 32;
/// Least depth for which chunks pay.
const DEPTH: usize = 4;
/// Least number of vectors for which threads pay.
const PARALLEL: usize = 1 << 10;

/// All layers that were not proved yet.
pub struct Tree<'m, L> {
    /// Layers of `1, 2, 4, ...` nodes.
    top: Vec<Vec<Fraction>>,
    /// Layers below, in pieces.
    chunks: Vec<Chunk<'m, L>>,
    /// All denominators, for the chunks.
    leaves: Vec<Fr>,
    /// Layers proved.
    proved: usize,
}

/// A piece of the lower layers.
pub struct Chunk<'m, L> {
    /// Position of the first lane, in chunk lengths.
    pub first: usize,
    /// Distance of consecutive lanes.
    pub stride: usize,
    /// The same in leaves.
    pub place: Place,
    /// Leaves first, of `2^depth` vectors; four vectors last.
    pub levels: Vec<Level<'m, L>>,
    /// Factor of the chunk in the sums of the present layer.
    pub weight: L,
    /// Memory of levels that were proved.
    pub spare: &'m mut [Block<L>],
}

impl<'m, L: Lanes> Chunk<'m, L> {
    /// Whether the present layer is that of unit leaves.
    pub fn is_unit(&self) -> bool {
        let level = self.levels.last();
        level.is_some_and(|level| level.kind == Kind::Unit)
    }

    /// Positions of the lanes.
    fn positions(&self) -> impl Iterator<Item = usize> + use<'m, L> {
        let (first, stride) = (self.first, self.stride);
        (0..L::WIDTH).map(move |lane| first + lane * stride)
    }
}

impl<'m, L: Lanes> Tree<'m, L> {
    /// All layers of the tree.
    pub fn new(leaves: Leaves, memory: &'m mut Vec<Block<L>>) -> Self {
        let len = leaves.denominators.len();
        let expected = leaves.unit + leaves.numerators.len();
        assert_eq!(len, expected, "as many denominators as numerators");
        let room = 1usize.checked_shl(leaves.len_log2 as u32);
        assert!(room.is_some_and(|room| len <= room), "too many leaves");

        let depth = (len / (CHUNKS * L::WIDTH)).checked_ilog2().unwrap_or(0) as usize;
        if depth < DEPTH {
            return Self {
                top: dense::layers(leaves.len_log2, dense::leaves(&leaves)),
                chunks: Vec::new(),
                leaves: Vec::new(),
                proved: 0,
            };
        }

        // Whole chunks of unit leaves; the last of them go to the other zone.
        let units = leaves.unit / (L::WIDTH << depth);
        let others = (len - units * (L::WIDTH << depth)).div_ceil(L::WIDTH << depth);
        let unit_chunks = (0..units).map(|first| (first, units, true));
        let other_chunks = (0..others).map(|i| (units * L::WIDTH + i, others, false));
        let blocks = [blocks(depth, false), blocks(depth, true)];
        let mut room = reserve(memory, others * blocks[0] + units * blocks[1]);
        let builds: Vec<_> = unit_chunks
            .chain(other_chunks)
            .map(|(first, stride, unit)| {
                (first, stride, unit, room.take(blocks[usize::from(unit)]))
            })
            .collect();
        let (chunks, tops): (Vec<_>, Vec<_>) = builds
            .into_par_iter()
            .map(|(first, stride, unit, room)| {
                let place = Place {
                    base: first << depth,
                    step: stride << depth,
                };
                let (levels, top) = L::vectorize(Build {
                    leaves: &leaves,
                    depth,
                    place,
                    unit,
                    room,
                });
                let chunk = Chunk {
                    first,
                    stride,
                    place,
                    levels,
                    weight: L::ZEROS,
                    spare: &mut [],
                };
                (chunk, top)
            })
            .unzip();

        let mut top = vec![dense::ZERO; 2 * L::WIDTH * chunks.len()];
        for (chunk, pairs) in chunks.iter().zip(tops) {
            for (position, [p0, p1, q0, q1]) in chunk.positions().zip(pairs) {
                top[2 * position] = [p0, q0];
                top[2 * position + 1] = [p1, q1];
            }
        }
        Self {
            top: dense::layers(leaves.len_log2 + 1 - depth, top),
            chunks,
            leaves: leaves.denominators,
            proved: 0,
        }
    }

    /// The root's denominator.
    pub fn root_denominator(&self) -> Fr {
        let [_, q] = self.top[0].first().unwrap_or(&dense::ZERO);
        *q
    }

    /// The root's children, if it has any.
    pub fn children_of_root(&mut self) -> Option<Children> {
        let layer = self.top.get(1)?;
        let [p0, q0] = *layer.first().unwrap_or(&dense::ZERO);
        let [p1, q1] = *layer.get(1).unwrap_or(&dense::ZERO);
        Some([p0, p1, q0, q1])
    }

    /// The sumcheck of the next layer; the values of its children at the new point.
    pub fn prove_layer(&mut self, lambda: Fr, rounds: &mut Rounds) -> Children {
        self.proved += 1;
        let quads = match self.top.get_mut(self.proved + 1) {
            Some(layer) => dense::quads(&std::mem::take(layer), lambda),
            None => self.prove_chunks(lambda, rounds),
        };
        dense::prove_rounds(quads, lambda, rounds)
    }

    /// The rounds of a layer that stay within chunks.
    fn prove_chunks(&mut self, lambda: Fr, rounds: &mut Rounds) -> Vec<Quad> {
        let mu = lambda
            .inverse()
            .expect("that a challenge is zero has probability 1 / |Fr|");
        let levels = &self.chunks[0].levels;
        let log2 = levels[levels.len() - 1].log2;
        let constant = self.weigh(&rounds.point[log2 - 2..], lambda, mu);
        let leaves = &self.leaves;
        let mut bind = Bind::<L> {
            at: L::constant(Fr::ZERO),
            lambda: L::constant(lambda),
            mu: L::constant(mu),
        };

        let eq = lower_tables::<L>(&rounds.point[..log2 - 2]);
        let [c] = over_chunks(&mut self.chunks, 1 << log2, |chunks| {
            L::vectorize(FirstSum {
                leaves,
                chunks,
                lambda: bind.lambda,
                eq: &eq,
            })
        });
        bind.at = L::constant(rounds.first(c));
        for round in 1..log2 - 1 {
            let eq = lower_tables::<L>(&rounds.point[round..log2 - 2]);
            let [a, c] = over_chunks(&mut self.chunks, 1 << (log2 - round), |chunks| {
                L::vectorize(BindSum {
                    leaves,
                    chunks,
                    first: round == 1,
                    bind,
                    eq: &eq,
                })
            });
            bind.at = L::constant(rounds.next(a + constant, c));
        }
        self.bind_last(bind, log2 == 2, lambda, mu)
    }

    /// Sets the chunks' weights to `eq(point, x)`. Returns what the sums over chunks lack: the implicit fractions `0 / 1` give
    /// `lambda` each, and the shifted product of a unit pair is `mu` too much.
    fn weigh(&mut self, point: &[Fr], lambda: Fr, mu: Fr) -> Fr {
        let eq = eq_table(point, self.chunks.len() * L::WIDTH);
        L::vectorize(Weigh {
            chunks: &mut self.chunks,
            eq: &eq,
            lambda: L::constant(lambda),
        });
        let units = self.chunks.iter().filter(|chunk| chunk.is_unit());
        let unit: Fr = units.flat_map(Chunk::positions).map(|i| eq[i]).sum();
        lambda * (Fr::ONE - eq.iter().sum::<Fr>()) - mu * unit
    }

    /// Binds the last variable within the chunks.
    fn bind_last(&mut self, bind: Bind<L>, first: bool, lambda: Fr, mu: Fr) -> Vec<Quad> {
        let units = self.chunks.iter().filter(|chunk| chunk.is_unit());
        let units: Vec<_> = units.flat_map(Chunk::positions).collect();
        let mut quads = L::vectorize(BindLast {
            chunks: &mut self.chunks,
            first,
            bind,
        });
        for i in units {
            let [_, _, q0, q1] = quads[i].map(|value| value - mu);
            quads[i] = [Fr::ONE, Fr::ONE + lambda * q1, q0, q1];
        }
        quads
    }
}

/// `eq(point, x)`, in a table of at most `2^SUM_LOG2` values for the lower variables, and one for the rest.
fn lower_tables<L: Lanes>(point: &[Fr]) -> Tables<L> {
    let (low, high) = point.split_at(point.len().min(SUM_LOG2));
    let table = |point: &[Fr]| {
        let values = eq_table(point, 1 << point.len());
        values.into_iter().map(L::constant).collect()
    };
    Tables {
        low: table(low),
        high: table(high),
    }
}

/// Adds up `sums` over all chunks, `live` vectors each.
fn over_chunks<'m, L: Lanes, const N: usize>(
    chunks: &mut [Chunk<'m, L>],
    live: usize,
    sums: impl Fn(&mut [Chunk<'m, L>]) -> [Fr; N] + Send + Sync,
) -> [Fr; N] {
    let threads = rayon::current_num_threads();
    if threads == 1 || live * chunks.len() < PARALLEL {
        return sums(chunks);
    }
    chunks
        .par_chunks_mut(chunks.len().div_ceil(8 * threads))
        .map(sums)
        .reduce(
            || [Fr::ZERO; N],
            |a, b| std::array::from_fn(|i| a[i] + b[i]),
        )
}
