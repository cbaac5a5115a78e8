//! The proving schedule: everything about a proof that follows from the model alone.
//!
//! Prover and verifier build it from the same [`Model`]; it fixes the order of leaves, the list of contractions and of linear
//! functionals, which of them share weights, and so the length of a proof.

mod axis;
mod bounds;
pub mod cost;
mod functional;
mod known;
mod leaves;
mod pieces;
mod rows;
mod summands;

pub use axis::{AxisFunctional, AxisWeights, Part};
pub use functional::{Challenges, Coordinate, Functional, RankOne, TensorFunctional};
pub use leaves::{Block, BlockKind, LeafLayout};
pub use rows::{Rows, Span, Tile};

use pieces::Pieces;
use summands::Summands;

use crate::error::VerifyError;
use crate::statement::model::{Accumulator, ColumnId, Model, View, Visibility, axis_log2};
use crate::statement::relations::Lookup;

/// Which equation a summand belongs to; the protocol gives each source a factor once challenges are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Entry `entry` of the lookup in block `block`.
    Entry {
        /// Index into [`LeafLayout::blocks`].
        block: usize,
        /// 0 for the key.
        entry: usize,
    },
    /// Output column `output` of the table in block `block`.
    TableOutput {
        /// Index into [`LeafLayout::blocks`].
        block: usize,
        /// 0 for the first output.
        output: usize,
    },
    /// Multiplicities of the table in block `block`.
    Multiplicities {
        /// Index into [`LeafLayout::blocks`].
        block: usize,
    },
    /// A zero check.
    Zero(usize),
    /// A public port, by its index among all ports.
    Port(usize),
    /// That the rest of a committed port's rows is zero, by its index among [`Schedule::shown`].
    Rest(usize),
}

/// `factor(source) * integers * prod less_than(point, len)`: what multiplies a functional or a contraction.
#[derive(Clone, Debug)]
pub struct Coefficient {
    /// Equation it belongs to.
    pub source: Source,
    /// Integer factors: the term's coefficient and lengths of axes that are summed without being read.
    pub integers: Vec<i64>,
    /// Output axes that no operand reads, and whose length is not a power of two: point and length.
    pub truncations: Vec<(Vec<Coordinate>, u32)>,
}

/// A linear summand: a scaled functional of one column.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Its factor.
    pub coefficient: Coefficient,
    /// What it weighs.
    pub functional: Functional,
}

/// One operand of a contraction: a view with some axes bound and the others kept as sumcheck variables.
#[derive(Clone, Debug)]
pub struct Operand {
    /// What is read.
    pub view: View,
    /// AxisWeights of each term axis; `None` for kept axes.
    pub bound: Vec<Option<AxisWeights>>,
    /// Positions in [`Contraction::kept`] of the axes that the operand has, ascending.
    pub axes: Vec<usize>,
    /// The claim that remains when all variables are bound.
    pub functional: Functional,
}

/// An axis that two or more operands share.
#[derive(Clone, Debug)]
pub struct KeptAxis {
    /// Position among the term's axes.
    pub axis: usize,
    /// True length.
    pub len: u32,
    /// For an output axis: the point of its eq factor.
    pub eq: Option<Vec<Coordinate>>,
}

/// `coefficient * sum over kept axes of prod eq * prod operands`.
#[derive(Clone, Debug)]
pub struct Contraction {
    /// Its factor.
    pub coefficient: Coefficient,
    /// Lengths of all axes of the term.
    pub lens: Vec<u32>,
    /// Axes of the sumcheck, in binding order.
    pub kept: Vec<KeptAxis>,
    /// Two to four.
    pub operands: Vec<Operand>,
}

impl Contraction {
    /// Number of sumcheck variables.
    pub fn rounds(&self) -> usize {
        self.kept
            .iter()
            .map(|kept| axis_log2(kept.len) as usize)
            .sum()
    }
}

/// What a proof of a model looks like.
#[derive(Debug)]
pub struct Schedule {
    /// Where columns lie in the committed rows: the constants' are in the verifier key.
    pub rows: Rows,
    /// The witness' rows that are in a proof; the others are in the statement.
    pub committed_rows: usize,
    /// Columns whose commitments are in the statement.
    pub shown: Vec<ColumnId>,
    /// The lookups, in the order of their nodes.
    pub lookups: Vec<Lookup>,
    /// The zero checks, in the order of their nodes.
    pub zeros: Vec<Accumulator>,
    /// Leaves of the lookup argument.
    pub leaves: LeafLayout,
    /// Coordinates of the zero checks' point.
    pub tau_len: usize,
    /// Linear summands.
    pub linear: Vec<Linear>,
    /// Products.
    pub contractions: Vec<Contraction>,
    /// Rounds of the contraction sumcheck.
    pub contraction_rounds: usize,
    /// Greatest degree of a round of the contraction sumcheck.
    pub contraction_degree: usize,
    /// What is opened: for each group one combination of rows, and weights of its entries.
    pub groups: Vec<Group>,
    /// The pieces of each linear summand, then of each operand of each contraction.
    pub pieces: Vec<Vec<Piece>>,
}

/// Rows, and weights of their entries.
#[derive(Clone, Debug)]
pub enum Group {
    /// A sum of any rows, all of whose claims weigh entries alike.
    Alike(TensorFunctional),
    /// One row of several tiles: the weights are a sum, of these on the entries from an index on.
    Shared(Vec<(usize, TensorFunctional)>),
}

