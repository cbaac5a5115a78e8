//! Kernels on the levels of chunks.

use ark_bn254::Fr;
use ark_ff::Field;

use super::Leaves;
use super::lanes::{Kernel, Lanes};
use super::tree::Chunk;

/// Fractions of one layer within one chunk; no numerators if all of them are one.
pub struct Level<L> {
    /// Numerators.
    pub p: Vec<L>,
    /// Denominators.
    pub q: Vec<L>,
}

impl<L: Lanes> Level<L> {
    /// Whether all numerators are one.
    pub fn is_unit(&self) -> bool {
        self.p.is_empty()
    }

    /// The layer above.
    #[inline(always)]
    fn parents(&self) -> Self {
        let (q, _) = self.q.as_chunks::<2>();
        let mut parents = Self {
            p: Vec::with_capacity(q.len()),
            q: Vec::with_capacity(q.len()),
        };
        if self.is_unit() {
            for &[q0, q1] in q {
                parents.p.push(q0.add(q1));
                parents.q.push(q0.product(q1));
            }
        } else {
            for (&[p0, p1], &[q0, q1]) in self.p.as_chunks::<2>().0.iter().zip(q) {
                parents.p.push(L::products(p0, q1, p1, q0));
                parents.q.push(q0.product(q1));
            }
        }
        parents
    }
}

/// Loads the leaves of a chunk and adds up its subtree: all levels of at least four vectors, and `p0, p1, q0, q1` of the next.
pub struct Build<'a> {
    /// All leaves.
    pub leaves: &'a Leaves<'a>,
    /// Leaves of a lane (log2).
    pub depth: usize,
    /// Position of the first lane.
    pub first: usize,
    /// Distance of lanes.
    pub stride: usize,
    /// Whether all of the chunk's numerators are one.
    pub unit: bool,
}

impl<L: Lanes> Kernel<L> for Build<'_> {
    type Output = (Vec<Level<L>>, [L; 4]);

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Leaves {
            unit,
            numerators,
            denominators,
            ..
        } = self.leaves;
        let len = 1usize << self.depth;
        let base = self.first << self.depth;
        let step = self.stride << self.depth;
        let one = &Fr::ONE;
        let mut q = Vec::with_capacity(len);
        for j in base..base + len {
            q.push(L::load(|lane| {
                denominators.get(j + lane * step).unwrap_or(one)
            }));
        }
        let mut p = Vec::new();
        if !self.unit {
            p.reserve(len);
            for j in base..base + len {
                p.push(L::load_integers(|lane| {
                    match (j + lane * step).checked_sub(*unit) {
                        Some(i) => numerators.get(i).copied().unwrap_or(0),
                        None => 1,
                    }
                }));
            }
        }
        let mut levels = vec![Level { p, q }];
        for _ in 2..self.depth {
            let parents = levels[levels.len() - 1].parents();
            levels.push(parents);
        }
        let Level { p, q } = levels[levels.len() - 1].parents();
        (levels, [p[0], p[1], q[0], q[1]])
    }
}

/// The leading coefficient of a layer's first round.
pub struct FirstSum<'a, L: Lanes> {
    /// Some of the chunks.
    pub chunks: &'a [Chunk<L>],
    /// Batches numerators and denominators.
    pub lambda: L::Constant,
    /// `eq` of the lower variables.
    pub low: &'a [L::Constant],
    /// `eq` of the middle variables.
    pub high: &'a [L::Constant],
}

