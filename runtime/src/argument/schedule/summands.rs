//! From accumulators at points to scaled functionals and products.

use std::collections::HashMap;

use super::axis::{AxisFunctional, AxisWeights};
use super::functional::{Coordinate, Functional};
use super::{
    BlockKind, Coefficient, Contraction, KeptAxis, LeafLayout, Linear, Operand, Source, bounds,
    suffix,
};
use crate::error::VerifyError;
use crate::statement::model::{Accumulator, Column, ColumnId, Model, Term, View, axis_log2};
use crate::statement::relations::{Entry, Lookup};

// verify-path: begin
/// What the one equation sums, as it is collected.
pub(super) struct Summands<'m> {
    pub model: &'m Model,
    pub linear: Vec<Linear>,
    pub contractions: Vec<Contraction>,
    /// Claims so far.
    pub claims: usize,
}

impl<'m> Summands<'m> {
    fn column(&self, id: ColumnId) -> Result<&'m Column, VerifyError> {
        let column = self.model.columns.get(id.0 as usize);
        column.ok_or(VerifyError::Key("no such column"))
    }

    /// Before this many claims, or none, of one summand are made.
    fn count(&mut self, claims: usize) -> Result<(), VerifyError> {
        self.claims = self.claims.saturating_add(claims.max(1));
        bounds::claims(self.claims)
    }

    pub fn add_leaves(
        &mut self,
        leaves: &LeafLayout,
        lookups: &[Lookup],
    ) -> Result<(), VerifyError> {
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
    pub fn add(
        &mut self,
        accumulator: &Accumulator,
        source: Source,
        point: &[Coordinate],
    ) -> Result<(), VerifyError> {
        let point = suffix(point, accumulator.len_log2())?;
        for &(factor, column) in accumulator.columns.iter() {
            self.add_whole(column, factor, source, point)?;
        }
        for term in accumulator.terms.iter() {
            self.add_term(&accumulator.shape, term, source, point)?;
        }
        Ok(())
    }

    fn add_whole(
        &mut self,
        id: ColumnId,
        factor: i64,
        source: Source,
        point: &[Coordinate],
    ) -> Result<(), VerifyError> {
        let column = self.column(id)?;
        self.count(1)?;
        let functional = Functional::whole(id, column, point)?;
        let coefficient = Coefficient {
            source,
            integers: vec![factor],
            truncations: Vec::new(),
        };
        self.linear.push(Linear {
            coefficient,
            functional,
        });
        Ok(())
    }

    /// Adds what a committed column's rows, `2^rows_log2` entries in all, have beyond the column: it is zero, so that nothing but a tensor is
    /// committed to. All of it, less what the column holds at the same point.
    pub fn add_rest(
        &mut self,
        id: ColumnId,
        (rows_log2, row_log2): (u32, u8),
        source: Source,
        point: &[Coordinate],
    ) -> Result<(), VerifyError> {
        let column = self.column(id)?;
        let unused = rows_log2.saturating_sub(column.len_log2());
        if unused == 0 {
            return Ok(());
        }
        self.count(2)?;
        let point = suffix(point, rows_log2)?;
        let row_at = point.len().saturating_sub(row_log2.into());
        let (of_rows, of_row) = point.split_at_checked(row_at).unwrap_or((&[], point));
        let (beyond, used) = of_row
            .split_at_checked(unused as usize)
            .ok_or(VerifyError::Key("a point is too short"))?;
        let whole = Functional {
            column: id,
            axes: vec![AxisFunctional::Eq(point.to_vec())],
            entire: true,
        };
        self.linear.push(Linear {
            coefficient: Coefficient {
                source,
                integers: vec![1],
                truncations: Vec::new(),
            },
            functional: whole,
        });
        let functional = Functional::whole(id, column, &[of_rows, used].concat())?;
        self.linear.push(Linear {
            coefficient: Coefficient {
                source,
                integers: vec![-1],
                // All of these coordinates are zero.
                truncations: vec![(beyond.to_vec(), 1)],
            },
            functional,
        });
        Ok(())
    }

    fn add_term(
        &mut self,
        shape: &[u32],
        term: &Term,
        source: Source,
        point: &[Coordinate],
    ) -> Result<(), VerifyError> {
        self.count(term.operands.len())?;
        let axes = term_axes(shape, term, point)?;
        let mut coefficient = Coefficient {
            source,
            integers: vec![term.coefficient],
            truncations: Vec::new(),
        };
        let mut kept = Vec::new();
        for (index, axis) in axes.iter().enumerate() {
            match (axis.readers, &axis.point) {
                (0, Some(point)) if !axis.len.is_power_of_two() => {
                    coefficient.truncations.push((point.clone(), axis.len))
                }
                (0, None) => coefficient.integers.push(i64::from(axis.len)),
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
            [] => self.linear_constant(coefficient),
            [operand] => self.linear.push(Linear {
                coefficient,
                functional: operand.functional.clone(),
            }),
            _ => self.contractions.push(Contraction {
                coefficient,
                lens: axes.iter().map(|axis| axis.len).collect(),
                kept,
                operands,
            }),
        }
        Ok(())
    }

    /// A constant is a linear summand without a functional: the empty functional of no column.
    fn linear_constant(&mut self, coefficient: Coefficient) {
        self.linear.push(Linear {
            coefficient,
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
        let column = self.column(view.column)?;
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
                entire: false,
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
// verify-path: end