/// A piece of a claim.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Of a group of rows whose entries weigh alike.
    Rows {
        /// Index into [`Schedule::groups`].
        group: usize,
        /// Index into [`Rows::spans`].
        span: usize,
        /// Weights of the span's rows.
        high: TensorFunctional,
    },
    /// Of a shared row.
    Entries {
        /// Index into [`Schedule::groups`].
        group: usize,
        /// Index into [`Rows::spans`].
        span: usize,
        /// Index among the group's weights.
        weights: usize,
        /// Of no bits: what these are multiplied by.
        factor: TensorFunctional,
    },
}

// verify-path: begin
impl Schedule {
    /// The schedule of a model.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when the model is malformed.
    pub fn new(model: &Model) -> Result<Self, VerifyError> {
        model.validate()?;
        let shown = model.shown_columns();
        let rows = Rows::new(model, &shown)?;
        let shown_rows = shown
            .iter()
            .filter_map(|id| rows.own_span(*id))
            .fold(0usize, |sum, span| sum.saturating_add(span.len));
        let constraints = model.constraints()?;
        let leaves = LeafLayout::new(model, &constraints.lookups)?;
        let ports = model.ports().map(|port| port.value.len_log2());
        let zeros = constraints.zeros.iter().map(Accumulator::len_log2);
        let shown_log2 = shown.iter().map(|id| whole_rows_log2(model, &rows, *id));
        let mut lens = ports.chain(zeros).map(Ok).chain(shown_log2);
        let longest = lens.try_fold(0, |most: u32, len| Ok::<_, VerifyError>(len?.max(most)))?;
        let tau_len = longest as usize;
        let mut summands = Summands {
            model,
            linear: Vec::new(),
            contractions: Vec::new(),
            claims: 0,
        };
        summands.add_leaves(&leaves, &constraints.lookups)?;
        let tau: Vec<Coordinate> = (0..tau_len as u32).map(Coordinate::Tau).collect();
        for (index, zero) in constraints.zeros.iter().enumerate() {
            summands.add(zero, Source::Zero(index), &tau)?;
        }
        for (index, port) in model.ports().enumerate() {
            if port.visibility == Visibility::Public {
                summands.add(&port.value, Source::Port(index), &tau)?;
            }
        }
        for (index, &id) in shown.iter().enumerate() {
            let rows_log2 = whole_rows_log2(model, &rows, id)?;
            summands.add_rest(id, (rows_log2, model.row_log2), Source::Rest(index), &tau)?;
        }
        let Summands {
            linear,
            contractions,
            ..
        } = summands;
        let contraction_rounds = contractions
            .iter()
            .map(Contraction::rounds)
            .max()
            .unwrap_or(0);
        let contraction_degree = contractions.iter().map(degree).max().unwrap_or(0).max(1);
        let allowance = bounds::Allowance::new(model, &rows);
        let mut pieces = Pieces::new(model, &rows, allowance);
        for functional in claims(&linear, &contractions) {
            pieces.add(functional)?;
        }
        let Pieces { groups, pieces, .. } = pieces;
        Ok(Self {
            committed_rows: rows.witness.saturating_sub(shown_rows),
            rows,
            shown,
            lookups: constraints.lookups,
            zeros: constraints.zeros,
            leaves,
            tau_len,
            linear,
            contractions,
            contraction_rounds,
            contraction_degree,
            groups,
            pieces,
        })
    }
}

impl Schedule {
    /// The functionals of all claims, in the order of [`Self::pieces`].
    pub fn claims(&self) -> impl Iterator<Item = &Functional> {
        claims(&self.linear, &self.contractions)
    }
}

fn claims<'a>(
    linear: &'a [Linear],
    contractions: &'a [Contraction],
) -> impl Iterator<Item = &'a Functional> {
    let operands = contractions.iter().flat_map(|of| of.operands.iter());
    let summands = linear.iter().map(|linear| &linear.functional);
    summands.chain(operands.map(|operand| &operand.functional))
}

/// Degree of the widest round: eq factor and operands that share an axis.
fn degree(contraction: &Contraction) -> usize {
    let of = |position: usize, kept: &KeptAxis| {
        usize::from(kept.eq.is_some())
            + contraction
                .operands
                .iter()
                .filter(|operand| operand.axes.contains(&position))
                .count()
    };
    contraction
        .kept
        .iter()
        .enumerate()
        .map(|(position, kept)| of(position, kept))
        .max()
        .unwrap_or(0)
}

/// log2 of the number of entries of a column's rows, used or not.
fn whole_rows_log2(model: &Model, rows: &Rows, id: ColumnId) -> Result<u32, VerifyError> {
    let span = rows.own_span(id);
    let number = span.ok_or(VerifyError::Key("no such column"))?.len;
    Ok(number.max(1).ilog2().saturating_add(model.row_log2.into()))
}

/// The last `len` coordinates.
pub(crate) fn suffix(point: &[Coordinate], len: u32) -> Result<&[Coordinate], VerifyError> {
    let skip = point
        .len()
        .checked_sub(len as usize)
        .ok_or(VerifyError::Key("a point is too short"))?;
    point
        .get(skip..)
        .ok_or(VerifyError::Key("a point is too short"))
}
// verify-path: end
