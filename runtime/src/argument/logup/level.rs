//! Kernels on the levels of chunks.
//!
//! Memory is what a large tree costs, more than arithmetic. So unit leaves are read where the caller has them, their parents are made
//! from them when needed, and all else is bound in place.

use ark_ff::{AdditiveGroup, Field};

use super::Leaves;
use super::lanes::{Kernel, Lanes, total};
use super::memory::Room;
use super::tree::Chunk;
use crate::field::Fr;

/// Blocks of four vectors to ask for ahead of their use.
const AHEAD: usize = 4;

/// Four vectors: of `p0, p1, p0, p1` or `q0, q1, q0, q1` of consecutive pairs.
pub type Block<L> = [L; 4];

/// Fractions of one layer within one chunk.
pub struct Level<'m, L> {
    /// Vectors, or vectors of unit leaves before any of their variables was bound (log2); at least four.
    pub log2: usize,
    /// What they are.
    pub kind: Kind,
    /// Numerators and denominators alternately; denominators only of unit leaves.
    pub blocks: &'m mut [Block<L>],
}

/// Kinds of fractions; only the first kind is stored before it is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any fractions.
    Any,
    /// Leaves with numerator one.
    Unit,
    /// Parents of such leaves.
    UnitParents,
}

/// Where a chunk's leaves are: the `i`-th of a lane is at `base + lane * step + i`.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// First leaf of the first lane.
    pub base: usize,
    /// Distance of lanes.
    pub step: usize,
}

impl Place {
    /// The `at`-th block of denominators.
    #[inline(always)]
    fn leaves<L: Lanes>(self, leaves: &[Fr], at: usize) -> Block<L> {
        let mut block = [L::ZEROS; 4];
        for (i, to) in block.iter_mut().enumerate() {
            let j = self.base + 4 * at + i;
            *to = L::load(|lane| &leaves[j + lane * self.step]);
        }
        block
    }

    /// The `at`-th block of the leaves' parents.
    #[inline(always)]
    fn parents<L: Lanes>(self, leaves: &[Fr], at: usize) -> [Block<L>; 2] {
        let [d0, d1, d2, d3] = self.leaves::<L>(leaves, 2 * at);
        let [d4, d5, d6, d7] = self.leaves::<L>(leaves, 2 * at + 1);
        [
            [d0.add(d1), d2.add(d3), d4.add(d5), d6.add(d7)],
            [
                d0.product(d1),
                d2.product(d3),
                d4.product(d5),
                d6.product(d7),
            ],
        ]
    }
}

/// The parents of four fractions.
#[inline(always)]
fn add_pairs<L: Lanes>([p0, p1, p2, p3]: Block<L>, [q0, q1, q2, q3]: Block<L>) -> [[L; 2]; 2] {
    [
        [L::products(p0, q1, p1, q0), L::products(p2, q3, p3, q2)],
        [q0.product(q1), q2.product(q3)],
    ]
}

#[inline(always)]
fn join<L: Lanes>([a0, a1]: [L; 2], [b0, b1]: [L; 2]) -> Block<L> {
    [a0, a1, b0, b1]
}

#[inline(always)]
fn prefetch<L: Lanes>(blocks: &[Block<L>], at: usize) {
    if let Some(block) = blocks.get(at + AHEAD) {
        L::prefetch(block);
    }
}

/// Adds up the subtree of a chunk: all levels of at least four vectors, and for each lane `p0, p1, q0, q1` of the next.
pub struct Build<'a, 'm, L> {
    /// All leaves.
    pub leaves: &'a Leaves<'a>,
    /// Leaves of a lane (log2), at least four.
    pub depth: usize,
    /// Where the chunk's are.
    pub place: Place,
    /// Whether all of the chunk's numerators are one.
    pub unit: bool,
    /// Memory of [`blocks`].
    pub room: Room<'m, Block<L>>,
}

/// Blocks that the levels of a chunk take.
pub fn blocks(depth: usize, unit: bool) -> usize {
    // 2^(k - 1) for a level of 2^k vectors, k > 1.
    (1 << (if unit { depth - 2 } else { depth })) - 2
}