impl<L: Lanes> Kernel<L> for FirstSum<'_, L> {
    type Output = [L; 1];

    #[inline(always)]
    fn run(self) -> [L; 1] {
        let mut leading = L::ZEROS;
        for chunk in self.chunks {
            let Some(level) = chunk.levels.last() else {
                continue;
            };
            let mut p = level.p.as_chunks::<4>().0.iter();
            let mut q = level.q.as_chunks::<4>().0.iter();
            let mut of_chunk = L::ZEROS;
            for &weight in self.high {
                let mut sum = L::sum();
                for (&weight, &[q00, q10, q01, q11]) in self.low.iter().zip(&mut q) {
                    let (q0, q1) = (q01.diff(q00), q11.diff(q10));
                    let value = match p.next() {
                        None => q0.product(q1),
                        Some(&[p00, p10, p01, p11]) => {
                            let p0 = p01.diff(p00);
                            let p1 = q1.diff_mul_add(self.lambda, p11.diff(p10));
                            L::products(p0, q1, p1, q0)
                        }
                    };
                    L::accumulate(&mut sum, weight, value);
                }
                of_chunk = of_chunk.add(L::total(sum).product(L::splat(weight)));
            }
            leading = leading.add(of_chunk.product(chunk.weight));
        }
        [leading]
    }
}

/// How to bind a variable.
#[derive(Clone, Copy)]
pub struct Bind<L: Lanes> {
    /// The challenge.
    pub at: L::Constant,
    /// `lambda` in a layer's first round, after which `p1 + lambda q1` takes the place of `p1`, and `q + mu` that of unit
    /// leaves' `q`.
    pub first: Option<L::Constant>,
    /// `1 / lambda`.
    pub mu: L::Constant,
}

impl<L: Lanes> Bind<L> {
    /// `p0, p1` at the challenge.
    #[inline(always)]
    fn numerators(&self, &[p00, p10, p01, p11]: &[L; 4], q1: L, first: bool) -> [L; 2] {
        let p0 = L::bind(p00, p01, self.at);
        let p1 = L::bind(p10, p11, self.at);
        match self.first {
            Some(lambda) if first => [p0, q1.mul_add(lambda, p1)],
            _ => [p0, p1],
        }
    }

    /// `q0, q1` at the challenge.
    #[inline(always)]
    fn denominators(&self, &[q00, q10, q01, q11]: &[L; 4]) -> [L; 2] {
        [L::bind(q00, q01, self.at), L::bind(q10, q11, self.at)]
    }

    /// `q0, q1` of unit leaves at the challenge.
    #[inline(always)]
    fn unit_denominators(&self, q: &[L; 4], first: bool) -> [L; 2] {
        let [q0, q1] = self.denominators(q);
        if first {
            let mu = L::splat(self.mu);
            [q0.add(mu), q1.add(mu)]
        } else {
            [q0, q1]
        }
    }
}

/// Binds a variable, and sums up `h(0)` and the leading coefficient of the next round.
pub struct BindSum<'a, L: Lanes> {
    /// Some of the chunks.
    pub chunks: &'a mut [Chunk<L>],
    /// How to bind.
    pub bind: Bind<L>,
    /// Vectors of a level after binding.
    pub live: usize,
    /// `eq` of the lower variables.
    pub low: &'a [L::Constant],
    /// `eq` of the middle variables.
    pub high: &'a [L::Constant],
}

impl<L: Lanes> Kernel<L> for BindSum<'_, L> {
    type Output = [L; 2];

    #[inline(always)]
    fn run(mut self) -> [L; 2] {
        if self.bind.first.is_some() {
            self.sums::<true>()
        } else {
            self.sums::<false>()
        }
    }
}

impl<L: Lanes> BindSum<'_, L> {
    #[inline(always)]
    fn sums<const FIRST: bool>(&mut self) -> [L; 2] {
        let mut sums = [L::ZEROS; 2];
        for chunk in &mut *self.chunks {
            let Some(level) = chunk.levels.last_mut() else {
                continue;
            };
            let q = &mut level.q[..2 * self.live];
            let of_chunk = if level.p.is_empty() {
                unit_sums::<L, FIRST>(q, self.bind, self.low, self.high)
            } else {
                let p = &mut level.p[..2 * self.live];
                general_sums::<L, FIRST>(p, q, self.bind, self.low, self.high)
            };
            for (sum, of_chunk) in sums.iter_mut().zip(of_chunk) {
                *sum = sum.add(of_chunk.product(chunk.weight));
            }
        }
        sums
    }
}

