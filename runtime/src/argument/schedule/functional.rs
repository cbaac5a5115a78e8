//! Linear functionals of a column, in symbols: known before any challenge is drawn.
//!
//! A claim on a view, with every axis of its term bound, is `<column, w_0 (x) w_1 (x) ...>` with one short vector `w_d` per
//! column axis: either an eq vector, or weights pushed forward through the view's affine map. Symbols let both sides
//! know at compile time which functionals share their column part, hence how long a proof is.

use std::ops::Range;

use super::bounds::Allowance;
use crate::error::VerifyError;
use crate::field::Fr;
use crate::field::{eq_eval, eq_table};
use crate::statement::model::{AxisMap, Column, ColumnId, axis_log2};
use ark_ff::{One, Zero};

/// One coordinate of a point, drawn later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coordinate {
    /// Of the lookup argument's leaf point.
    Rho(u32),
    /// Of the zero checks' point.
    Tau(u32),
    /// Of the contraction sumcheck.
    Sum(u32),
    /// Zero or one.
    Bit(bool),
}

/// The values of all coordinates.
#[derive(Debug)]
pub struct Challenges {
    /// Leaf point of the lookup argument.
    pub rho: Vec<Fr>,
    /// Point of the zero checks.
    pub tau: Vec<Fr>,
    /// Challenges of the contraction sumcheck, one more with each of its rounds.
    pub sum: Vec<Fr>,
}

// verify-path: begin
impl Challenges {
    /// After the lookups: nothing is drawn for the contractions yet.
    pub fn new(rho: Vec<Fr>, tau: Vec<Fr>) -> Self {
        Self {
            rho,
            tau,
            sum: Vec::new(),
        }
    }

    /// Values of `coordinates`.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when a coordinate does not exist: the schedule and the protocol disagree.
    pub fn point(&self, coordinates: &[Coordinate]) -> Result<Vec<Fr>, VerifyError> {
        coordinates
            .iter()
            .map(|&coordinate| self.value(coordinate))
            .collect()
    }

    fn value(&self, coordinate: Coordinate) -> Result<Fr, VerifyError> {
        let found = match coordinate {
            Coordinate::Rho(index) => self.rho.get(index as usize),
            Coordinate::Tau(index) => self.tau.get(index as usize),
            Coordinate::Sum(index) => self.sum.get(index as usize),
            Coordinate::Bit(false) => return Ok(Fr::zero()),
            Coordinate::Bit(true) => return Ok(Fr::one()),
        };
        found.copied().ok_or(VerifyError::Key(
            "a point is shorter than the schedule says",
        ))
    }
}

/// AxisWeights along one axis of a term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AxisWeights {
    /// `eq(point, index)`.
    Eq(Vec<Coordinate>),
    /// One for every index: a plain sum.
    Ones,
}

impl AxisWeights {
    /// The first `len` weights.
    pub fn vector(&self, len: u32, challenges: &Challenges) -> Result<Vec<Fr>, VerifyError> {
        match self {
            Self::Ones => Ok(vec![Fr::one(); len as usize]),
            Self::Eq(coordinates) => {
                let mut table = eq_table(&challenges.point(coordinates)?);
                table.truncate(len as usize);
                Ok(table)
            }
        }
    }
}

/// One term axis inside a column axis' map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Column indices per step.
    pub stride: i64,
    /// True length of the term axis.
    pub len: u32,
    /// Its weights.
    pub weights: AxisWeights,
}

impl Part {
    /// Where an index leads to, from `at`.
    fn reached(&self, at: i64, index: i64) -> i64 {
        at.saturating_add(self.stride.saturating_mul(index))
    }

    /// The indices that lead from `at` to somewhere in `0..len`.
    fn indices(&self, at: i64, len: u32) -> Range<i64> {
        let to_end = i64::from(len).saturating_sub(1).saturating_sub(at);
        let (from, to) = match self.stride {
            0 if to_end >= 0 && at >= 0 => return 0..i64::from(self.len),
            1.. => (at.saturating_neg(), to_end),
            _ => (to_end.saturating_neg(), at),
        };
        let step = self.stride.saturating_abs();
        let floor = |x: i64| x.checked_div_euclid(step).unwrap_or(-1);
        let first = floor(from.saturating_neg()).saturating_neg().max(0);
        first..floor(to).saturating_add(1).min(self.len.into())
    }
}