impl<'m, L: Lanes> Kernel<L> for Build<'_, 'm, L> {
    type Output = (Vec<Level<'m, L>>, Vec<[Fr; 4]>);

    #[inline(always)]
    fn run(mut self) -> Self::Output {
        let mut levels = Vec::with_capacity(self.depth);
        let mut log2 = self.depth;
        if self.unit {
            for kind in [Kind::Unit, Kind::UnitParents] {
                let blocks = &mut [];
                levels.push(Level { log2, kind, blocks });
                log2 -= 1;
            }
        }
        let kind = Kind::Any;
        let room = self.room.take(1 << (log2 - 1));
        let blocks = if self.unit {
            self.unit_grandparents(room)
        } else {
            self.leaves(room)
        };
        let mut level = Level { log2, kind, blocks };
        while log2 > 2 {
            log2 -= 1;
            let blocks = parents(level.blocks, self.room.take(1 << (log2 - 1)));
            levels.push(level);
            level = Level { log2, kind, blocks };
        }
        let [[p0, p1], [q0, q1]] = add_pairs(level.blocks[0], level.blocks[1]);
        levels.push(level);
        let mut top = vec![[Fr::ZERO; 4]; L::WIDTH];
        store([p0, p1, q0, q1], &mut top);
        (levels, top)
    }
}

/// The layer above.
#[inline(always)]
fn parents<'m, L: Lanes>(blocks: &[Block<L>], room: Room<'m, Block<L>>) -> &'m mut [Block<L>] {
    let mut parents = room.fill();
    for &[pa, qa, pb, qb] in blocks.as_chunks::<4>().0 {
        let ([p0, q0], [p1, q1]) = (add_pairs(pa, qa), add_pairs(pb, qb));
        parents.push(join(p0, p1));
        parents.push(join(q0, q1));
    }
    parents.finish()
}

impl<'m, L: Lanes> Build<'_, 'm, L> {
    #[inline(always)]
    fn unit_grandparents(&self, room: Room<'m, Block<L>>) -> &'m mut [Block<L>] {
        let leaves = &self.leaves.denominators;
        let mut blocks = room.fill();
        for at in 0..1 << (self.depth - 4) {
            let [pa, qa] = self.place.parents(leaves, 2 * at);
            let [pb, qb] = self.place.parents(leaves, 2 * at + 1);
            let ([p0, q0], [p1, q1]) = (add_pairs(pa, qa), add_pairs(pb, qb));
            blocks.push(join(p0, p1));
            blocks.push(join(q0, q1));
        }
        blocks.finish()
    }

    #[inline(always)]
    fn leaves(&self, room: Room<'m, Block<L>>) -> &'m mut [Block<L>] {
        let Leaves {
            unit,
            numerators,
            denominators,
            ..
        } = self.leaves;
        let Place { base, step } = self.place;
        let one = &Fr::ONE;
        let mut blocks = room.fill();
        for at in 0..1 << (self.depth - 2) {
            let (mut p, mut q) = ([L::ZEROS; 4], [L::ZEROS; 4]);
            for i in 0..4 {
                let j = base + 4 * at + i;
                q[i] = L::load(|lane| denominators.get(j + lane * step).unwrap_or(one));
                p[i] = L::load_integers(|lane| match (j + lane * step).checked_sub(*unit) {
                    Some(i) => numerators.get(i).copied().unwrap_or(0),
                    None => 1,
                });
            }
            blocks.push(p);
            blocks.push(q);
        }
        blocks.finish()
    }
}

/// Writes four vectors, a row for each lane.
#[inline(always)]
fn store<L: Lanes>(values: [L; 4], out: &mut [[Fr; 4]]) {
    let mut lanes = vec![Fr::ZERO; L::WIDTH];
    for (i, value) in values.into_iter().enumerate() {
        value.store(&mut lanes);
        for (row, value) in out.iter_mut().zip(&lanes) {
            row[i] = *value;
        }
    }
}

/// Sets the chunks' weights to factors of the sums over their lanes.
pub struct Weigh<'a, 'm, L: Lanes> {
    /// The chunks.
    pub chunks: &'a mut [Chunk<'m, L>],
    /// `eq` of the variables above the chunks.
    pub eq: &'a [Fr],
    /// Batches numerators and denominators: a factor of the products of unit leaves.
    pub lambda: L::Constant,
}

impl<L: Lanes> Kernel<L> for Weigh<'_, '_, L> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for chunk in self.chunks {
            let (first, stride) = (chunk.first, chunk.stride);
            chunk.weight = L::load(|lane| &self.eq[first + lane * stride]);
            if chunk.is_unit() {
                chunk.weight = chunk.weight.product(L::splat(self.lambda));
            }
        }
    }
}

