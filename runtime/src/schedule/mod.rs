//! The proving schedule: everything about a proof that follows from the model alone.
//!
//! Prover and verifier build it from the same [`Model`]; it fixes the order of leaves, the list of contractions and of linear
//! functionals, which of them share weights, and so the length of a proof.

mod functional;
mod leaves;

use std::collections::HashMap;

pub use functional::{
    AxisFunctional, AxisWeights, Challenges, Coordinate, Functional, Part, RankOne,
    TensorFunctional,
};
pub use leaves::{Block, BlockKind, LeafLayout};

use crate::error::VerifyError;
use crate::model::{Accumulator, ColumnId, ColumnKind, Model, Term, View, axis_log2};
use crate::relations::{Entry, Lookup};
use crate::{logup, opening};

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
    /// A public input.
    Input(usize),
    /// A public output.
    Output(usize),
}

/// `factor(source) * coefficient * prod less_than(point, len)`: what multiplies a functional or a contraction.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Equation it belongs to.
    pub source: Source,
    /// Integer factors: the term's coefficient and lengths of axes that are summed without being read.
    pub coefficients: Vec<i64>,
    /// Output axes that no operand reads, and whose length is no power of two: point and length.
    pub truncations: Vec<(Vec<Coordinate>, u32)>,
}

/// A linear summand: a scaled functional of one column.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Its factor.
    pub scale: Scale,
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

/// `scale * sum over kept axes of prod eq * prod operands`.
#[derive(Clone, Debug)]
pub struct Contraction {
    /// Its factor.
    pub scale: Scale,
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
}