/// The part with the most indices, which is visited only where it stays on the axis, and the others.
pub(super) fn longest_apart(parts: &[Part]) -> Option<(impl Iterator<Item = &Part>, &Part)> {
    let (at, longest) = parts.iter().enumerate().max_by_key(|(_, part)| part.len)?;
    let others = parts
        .iter()
        .enumerate()
        .filter(move |(other, _)| *other != at);
    Some((others.map(|(_, part)| part), longest))
}

/// A functional along one column axis (or the low bits of one).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AxisFunctional {
    /// `eq(point, x)` over the whole padded axis.
    Eq(Vec<Coordinate>),
    /// `w[x] = sum over part indices with offset + sum stride*index = x of the product of weights`, for `x < len`.
    Pushed {
        /// Bits of the axis.
        log2: u32,
        /// Indices from here on weigh nothing.
        len: u32,
        /// Index at the origin.
        offset: i64,
        /// Term axes of the map.
        parts: Vec<Part>,
    },
}

impl AxisFunctional {
    /// The functional that `map` makes of its term axes' weights, along a column axis of true length `len`.
    pub fn new(
        len: u32,
        map: &AxisMap,
        weights: impl Fn(u8) -> Option<(u32, AxisWeights)>,
    ) -> Result<Self, VerifyError> {
        let log2 = axis_log2(len);
        let mut parts = Vec::with_capacity(map.strides.len());
        for &(axis, stride) in map.strides.iter() {
            let (len, weights) = weights(axis)
                .ok_or(VerifyError::Key("a view names an axis that its term lacks"))?;
            parts.push(Part {
                stride: i64::from(stride),
                len,
                weights,
            });
        }
        match parts.as_slice() {
            [] if (0..i64::from(len)).contains(&i64::from(map.offset)) => {
                Ok(Self::Eq(bits(map.offset as u32, log2)))
            }
            [
                Part {
                    stride: 1,
                    len: part,
                    weights: AxisWeights::Eq(point),
                },
            ] if map.offset == 0
                && *part == len
                && 1u64.checked_shl(log2) == Some(u64::from(len)) =>
            {
                Ok(Self::Eq(point.clone()))
            }
            _ => Ok(Self::Pushed {
                log2,
                len,
                offset: i64::from(map.offset),
                parts,
            }),
        }
    }

    /// Bits of the axis.
    pub fn log2(&self) -> u32 {
        match self {
            Self::Eq(point) => point.len() as u32,
            Self::Pushed { log2, .. } => *log2,
        }
    }

    /// All `2^log2` weights.
    pub fn vector(&self, challenges: &Challenges) -> Result<Vec<Fr>, VerifyError> {
        match self {
            Self::Eq(point) => Ok(eq_table(&challenges.point(point)?)),
            Self::Pushed {
                log2,
                len,
                offset,
                parts,
            } => {
                let size = 1usize
                    .checked_shl(*log2)
                    .ok_or(VerifyError::Key("an axis is too long"))?;
                let mut out = vec![Fr::zero(); size];
                let Some((others, last)) = longest_apart(parts) else {
                    return Ok(out); // the axis' index is fixed, and beyond its end
                };
                let mut items = vec![(*offset, Fr::one())];
                for part in others {
                    let weights = part.weights.vector(part.len, challenges)?;
                    let mut next = Vec::with_capacity(items.len().saturating_mul(weights.len()));
                    for (at, factor) in &items {
                        // len: as many weights
                        for (index, weight) in (0i64..).zip(&weights) {
                            next.push((part.reached(*at, index), *factor * weight));
                        }
                    }
                    items = next;
                }
                let table = match &last.weights {
                    AxisWeights::Ones => None,
                    weights => Some(weights.vector(last.len, challenges)?),
                };
                for (at, factor) in items {
                    for index in last.indices(at, *len) {
                        let slot = usize::try_from(last.reached(at, index)).ok();
                        let Some(slot) = slot.and_then(|slot| out.get_mut(slot)) else {
                            continue;
                        };
                        *slot += match &table {
                            None => factor,
                            Some(table) => table
                                .get(index as usize)
                                .map_or(Fr::zero(), |weight| factor * weight),
                        };
                    }
                }
                Ok(out)
            }
        }
    }

    /// The multilinear extension of the weights at `point` (`log2` coordinates).
    fn evaluate(&self, point: &[Fr], challenges: &Challenges) -> Result<Fr, VerifyError> {
        match self {
            Self::Eq(coordinates) => Ok(eq_eval(&challenges.point(coordinates)?, point)),
            Self::Pushed { .. } => {
                let weights = self.vector(challenges)?;
                let eq = eq_table(point);
                Ok(weights
                    .iter()
                    // len: both 2^log2
                    .zip(&eq)
                    .filter(|(w, _)| !w.is_zero())
                    .map(|(w, e)| *w * e)
                    .sum())
            }
        }
    }

