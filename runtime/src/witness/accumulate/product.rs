//! Products of two operands that both have loops of their own: matrix products and convolutions.
//!
//! `out[b, m, n] += coefficient * sum_k A[b, m, k] * B[b, k, n]`, where each index stands for any number of loops. For a block of `n`,
//! `B` is a panel of rows: read in place where `n` is contiguous, else packed (im2col, a few columns at a time).

use rayon::prelude::*;

use super::{Loop, Operand, PARALLEL_WORK, kernels};

/// Multiply-adds below which the loop nest is as fast.
const LEAST_WORK: usize = 1 << 12;
/// Fewest columns that are worth a panel.
const LEAST_COLUMNS: usize = 8;
/// Fewest rows of `A` that are worth packing `B` for.
const LEAST_REUSE: usize = 8;
/// Elements of a panel: fits a core's cache.
const PANEL_LEN: usize = 1 << 16;

/// Adds the term to `out` if it is such a product, and large enough.
pub(super) fn add(
    loops: &[Loop],
    coefficient: i64,
    first: &Operand,
    second: &Operand,
    out: &mut [i64],
) -> bool {
    let one = Product::new(loops, coefficient, (first, 0), (second, 1));
    let other = Product::new(loops, coefficient, (second, 1), (first, 0));
    let products = one.into_iter().chain(other);
    let best = products.max_by_key(|product| (product.is_contiguous, product.columns.len()));
    if let Some(product) = &best {
        product.add(out);
    }
    best.is_some()
}

/// Offsets in the output, in `A` and in `B`.
type Offsets = [isize; 3];

/// Which index a loop belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// `b`: an output loop of both operands, or of none.
    Batch,
    /// `m`: an output loop of `A` alone.
    Row,
    /// `n`: an output loop of `B` alone.
    Column,
    /// `k`.
    Summed,
}

impl Role {
    fn of(step: Offsets) -> Self {
        match step.map(|step| step != 0) {
            [false, _, _] => Self::Summed,
            [true, true, false] => Self::Row,
            [true, false, true] => Self::Column,
            _ => Self::Batch,
        }
    }
}

struct Product<'a> {
    coefficient: i64,
    a: &'a [i32],
    b: &'a [i32],
    /// With the operands' origins.
    batches: Vec<Offsets>,
    rows: Vec<Offsets>,
    columns: Vec<Offsets>,
    summed: Vec<Offsets>,
    /// Whether neighboring columns are neighbors in `B`.
    is_contiguous: bool,
}

impl<'a> Product<'a> {
    /// `None` if it is not worthwhile.
    fn new(
        loops: &[Loop],
        coefficient: i64,
        (a, a_at): (&'a Operand, usize),
        (b, b_at): (&'a Operand, usize),
    ) -> Option<Self> {
        let of = |role: Role| {
            let steps = loops.iter().map(|l| {
                let step = [l.output as isize, l.operands[a_at], l.operands[b_at]];
                (l.len, step)
            });
            steps.filter(move |&(_, step)| Role::of(step) == role)
        };
        let len = |role: Role| of(role).map(|(len, _)| len).product::<usize>();
        let work: usize = loops.iter().map(|l| l.len).product();
        if work < LEAST_WORK || len(Role::Summed) == 1 || len(Role::Column) < LEAST_COLUMNS {
            return None;
        }
        let offsets = |origin: Offsets, role: Role| {
            of(role).fold(vec![origin], |outer, (len, step)| {
                (outer.iter())
                    .flat_map(|&at| (0..len as isize).map(move |index| (at, index)))
                    .map(|(at, index)| [0, 1, 2].map(|i| at[i] + index * step[i]))
                    .collect()
            })
        };
        let columns = offsets([0; 3], Role::Column);
        let is_contiguous = (columns.iter().enumerate()).all(|(index, at)| at[2] == index as isize);
        if !is_contiguous && len(Role::Row) < LEAST_REUSE {
            return None;
        }
        Some(Self {
            coefficient,
            a: &a.values,
            b: &b.values,
            batches: offsets([0, a.origin, b.origin], Role::Batch),
            rows: offsets([0; 3], Role::Row),
            columns,
            summed: offsets([0; 3], Role::Summed),
            is_contiguous,
        })
    }

    fn work(&self) -> usize {
        self.batches.len() * self.rows.len() * self.columns.len() * self.summed.len()
    }

    fn add(&self, out: &mut [i64]) {
        let width = (PANEL_LEN / self.summed.len()).clamp(32, 512);
        let reuse = if self.is_contiguous {
            1
        } else {
            4 * LEAST_REUSE
        };
        let panel = self.summed.len() * width.min(self.columns.len());
        let height = (PANEL_LEN / panel).max(reuse);
        let mut tiles = Vec::new();
        for &batch in &self.batches {
            for columns in self.columns.chunks(width) {
                for rows in self.rows.chunks(height) {
                    tiles.push((batch, rows, columns));
                }
            }
        }
        let is_large = self.work() > PARALLEL_WORK;
        let in_one_thread = if is_large { 1 } else { tiles.len() };
        let values: Vec<Vec<i64>> = (tiles.par_iter().with_min_len(in_one_thread))
            .map(|&(batch, rows, columns)| self.tile(batch, rows, columns))
            .collect();
        for (&(batch, rows, columns), values) in tiles.iter().zip(values) {
            for (row, values) in rows.iter().zip(values.chunks_exact(columns.len())) {
                let origin = batch[0] + row[0];
                for (column, value) in columns.iter().zip(values) {
                    let out = &mut out[(origin + column[0]) as usize];
                    *out = out.wrapping_add(self.coefficient.wrapping_mul(*value));
                }
            }
        }
    }

    /// The sums for some rows and columns, row-major.
    fn tile(&self, batch: Offsets, rows: &[Offsets], columns: &[Offsets]) -> Vec<i64> {
        let packed: Vec<i32>;
        let (panel, starts): (&[i32], Vec<usize>) = if self.is_contiguous {
            let first = batch[2] + columns[0][2];
            let starts = self.summed.iter().map(|k| (first + k[2]) as usize);
            (self.b, starts.collect())
        } else {
            packed = self.pack(batch, columns);
            let starts = (0..self.summed.len()).map(|k| k * columns.len());
            (&packed, starts.collect())
        };
        let mut tile = vec![0; rows.len() * columns.len()];
        let mut factors = vec![0; self.summed.len()];
        for (row, sums) in rows.iter().zip(tile.chunks_exact_mut(columns.len())) {
            let origin = batch[1] + row[1];
            for (factor, k) in factors.iter_mut().zip(&self.summed) {
                *factor = self.a[(origin + k[1]) as usize];
            }
            kernels::add_combination(sums, &factors, panel, &starts);
        }
        tile
    }

    /// `B` for some columns, contiguous.
    fn pack(&self, batch: Offsets, columns: &[Offsets]) -> Vec<i32> {
        let mut packed = Vec::with_capacity(self.summed.len() * columns.len());
        for k in &self.summed {
            let origin = batch[2] + k[2];
            let row = columns.iter().map(|n| self.b[(origin + n[2]) as usize]);
            packed.extend(row);
        }
        packed
    }
}