/// `eq` of the variables within a chunk: the value at `(high, low)` is the product.
pub struct Tables<L: Lanes> {
    /// For the lower variables.
    pub low: Vec<L::Constant>,
    /// For the rest.
    pub high: Vec<L::Constant>,
}

/// The leading coefficient of a layer's first round.
pub struct FirstSum<'a, 'm, L: Lanes> {
    /// All denominators.
    pub leaves: &'a [Fr],
    /// Some of the chunks.
    pub chunks: &'a [Chunk<'m, L>],
    /// Batches numerators and denominators.
    pub lambda: L::Constant,
    /// Weights.
    pub eq: &'a Tables<L>,
}

impl<L: Lanes> Kernel<L> for FirstSum<'_, '_, L> {
    type Output = [Fr; 1];

    #[inline(always)]
    fn run(self) -> [Fr; 1] {
        let mut leading = L::ZEROS;
        for chunk in self.chunks {
            let Some(level) = chunk.levels.last() else {
                continue;
            };
            let mut of_chunk = L::ZEROS;
            for (at, &weight) in self.eq.high.iter().enumerate() {
                let at = at * self.eq.low.len();
                let sum = match level.kind {
                    Kind::Any => self.any(level.blocks, at),
                    Kind::Unit => self.unit(chunk.place, at),
                    Kind::UnitParents => self.unit_parents(chunk.place, at),
                };
                of_chunk = of_chunk.add(L::total(sum).product(L::splat(weight)));
            }
            leading = leading.add(of_chunk.product(chunk.weight));
        }
        [total(leading)]
    }
}

impl<L: Lanes> FirstSum<'_, '_, L> {
    #[inline(always)]
    fn any(&self, blocks: &[Block<L>], at: usize) -> L::Sum {
        let mut sum = L::sum();
        for (j, &weight) in (at..).zip(&self.eq.low) {
            prefetch(blocks, 2 * j);
            prefetch(blocks, 2 * j + 1);
            let value = self.leading(blocks[2 * j], blocks[2 * j + 1]);
            L::accumulate(&mut sum, weight, value);
        }
        sum
    }

    #[inline(always)]
    fn unit_parents(&self, place: Place, at: usize) -> L::Sum {
        let mut sum = L::sum();
        for (j, &weight) in (at..).zip(&self.eq.low) {
            let [p, q] = place.parents(self.leaves, j);
            L::accumulate(&mut sum, weight, self.leading(p, q));
        }
        sum
    }

    #[inline(always)]
    fn unit(&self, place: Place, at: usize) -> L::Sum {
        let mut sum = L::sum();
        for (j, &weight) in (at..).zip(&self.eq.low) {
            let [q00, q10, q01, q11] = place.leaves::<L>(self.leaves, j);
            L::accumulate(&mut sum, weight, q01.diff(q00).product(q11.diff(q10)));
        }
        sum
    }

    #[inline(always)]
    fn leading(&self, [p00, p10, p01, p11]: Block<L>, [q00, q10, q01, q11]: Block<L>) -> L {
        let (q0, q1) = (q01.diff(q00), q11.diff(q10));
        let p1 = q1.diff_mul_add(self.lambda, p11.diff(p10));
        L::products(p01.diff(p00), q1, p1, q0)
    }
}

/// How to bind a variable.
#[derive(Clone, Copy)]
pub struct Bind<L: Lanes> {
    /// The challenge.
    pub at: L::Constant,
    /// Batches numerators and denominators.
    pub lambda: L::Constant,
    /// `1 / lambda`.
    pub mu: L::Constant,
}

impl<L: Lanes> Bind<L> {
    /// Any two fractions. In the first round of a layer, `p1 + lambda q1` takes the place of `p1`.
    #[inline(always)]
    fn any<const FIRST: bool>(&self, p: Block<L>, q: Block<L>) -> [[L; 2]; 2] {
        let [q0, q1] = self.two(q);
        let [p0, p1] = self.two(p);
        if FIRST {
            [[p0, q1.mul_add(self.lambda, p1)], [q0, q1]]
        } else {
            [[p0, p1], [q0, q1]]
        }
    }

    /// Denominators of two unit leaves. In the first round, `q + mu` takes the place of `q`.
    #[inline(always)]
    fn unit<const FIRST: bool>(&self, q: Block<L>) -> [L; 2] {
        let [q0, q1] = self.two(q);
        if FIRST {
            let mu = L::splat(self.mu);
            [q0.add(mu), q1.add(mu)]
        } else {
            [q0, q1]
        }
    }