    /// Number of pairs in [`Self::split`].
    fn split_len(&self, low_bits: u32) -> u64 {
        match self {
            Self::Eq(_) => 1,
            Self::Pushed { len, .. } => {
                let used = blocks(*len, low_bits);
                match self.whole_blocks(low_bits) {
                    Some((whole, ..)) => used.saturating_sub(whole).saturating_add(1) as u64,
                    None => used as u64,
                }
            }
        }
    }

    /// Splits into `(high bits, low bits)` functionals whose tensor products sum to this one.
    fn split(&self, low_bits: u32) -> Vec<(Self, Self)> {
        match self {
            Self::Eq(point) => {
                let high = point.len().saturating_sub(low_bits as usize);
                let (high, low) = point.split_at_checked(high).unwrap_or((&[], point));
                vec![(Self::Eq(high.to_vec()), Self::Eq(low.to_vec()))]
            }
            Self::Pushed {
                log2,
                len,
                offset,
                parts,
            } => {
                let high_bits = log2.saturating_sub(low_bits);
                let block = 1i64 << low_bits.min(62);
                let used = blocks(*len, low_bits);
                let piece = |high: i64| {
                    let start = high.saturating_mul(block);
                    let len = i64::from(*len).saturating_sub(start).min(block) as u32;
                    let low = Self::Pushed {
                        log2: low_bits,
                        len,
                        offset: offset.saturating_sub(start),
                        parts: parts.clone(),
                    };
                    (Self::Eq(bits(high as u32, high_bits)), low)
                };
                match self.whole_blocks(low_bits) {
                    Some((whole, high, low)) => std::iter::once((high, low))
                        .chain((whole..used).map(piece))
                        .collect(),
                    None => (0..used).map(piece).collect(),
                }
            }
        }
    }

    /// For a truncated plain axis (one part, stride 1, no offset): the blocks of `2^low_bits` that lie wholly inside, which are a tensor product.
    fn whole_blocks(&self, low_bits: u32) -> Option<(i64, Self, Self)> {
        let Self::Pushed {
            log2,
            len,
            offset: 0,
            parts,
        } = self
        else {
            return None;
        };
        let [
            Part {
                stride: 1,
                len: part,
                weights,
            },
        ] = parts.as_slice()
        else {
            return None;
        };
        let high_bits = log2.checked_sub(low_bits)?;
        let block = 1u32.checked_shl(low_bits)?;
        let whole = (*len)
            .min(*part)
            .checked_shr(low_bits)
            .filter(|&whole| whole > 0)?;
        let (above, below) = match weights {
            AxisWeights::Ones => (AxisWeights::Ones, AxisWeights::Ones),
            AxisWeights::Eq(point) => {
                let (above, below) =
                    point.split_at_checked(point.len().checked_sub(low_bits as usize)?)?;
                (
                    AxisWeights::Eq(above.to_vec()),
                    AxisWeights::Eq(below.to_vec()),
                )
            }
        };
        let pushed = |log2: u32, len: u32, weights| Self::Pushed {
            log2,
            len,
            offset: 0,
            parts: vec![Part {
                stride: 1,
                len,
                weights,
            }],
        };
        let low = match below {
            AxisWeights::Eq(point) => Self::Eq(point),
            ones => pushed(low_bits, block, ones),
        };
        Some((i64::from(whole), pushed(high_bits, whole, above), low))
    }
}

/// Number of blocks of `2^low_bits` that cover `len`.
fn blocks(len: u32, low_bits: u32) -> i64 {
    let block = 1i64 << low_bits.min(62);
    i64::from(len).saturating_add(block - 1) >> low_bits.min(62)
}

/// The coordinates of a boolean point, most significant first.
fn bits(value: u32, log2: u32) -> Vec<Coordinate> {
    (0..log2)
        .rev()
        .map(|bit| Coordinate::Bit(value.checked_shr(bit).unwrap_or(0) & 1 == 1))
        .collect()
}

/// `<column, (x)_axes axis>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Functional {
    /// What is read.
    pub column: ColumnId,
    /// One functional for each column axis.
    pub axes: Vec<AxisFunctional>,
    /// Whether the entries of a row that the column does not use are read as well.
    pub entire: bool,
}

