//! The proving schedule: everything about a proof that follows from the model alone.
//!
//! Prover and verifier build it from the same [`Model`]; it fixes the order of leaves, the list of contractions and of linear
//! functionals, which of them share weights, and so the length of a proof.

mod bounds;
pub mod cost;
mod functional;
mod known;
mod leaves;
mod summands;

use std::collections::hash_map::{Entry, HashMap};

pub use functional::{
    AxisFunctional, AxisWeights, Challenges, Coordinate, Functional, Part, RankOne,
    TensorFunctional,
};
pub use leaves::{Block, BlockKind, LeafLayout};

use summands::Summands;

use crate::error::VerifyError;
use crate::statement::model::{
    Accumulator, ColumnId, ColumnKind, Model, View, Visibility, axis_log2, shown_row_log2,
};
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

/// Where a column's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRange {
    /// First row among the constants' rows or among the witness' rows.
    pub first: usize,
    /// Number of rows.
    pub len: usize,
    /// log2 of the number of entries in use of each row: less than the model's for columns whose commitments are shown.
    pub row_log2: u8,
}

/// What a proof of a model looks like.
#[derive(Debug)]
pub struct Schedule {
    /// Rows of each column; constants and witness are numbered apart.
    pub rows: Vec<RowRange>,
    /// Rows in the verifier key.
    pub constant_rows: usize,
    /// Rows of witness columns.
    pub witness_rows: usize,
    /// Those of them in a proof; the others are in the statement.
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
    /// Distinct functionals along a row.
    pub lows: Vec<TensorFunctional>,
    /// Rank-one pieces of each linear summand, then of each operand of each contraction: `(index into lows, column, rows)`.
    pub pieces: Vec<Vec<Piece>>,
}

/// A rank-one piece of a claim.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Index into [`Schedule::lows`].
    pub low: usize,
    /// Column it reads.
    pub column: ColumnId,
    /// AxisWeights of the column's rows.
    pub high: TensorFunctional,
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
        let (rows, constant_rows, witness_rows) = row_layout(model, &shown)?;
        let shown_rows = shown
            .iter()
            .filter_map(|id| rows.get(id.0 as usize))
            .fold(0usize, |sum, range| sum.saturating_add(range.len));
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
        let mut allowance = bounds::Allowance::new(model, constant_rows, witness_rows);
        let claims = claims(&linear, &contractions);
        let (lows, pieces) = collect_pieces(model, &rows, claims, &mut allowance)?;
        Ok(Self {
            rows,
            constant_rows,
            witness_rows,
            committed_rows: witness_rows.saturating_sub(shown_rows),
            shown,
            lookups: constraints.lookups,
            zeros: constraints.zeros,
            leaves,
            tau_len,
            linear,
            contractions,
            contraction_rounds,
            contraction_degree,
            lows,
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

fn row_layout(
    model: &Model,
    shown: &[ColumnId],
) -> Result<(Vec<RowRange>, usize, usize), VerifyError> {
    let mut next = (0usize, 0usize);
    let mut rows = Vec::with_capacity(model.columns.len());
    // len: 2^32 ids suffice
    for (id, column) in (0u32..).zip(model.columns.iter()) {
        let row_log2 = if shown.contains(&ColumnId(id)) {
            model.row_log2.min(shown_row_log2(&column.shape))
        } else {
            model.row_log2
        };
        let log2 = column.len_log2().saturating_sub(u32::from(row_log2));
        let len = match column.kind {
            ColumnKind::Structural(_) => Some(0),
            _ => 1usize.checked_shl(log2),
        };
        let len = len.ok_or(VerifyError::Key("a column is too long"))?;
        let first = match column.kind {
            ColumnKind::Constant => &mut next.0,
            ColumnKind::Witness | ColumnKind::Structural(_) => &mut next.1,
        };
        rows.push(RowRange {
            first: *first,
            len,
            row_log2,
        });
        *first = first
            .checked_add(len)
            .ok_or(VerifyError::Key("a column is too long"))?;
    }
    bounds::rows(next.0)?;
    bounds::rows(next.1)?;
    Ok((rows, next.0, next.1))
}

/// log2 of the number of entries of a column's rows, used or not.
fn whole_rows_log2(model: &Model, rows: &[RowRange], id: ColumnId) -> Result<u32, VerifyError> {
    let range = rows.get(id.0 as usize);
    let number = range.ok_or(VerifyError::Key("no such column"))?.len;
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

fn collect_pieces<'a>(
    model: &Model,
    rows: &[RowRange],
    claims: impl Iterator<Item = &'a Functional>,
    allowance: &mut bounds::Allowance,
) -> Result<(Vec<TensorFunctional>, Vec<Vec<Piece>>), VerifyError> {
    let mut lows: Vec<TensorFunctional> = Vec::new();
    let mut known: HashMap<TensorFunctional, usize> = HashMap::new();
    let mut pieces = Vec::new();
    for functional in claims {
        let mut list = Vec::new();
        if functional.is_known(model) {
            allowance.weights(functional.known_cost(), false)?;
        } else {
            let range = rows
                .get(functional.column.0 as usize)
                .ok_or(VerifyError::Key("no such column"))?;
            let row_log2 = (u32::from(range.row_log2), u32::from(model.row_log2));
            for RankOne { column, high, low } in functional.rank_ones(row_log2, allowance)? {
                allowance.weights(high.cost(), true)?;
                let low = match known.entry(low) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        allowance.weights(new.key().cost(), false)?;
                        lows.push(new.key().clone());
                        *new.insert(lows.len().saturating_sub(1))
                    }
                };
                list.push(Piece { low, column, high });
            }
        }
        pieces.push(list);
    }
    Ok((lows, pieces))
}
// verify-path: end