/// What a proof of a model looks like.
#[derive(Debug)]
pub struct Schedule {
    /// Rows of each column; constants and witness are numbered apart.
    pub rows: Vec<RowRange>,
    /// Rows in the verifier key.
    pub constant_rows: usize,
    /// Rows in a proof.
    pub witness_rows: usize,
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
        let (rows, constant_rows, witness_rows) = row_layout(model)?;
        let constraints = model.constraints()?;
        let leaves = LeafLayout::new(model, &constraints.lookups)?;
        let ports = model
            .inputs
            .iter()
            .chain(model.outputs.iter())
            .map(|port| &port.value);
        let tau_len = constraints
            .zeros
            .iter()
            .chain(ports)
            .map(|a| a.len_log2() as usize)
            .max()
            .unwrap_or(0);
        let mut summands = Summands {
            model,
            linear: Vec::new(),
            contractions: Vec::new(),
        };
        summands.add_leaves(&leaves, &constraints.lookups)?;
        let tau: Vec<Coordinate> = (0..tau_len as u32).map(Coordinate::Tau).collect();
        for (index, zero) in constraints.zeros.iter().enumerate() {
            summands.add(zero, Source::Zero(index), &tau)?;
        }
        for (index, port) in model.inputs.iter().enumerate() {
            summands.add(&port.value, Source::Input(index), &tau)?;
        }
        for (index, port) in model.outputs.iter().enumerate() {
            summands.add(&port.value, Source::Output(index), &tau)?;
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
        let (lows, pieces) = collect_pieces(model, &linear, &contractions);
        Ok(Self {
            rows,
            constant_rows,
            witness_rows,
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

    /// Operands of all contractions: evaluation claims in a proof.
    pub fn operand_count(&self) -> usize {
        self.contractions
            .iter()
            .map(|contraction| contraction.operands.len())
            .sum()
    }

    /// Field elements and points in a proof.
    pub fn proof_elements(&self, row_log2: u8) -> usize {
        let contraction = self
            .contraction_rounds
            .saturating_mul(self.contraction_degree);
        [
            self.witness_rows,
            logup::proof_elements(self.leaves.len_log2),
            1,
            contraction,
            self.operand_count(),
            opening::proof_elements(row_log2, self.lows.len()),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
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

fn row_layout(model: &Model) -> Result<(Vec<RowRange>, usize, usize), VerifyError> {
    let mut next = (0usize, 0usize);
    let mut rows = Vec::with_capacity(model.columns.len());
    for column in model.columns.iter() {
        let log2 = column.len_log2().saturating_sub(u32::from(model.row_log2));
        let len = 1usize
            .checked_shl(log2)
            .ok_or(VerifyError::Key("a column is too long"))?;
        let first = match column.kind {
            ColumnKind::Constant => &mut next.0,
            ColumnKind::Witness => &mut next.1,
        };
        rows.push(RowRange { first: *first, len });
        *first = first
            .checked_add(len)
            .ok_or(VerifyError::Key("a column is too long"))?;
    }
    Ok((rows, next.0, next.1))
}

struct Summands<'m> {
    model: &'m Model,
    linear: Vec<Linear>,
    contractions: Vec<Contraction>,
}

impl Summands<'_> {
    fn add_leaves(&mut self, leaves: &LeafLayout, lookups: &[Lookup]) -> Result<(), VerifyError> {
        let rho: Vec<Coordinate> = (0..leaves.len_log2 as u32).map(Coordinate::Rho).collect();
        for (block, place) in leaves.blocks.iter().enumerate() {
            match place.kind {
                BlockKind::Lookup(index) => {
                    let lookup = lookups
                        .get(index)
                        .ok_or(VerifyError::Key("a block names no lookup"))?;
                    for (entry, Entry { accumulator, .. }) in lookup.entries.iter().enumerate() {
                        self.add(accumulator, Source::Entry { block, entry }, &rho)?;
                    }
                }
                BlockKind::Table(id) => {
                    let table = self
                        .model
                        .tables
                        .get(id.0 as usize)
                        .ok_or(VerifyError::Key("a block names no table"))?;
                    let point = suffix(&rho, u32::from(table.len_log2))?;
                    for (output, &column) in table.outputs.iter().enumerate() {
                        self.add_whole(column, 1, Source::TableOutput { block, output }, point)?;
                    }
                    self.add_whole(
                        table.multiplicities,
                        1,
                        Source::Multiplicities { block },
                        point,
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Adds `factor(source) * accumulator(suffix of point)`.
    fn add(
        &mut self,
        accumulator: &Accumulator,
        source: Source,
        point: &[Coordinate],
    ) -> Result<(), VerifyError> {
        let point = suffix(point, accumulator.len_log2())?;
        for &(coefficient, column) in accumulator.columns.iter() {
            self.add_whole(column, coefficient, source, point)?;
        }
        for term in accumulator.terms.iter() {
            self.add_term(&accumulator.shape, term, source, point)?;
        }
        Ok(())
    }

    fn add_whole(
        &mut self,
        id: ColumnId,
        coefficient: i64,
        source: Source,
        point: &[Coordinate],
    ) -> Result<(), VerifyError> {
        let column = self
            .model
            .columns
            .get(id.0 as usize)
            .ok_or(VerifyError::Key("no such column"))?;
        let functional = Functional::whole(id, column, point)?;
        let scale = Scale {
            source,
            coefficients: vec![coefficient],
            truncations: Vec::new(),
        };
        self.linear.push(Linear { scale, functional });
        Ok(())
    }

    fn add_term(
        &mut self,
        shape: &[u32],
        term: &Term,
        source: Source,
        point: &[Coordinate],
    ) -> Result<(), VerifyError> {
        let axes = term_axes(shape, term, point)?;
        let mut scale = Scale {
            source,
            coefficients: vec![term.coefficient],
            truncations: Vec::new(),
        };
        let mut kept = Vec::new();
        for (index, axis) in axes.iter().enumerate() {
            match (axis.readers, &axis.point) {
                (0, Some(point)) if !axis.len.is_power_of_two() => {
                    scale.truncations.push((point.clone(), axis.len))
                }
                (0, None) => scale.coefficients.push(i64::from(axis.len)),
                (0 | 1, _) => {}
                (_, eq) => kept.push(KeptAxis {
                    axis: index,
                    len: axis.len,
                    eq: eq.clone(),
                }),
            }
        }
        // Summed axes first: contractions of equal length then share their challenges from the first round on.
        kept.sort_by_key(|axis| axis.eq.is_some());
        let places = place_kept(&kept);
        let operands = term
            .operands
            .iter()
            .map(|view| self.operand(view, &axes, &kept, &places))
            .collect::<Result<Vec<_>, _>>()?;
        match operands.as_slice() {
            [] => self.linear_constant(scale),
            [operand] => self.linear.push(Linear {
                scale,
                functional: operand.functional.clone(),
            }),
            _ => self.contractions.push(Contraction {
                scale,
                lens: axes.iter().map(|axis| axis.len).collect(),
                kept,
                operands,
            }),
        }
        Ok(())
    }

    /// A constant is a linear summand without a functional: the empty functional of no column.
    fn linear_constant(&mut self, scale: Scale) {
        self.linear.push(Linear {
            scale,
            functional: Functional::constant(),
        });
    }

    fn operand(
        &self,
        view: &View,
        axes: &[TermAxis],
        kept: &[KeptAxis],
        places: &HashMap<usize, Vec<Coordinate>>,
    ) -> Result<Operand, VerifyError> {
        let column = self
            .model
            .columns
            .get(view.column.0 as usize)
            .ok_or(VerifyError::Key("no such column"))?;
        let bound_weights = |axis: &TermAxis| {
            axis.point
                .clone()
                .map_or(AxisWeights::Ones, AxisWeights::Eq)
        };
        let final_weights = |axis: u8| {
            let info = axes.get(usize::from(axis))?;
            let weights = places
                .get(&usize::from(axis))
                .cloned()
                .map_or_else(|| bound_weights(info), AxisWeights::Eq);
            Some((info.len, weights))
        };
        let maps = column.shape.iter().zip(view.index.iter()); // len: validated to be equal
        let functional_axes = maps
            .map(|(&len, map)| AxisFunctional::new(len, map, final_weights))
            .collect::<Result<_, _>>()?;
        let reads = |axis: usize| {
            view.index
                .iter()
                .any(|map| map.strides.iter().any(|&(a, _)| usize::from(a) == axis))
        };
        let positions = kept
            .iter()
            .enumerate()
            .filter(|(_, kept)| reads(kept.axis))
            .map(|(position, _)| position)
            .collect();
        let bound = axes
            .iter()
            .enumerate()
            .map(|(index, axis)| (!places.contains_key(&index)).then(|| bound_weights(axis)))
            .collect();
        Ok(Operand {
            view: view.clone(),
            bound,
            axes: positions,
            functional: Functional {
                column: view.column,
                axes: functional_axes,
            },
        })
    }
}

/// One axis of a term.
struct TermAxis {
    len: u32,
    /// Output axes: their coordinates. Summed axes: none.
    point: Option<Vec<Coordinate>>,
    /// Operands that read it.
    readers: usize,
}

fn term_axes(
    shape: &[u32],
    term: &Term,
    point: &[Coordinate],
) -> Result<Vec<TermAxis>, VerifyError> {
    let readers = |axis: usize| {
        let reads = |view: &View| {
            view.index
                .iter()
                .any(|map| map.strides.iter().any(|&(a, _)| usize::from(a) == axis))
        };
        term.operands.iter().filter(|view| reads(view)).count()
    };
    let mut rest = point;
    let mut axes = Vec::with_capacity(shape.len() + term.summed.len());
    for &len in shape {
        let (head, tail) = rest
            .split_at_checked(axis_log2(len) as usize)
            .ok_or(VerifyError::Key("an accumulator is longer than its point"))?;
        axes.push(TermAxis {
            len,
            point: Some(head.to_vec()),
            readers: readers(axes.len()),
        });
        rest = tail;
    }
    for &len in term.summed.iter() {
        axes.push(TermAxis {
            len,
            point: None,
            readers: readers(axes.len()),
        });
    }
    Ok(axes)
}

/// The sumcheck coordinates of each kept axis, by term axis.
fn place_kept(kept: &[KeptAxis]) -> HashMap<usize, Vec<Coordinate>> {
    let mut next = 0u32;
    let mut places = HashMap::new();
    for axis in kept {
        let end = next.saturating_add(axis_log2(axis.len));
        places.insert(axis.axis, (next..end).map(Coordinate::Sum).collect());
        next = end;
    }
    places
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

fn collect_pieces(
    model: &Model,
    linear: &[Linear],
    contractions: &[Contraction],
) -> (Vec<TensorFunctional>, Vec<Vec<Piece>>) {
    let mut lows: Vec<TensorFunctional> = Vec::new();
    let mut known: HashMap<TensorFunctional, usize> = HashMap::new();
    let operands = contractions.iter().flat_map(|contraction| {
        contraction
            .operands
            .iter()
            .map(|operand| &operand.functional)
    });
    let mut pieces = Vec::new();
    for functional in linear
        .iter()
        .map(|linear| &linear.functional)
        .chain(operands)
    {
        let mut list = Vec::new();
        if !functional.is_constant() {
            for RankOne { column, high, low } in functional.rank_ones(u32::from(model.row_log2)) {
                let low = *known.entry(low).or_insert_with_key(|low| {
                    lows.push(low.clone());
                    lows.len().saturating_sub(1)
                });
                list.push(Piece { low, column, high });
            }
        }
        pieces.push(list);
    }
    (lows, pieces)
}
// verify-path: end