#[inline(always)]
fn general_sums<L: Lanes, const FIRST: bool>(
    p: &mut [L],
    q: &mut [L],
    bind: Bind<L>,
    low: &[L::Constant],
    high: &[L::Constant],
) -> [L; 2] {
    let mut sums = [L::ZEROS; 2];
    let mut j = 0;
    for &weight in high {
        let (mut at_zero, mut leading) = (L::sum(), L::sum());
        for &weight in low {
            let ([qa, qb], [pa, pb]) = (eight(q, 2 * j), eight(p, 2 * j));
            let [q00, q10] = bind.denominators(&qa);
            let [p00, p10] = bind.numerators(&pa, q10, FIRST);
            let [q01, q11] = bind.denominators(&qb);
            let [p01, p11] = bind.numerators(&pb, q11, FIRST);
            p[4 * j..4 * j + 4].copy_from_slice(&[p00, p10, p01, p11]);
            q[4 * j..4 * j + 4].copy_from_slice(&[q00, q10, q01, q11]);
            let value = L::products(p00, q10, p10, q00);
            L::accumulate(&mut at_zero, weight, value);
            let value = L::products(p01.diff(p00), q11.diff(q10), p11.diff(p10), q01.diff(q00));
            L::accumulate(&mut leading, weight, value);
            j += 1;
        }
        let weight = L::splat(weight);
        sums[0] = sums[0].add(L::total(at_zero).product(weight));
        sums[1] = sums[1].add(L::total(leading).product(weight));
    }
    sums
}

#[inline(always)]
fn unit_sums<L: Lanes, const FIRST: bool>(
    q: &mut [L],
    bind: Bind<L>,
    low: &[L::Constant],
    high: &[L::Constant],
) -> [L; 2] {
    let mut sums = [L::ZEROS; 2];
    let mut j = 0;
    for &weight in high {
        let (mut at_zero, mut leading) = (L::sum(), L::sum());
        for &weight in low {
            let [qa, qb] = eight(q, 2 * j);
            let [q00, q10] = bind.unit_denominators(&qa, FIRST);
            let [q01, q11] = bind.unit_denominators(&qb, FIRST);
            q[4 * j..4 * j + 4].copy_from_slice(&[q00, q10, q01, q11]);
            L::accumulate(&mut at_zero, weight, q00.product(q10));
            let value = q01.diff(q00).product(q11.diff(q10));
            L::accumulate(&mut leading, weight, value);
            j += 1;
        }
        let weight = L::splat(weight);
        sums[0] = sums[0].add(L::total(at_zero).product(weight));
        sums[1] = sums[1].add(L::total(leading).product(weight));
    }
    sums
}

/// The `at`-th and the next block of four values.
#[inline(always)]
fn eight<L: Lanes>(values: &[L], at: usize) -> [[L; 4]; 2] {
    let (blocks, _) = values.as_chunks::<4>();
    [blocks[at], blocks[at + 1]]
}

#[inline(always)]
fn first_four<L: Lanes>(values: &[L]) -> [L; 4] {
    [values[0], values[1], values[2], values[3]]
}

/// Binds the last variable within a chunk: `p0, p1 + lambda q1, q0, q1`, or for unit leaves `q0 + mu, q1 + mu` in the last two.
pub struct BindLast<'a, L: Lanes> {
    /// The layer.
    pub level: &'a Level<L>,
    /// How to bind.
    pub bind: Bind<L>,
}

impl<L: Lanes> Kernel<L> for BindLast<'_, L> {
    type Output = [L; 4];

    #[inline(always)]
    fn run(self) -> [L; 4] {
        let first = self.bind.first.is_some();
        let q = first_four(&self.level.q);
        if self.level.is_unit() {
            let [q0, q1] = self.bind.unit_denominators(&q, first);
            return [q0, q1, q0, q1];
        }
        let p = first_four(&self.level.p);
        let [q0, q1] = self.bind.denominators(&q);
        let [p0, p1] = self.bind.numerators(&p, q1, first);
        [p0, p1, q0, q1]
    }
}
