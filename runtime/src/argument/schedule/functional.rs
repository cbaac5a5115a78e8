//! Linear functionals of a column, in symbols: known before any challenge is drawn.
//!
//! A claim on a view, with every axis of its term bound, is `<column, w_0 (x) w_1 (x) ...>` with one short vector `w_d` per
//! column axis: either an eq vector, or weights pushed forward through the view's affine map. Symbols let both sides
//! know at compile time which functionals share their column part, hence how long a proof is.

use ark_ff::{One, Zero};

use super::axis::{AxisFunctional, bits};
use super::bounds::Allowance;
use super::rows::{Span, Tile};
use crate::error::VerifyError;
use crate::field::Fr;
use crate::statement::model::{Column, ColumnId, axis_log2};

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
    /// Along the span's rows.
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

    /// log2 of the number of weights.
    pub fn log2(&self) -> u32 {
        self.0.iter().map(AxisFunctional::log2).sum()
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
        let mut rest = point;
        let mut axes = Vec::with_capacity(column.shape.len());
        for &len in column.shape.iter() {
            let (head, tail) = rest
                .split_at_checked(axis_log2(len) as usize)
                .ok_or(VerifyError::Key("a point is too short"))?;
            axes.push(AxisFunctional::Eq(head.to_vec()));
            rest = tail;
        }
        Ok(Self {
            column: id,
            axes,
            entire: false,
        })
    }

    /// What it weighs of a tile: a factor, and a functional along each of the tile's axes.
    fn restrict(&self, tile: &Tile) -> (Vec<AxisFunctional>, Vec<AxisFunctional>) {
        if self.entire {
            return (Vec::new(), self.axes.clone());
        }
        // len: a range for each axis
        let pairs = self.axes.iter().zip(&tile.ranges);
        pairs.map(|(axis, &range)| axis.restrict(range)).unzip()
    }

    /// What it weighs of a tile that shares its row: a factor, and weights of the tile's entries.
    pub(super) fn entries(&self, tile: &Tile) -> (TensorFunctional, TensorFunctional) {
        let (factors, axes) = self.restrict(tile);
        (TensorFunctional::new(factors), TensorFunctional::new(axes))
    }

    /// What it weighs of a tile, as rank-one functionals over its span, whose rows have `2^row_log2` entries. A tile shorter than what the span uses of them
    /// starts at the first.
    pub(super) fn rank_ones(
        &self,
        tile: &Tile,
        span: &Span,
        row_log2: u32,
        allowance: &mut Allowance,
    ) -> Result<Vec<RankOne>, VerifyError> {
        let used_log2 = if self.entire {
            row_log2
        } else {
            span.used_log2
        };
        let (mut high, axes) = self.restrict(tile);
        let unused = bits(0, row_log2.saturating_sub(used_log2));
        let mut low: Vec<AxisFunctional> = Vec::new();
        let mut missing = used_log2;
        let mut straddling = None;
        let mut above: Vec<AxisFunctional> = Vec::new();
        for axis in axes.iter().rev() {
            if missing == 0 || straddling.is_some() {
                above.push(axis.clone());
            } else if axis.log2() <= missing {
                missing = missing.saturating_sub(axis.log2());
                low.push(axis.clone());
            } else {
                straddling = Some(axis);
            }
        }
        high.extend(above.into_iter().rev());
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