/// A functional whose row part and column part are tensor products.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RankOne {
    /// What is read.
    pub column: ColumnId,
    /// Along the column's rows.
    pub high: TensorFunctional,
    /// Along the entries of a row.
    pub low: TensorFunctional,
}

/// A tensor product of axis functionals, most significant first; neighboring eq vectors are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TensorFunctional(pub(super) Vec<AxisFunctional>);

impl TensorFunctional {
    fn new(axes: impl IntoIterator<Item = AxisFunctional>) -> Self {
        let mut merged: Vec<AxisFunctional> = Vec::new();
        for axis in axes {
            match (merged.last_mut(), axis) {
                (_, AxisFunctional::Eq(empty)) if empty.is_empty() => {}
                (Some(AxisFunctional::Eq(before)), AxisFunctional::Eq(after)) => {
                    before.extend(after)
                }
                (_, axis) => merged.push(axis),
            }
        }
        Self(merged)
    }

    /// All weights.
    pub fn vector(&self, challenges: &Challenges) -> Result<Vec<Fr>, VerifyError> {
        let mut out = vec![Fr::one()];
        for axis in &self.0 {
            let weights = axis.vector(challenges)?;
            out = if matches!(out.as_slice(), [one] if one.is_one()) {
                weights
            } else {
                out.iter()
                    .flat_map(|high| weights.iter().map(move |low| *high * low))
                    .collect()
            };
        }
        Ok(out)
    }

    /// The multilinear extension of the weights at `point`.
    pub fn evaluate(&self, point: &[Fr], challenges: &Challenges) -> Result<Fr, VerifyError> {
        let mut rest = point;
        let mut value = Fr::one();
        for axis in &self.0 {
            let (head, tail) = rest
                .split_at_checked(axis.log2() as usize)
                .ok_or(VerifyError::Key("a functional is longer than its point"))?;
            value *= axis.evaluate(head, challenges)?;
            rest = tail;
        }
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(VerifyError::Key("a functional is shorter than its point"))
        }
    }
}

impl Functional {
    /// The functional that reads nothing and is one.
    pub fn constant() -> Self {
        Self {
            column: ColumnId(u32::MAX),
            axes: Vec::new(),
            entire: false,
        }
    }

    /// Whether it reads nothing.
    pub fn is_constant(&self) -> bool {
        self.column == ColumnId(u32::MAX)
    }

    /// The whole column at a point of `column.len_log2()` coordinates.
    pub fn whole(id: ColumnId, column: &Column, point: &[Coordinate]) -> Result<Self, VerifyError> {
        if point.len() != column.len_log2() as usize {
            return Err(VerifyError::Key(
                "a column is evaluated at a point of another length",
            ));
        }
        Ok(Self {
            column: id,
            axes: vec![AxisFunctional::Eq(point.to_vec())],
            entire: false,
        })
    }

    /// As rank-one functionals over rows of `2^row_log2` entries, of which the column uses `2^used_log2`. A column shorter than that starts at
    /// the row's first entry.
    pub(super) fn rank_ones(
        &self,
        (used_log2, row_log2): (u32, u32),
        allowance: &mut Allowance,
    ) -> Result<Vec<RankOne>, VerifyError> {
        let used_log2 = if self.entire { row_log2 } else { used_log2 };
        let unused = bits(0, row_log2.saturating_sub(used_log2));
        let mut low: Vec<AxisFunctional> = Vec::new();
        let mut missing = used_log2;
        let mut straddling = None;
        let mut high: Vec<AxisFunctional> = Vec::new();
        for axis in self.axes.iter().rev() {
            if missing == 0 || straddling.is_some() {
                high.push(axis.clone());
            } else if axis.log2() <= missing {
                missing = missing.saturating_sub(axis.log2());
                low.push(axis.clone());
            } else {
                straddling = Some(axis);
            }
        }
        high.reverse();
        low.reverse();
        allowance.pieces(straddling.map_or(1, |axis| axis.split_len(missing)))?;
        let pairs = match straddling {
            Some(axis) => axis.split(missing),
            None => vec![(
                AxisFunctional::Eq(Vec::new()),
                AxisFunctional::Eq(bits(0, missing)),
            )],
        };
        let pieces = pairs.into_iter().map(|(above, below)| RankOne {
            column: self.column,
            high: TensorFunctional::new(high.iter().cloned().chain([above])),
            low: TensorFunctional::new(
                [AxisFunctional::Eq(unused.clone()), below]
                    .into_iter()
                    .chain(low.iter().cloned()),
            ),
        });
        Ok(pieces.collect())
    }
}
// verify-path: end