    #[inline(always)]
    fn two(&self, [f00, f10, f01, f11]: Block<L>) -> [L; 2] {
        [L::bind(f00, f01, self.at), L::bind(f10, f11, self.at)]
    }
}

/// Binds a variable, and sums up `h(0)` and the leading coefficient of the next round.
pub struct BindSum<'a, 'm, L: Lanes> {
    /// All denominators.
    pub leaves: &'a [Fr],
    /// Some of the chunks.
    pub chunks: &'a mut [Chunk<'m, L>],
    /// Whether it is the layer's first variable.
    pub first: bool,
    /// How to bind.
    pub bind: Bind<L>,
    /// Weights.
    pub eq: &'a Tables<L>,
}

impl<L: Lanes> Kernel<L> for BindSum<'_, '_, L> {
    type Output = [Fr; 2];

    #[inline(always)]
    fn run(self) -> [Fr; 2] {
        let mut sums = [L::ZEROS; 2];
        for chunk in self.chunks {
            let place = chunk.place;
            let Some(level) = chunk.levels.last_mut() else {
                continue;
            };
            let pass = Pass {
                bind: self.bind,
                eq: self.eq,
            };
            let Level { kind, blocks, .. } = level;
            let of_chunk = match (*kind, self.first) {
                (Kind::Any, true) => pass.any::<true>(blocks),
                (Kind::Any, false) => pass.any::<false>(blocks),
                (Kind::Unit, true) => {
                    *blocks = std::mem::take(&mut chunk.spare);
                    pass.unit_leaves(self.leaves, place, blocks)
                }
                (Kind::Unit, false) => pass.unit(blocks),
                (Kind::UnitParents, _) => {
                    *kind = Kind::Any;
                    *blocks = std::mem::take(&mut chunk.spare);
                    pass.unit_parents(self.leaves, place, blocks)
                }
            };
            for (sum, of_chunk) in sums.iter_mut().zip(of_chunk) {
                *sum = sum.add(of_chunk.product(chunk.weight));
            }
        }
        let [at_zero, leading] = sums;
        [total(at_zero), total(leading)]
    }
}

/// One pass of [`BindSum`] over a level.
struct Pass<'a, L: Lanes> {
    bind: Bind<L>,
    eq: &'a Tables<L>,
}

/// `h(0)` and the leading coefficient, with weights.
struct Sums<L: Lanes>([L::Sum; 2]);

impl<L: Lanes> Sums<L> {
    #[inline(always)]
    fn new() -> Self {
        Self([L::sum(); 2])
    }

    #[inline(always)]
    fn any(&mut self, weight: L::Constant, p: Block<L>, q: Block<L>) {
        let ([p00, p10, p01, p11], [q00, q10, q01, q11]) = (p, q);
        L::accumulate(&mut self.0[0], weight, L::products(p00, q10, p10, q00));
        let value = L::products(p01.diff(p00), q11.diff(q10), p11.diff(p10), q01.diff(q00));
        L::accumulate(&mut self.0[1], weight, value);
    }

    #[inline(always)]
    fn unit(&mut self, weight: L::Constant, [q00, q10, q01, q11]: Block<L>) {
        L::accumulate(&mut self.0[0], weight, q00.product(q10));
        let value = q01.diff(q00).product(q11.diff(q10));
        L::accumulate(&mut self.0[1], weight, value);
    }

    #[inline(always)]
    fn add_to(self, totals: &mut [L; 2], weight: L::Constant) {
        let weight = L::splat(weight);
        for (total, sum) in totals.iter_mut().zip(self.0) {
            *total = total.add(L::total(sum).product(weight));
        }
    }
}

