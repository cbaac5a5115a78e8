//! Functionals along one axis: eq vectors, and weights pushed forward through an affine map.

use std::ops::Range;

use ark_ff::{One, Zero};

use super::functional::{Challenges, Coordinate};
use crate::error::VerifyError;
use crate::field::{Fr, eq_eval, eq_table};
use crate::statement::layout::AxisRange;
use crate::statement::model::{AxisMap, axis_log2};

// verify-path: begin
/// Weights along one axis of a term.
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

    /// The functional of the `2^log2` indices from `first` on, a multiple of as many: a factor, of no bits, and weights of `log2` bits.
    pub(super) fn restrict(&self, (first, log2): AxisRange) -> (Self, Self) {
        let one = Self::Eq(Vec::new());
        if log2 >= self.log2() {
            return (one, self.clone());
        }
        let start = i64::from(first);
        let block = i64::from(first.checked_shr(log2).unwrap_or(0));
        let entry = |parts: Vec<Part>| Self::Pushed {
            log2: 0,
            len: 1,
            offset: block.saturating_neg(),
            parts,
        };
        match self {
            Self::Eq(point) => {
                let high = point.len().saturating_sub(log2 as usize);
                let (high, low) = point.split_at_checked(high).unwrap_or((&[], point));
                let part = Part {
                    stride: 1,
                    len: 1u32.checked_shl(high.len() as u32).unwrap_or(0),
                    weights: AxisWeights::Eq(high.to_vec()),
                };
                (entry(vec![part]), Self::Eq(low.to_vec()))
            }
            Self::Pushed {
                len, offset, parts, ..
            } => match self.whole_blocks(log2) {
                Some((whole, Self::Pushed { parts, .. }, below)) if block < whole => {
                    (entry(parts), below)
                }
                _ => {
                    let most = 1u32.checked_shl(log2).unwrap_or(u32::MAX);
                    let rest = Self::Pushed {
                        log2,
                        len: len.saturating_sub(first).min(most),
                        offset: offset.saturating_sub(start),
                        parts: parts.clone(),
                    };
                    (one, rest)
                }
            },
        }
    }

    /// The multilinear extension of the weights at `point` (`log2` coordinates).
    pub(super) fn evaluate(
        &self,
        point: &[Fr],
        challenges: &Challenges,
    ) -> Result<Fr, VerifyError> {
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
    pub(super) fn split_len(&self, low_bits: u32) -> u64 {
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
    pub(super) fn split(&self, low_bits: u32) -> Vec<(Self, Self)> {
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
pub(super) fn bits(value: u32, log2: u32) -> Vec<Coordinate> {
    (0..log2)
        .rev()
        .map(|bit| Coordinate::Bit(value.checked_shr(bit).unwrap_or(0) & 1 == 1))
        .collect()
}
// verify-path: end