impl<L: Lanes> Pass<'_, L> {
    #[inline(always)]
    fn any<const FIRST: bool>(&self, blocks: &mut [Block<L>]) -> [L; 2] {
        let mut totals = [L::ZEROS; 2];
        let mut j = 0;
        for &high in &self.eq.high {
            let mut sums = Sums::<L>::new();
            for &low in &self.eq.low {
                prefetch(blocks, 4 * j);
                prefetch(blocks, 4 * j + 1);
                let [p0, q0] = self.bind.any::<FIRST>(blocks[4 * j], blocks[4 * j + 1]);
                prefetch(blocks, 4 * j + 2);
                prefetch(blocks, 4 * j + 3);
                let [p1, q1] = self.bind.any::<FIRST>(blocks[4 * j + 2], blocks[4 * j + 3]);
                let (p, q) = (join(p0, p1), join(q0, q1));
                blocks[2 * j] = p;
                blocks[2 * j + 1] = q;
                sums.any(low, p, q);
                j += 1;
            }
            sums.add_to(&mut totals, high);
        }
        totals
    }

    /// Binds parents of unit leaves to `blocks`.
    #[inline(always)]
    fn unit_parents(&self, leaves: &[Fr], place: Place, blocks: &mut [Block<L>]) -> [L; 2] {
        let mut totals = [L::ZEROS; 2];
        let mut j = 0;
        for &high in &self.eq.high {
            let mut sums = Sums::<L>::new();
            for &low in &self.eq.low {
                let [p, q] = place.parents(leaves, 2 * j);
                let [p0, q0] = self.bind.any::<true>(p, q);
                let [p, q] = place.parents(leaves, 2 * j + 1);
                let [p1, q1] = self.bind.any::<true>(p, q);
                let (p, q) = (join(p0, p1), join(q0, q1));
                blocks[2 * j] = p;
                blocks[2 * j + 1] = q;
                sums.any(low, p, q);
                j += 1;
            }
            sums.add_to(&mut totals, high);
        }
        totals
    }

    #[inline(always)]
    fn unit(&self, blocks: &mut [Block<L>]) -> [L; 2] {
        let mut totals = [L::ZEROS; 2];
        let mut j = 0;
        for &high in &self.eq.high {
            let mut sums = Sums::<L>::new();
            for &low in &self.eq.low {
                prefetch(blocks, 2 * j);
                prefetch(blocks, 2 * j + 1);
                let q0 = self.bind.unit::<false>(blocks[2 * j]);
                let q1 = self.bind.unit::<false>(blocks[2 * j + 1]);
                blocks[j] = join(q0, q1);
                sums.unit(low, blocks[j]);
                j += 1;
            }
            sums.add_to(&mut totals, high);
        }
        totals
    }

    /// Binds unit leaves to `blocks`.
    #[inline(always)]
    fn unit_leaves(&self, leaves: &[Fr], place: Place, blocks: &mut [Block<L>]) -> [L; 2] {
        let mut totals = [L::ZEROS; 2];
        let mut j = 0;
        for &high in &self.eq.high {
            let mut sums = Sums::<L>::new();
            for &low in &self.eq.low {
                let q0 = self.bind.unit::<true>(place.leaves(leaves, 2 * j));
                let q1 = self.bind.unit::<true>(place.leaves(leaves, 2 * j + 1));
                let q = join(q0, q1);
                blocks[j] = q;
                sums.unit(low, q);
                j += 1;
            }
            sums.add_to(&mut totals, high);
        }
        totals
    }
}

/// Binds the last variable within chunks; the pairs of fractions that are left.
pub struct BindLast<'a, 'm, L: Lanes> {
    /// The chunks.
    pub chunks: &'a mut [Chunk<'m, L>],
    /// Whether it is the layer's first variable, too.
    pub first: bool,
    /// How to bind.
    pub bind: Bind<L>,
}

impl<L: Lanes> Kernel<L> for BindLast<'_, '_, L> {
    type Output = Vec<[Fr; 4]>;

    /// By position: `p0, p1 + lambda q1, q0, q1`, or for unit leaves `q0 + mu, q1 + mu` in the last two.
    #[inline(always)]
    fn run(self) -> Vec<[Fr; 4]> {
        let mut quads = vec![[Fr::ZERO; 4]; L::WIDTH * self.chunks.len()];
        let mut lanes = vec![[Fr::ZERO; 4]; L::WIDTH];
        for chunk in self.chunks {
            let Some(level) = chunk.levels.pop() else {
                continue;
            };
            let blocks = &level.blocks;
            let [[p0, p1], [q0, q1]] = match (level.kind, self.first) {
                // A chunk is so deep that its leaves and their parents were bound before.
                (Kind::Unit | Kind::UnitParents, _) => {
                    [[L::ZEROS; 2], self.bind.unit::<false>(blocks[0])]
                }
                (Kind::Any, true) => self.bind.any::<true>(blocks[0], blocks[1]),
                (Kind::Any, false) => self.bind.any::<false>(blocks[0], blocks[1]),
            };
            store([p0, p1, q0, q1], &mut lanes);
            for (lane, quad) in lanes.iter().enumerate() {
                quads[chunk.first + lane * chunk.stride] = *quad;
            }
            if level.blocks.len() > chunk.spare.len() {
                chunk.spare = level.blocks;
            }
        }
        quads
    }
}
