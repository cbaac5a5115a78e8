//! Claims cut into pieces, by what they weigh of a row: claims that weigh entries alike are opened together, and so is all that is claimed of a shared row.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::bounds::Allowance;
use super::functional::{Functional, RankOne, TensorFunctional};
use super::rows::{Rows, Span, Tile};
use super::{Group, Piece};
use crate::error::VerifyError;
use crate::statement::model::Model;

/// The pieces of all claims, and the groups that they are in, as they are collected.
pub(super) struct Pieces<'m> {
    pub groups: Vec<Group>,
    pub pieces: Vec<Vec<Piece>>,
    model: &'m Model,
    rows: &'m Rows,
    allowance: Allowance,
    /// The group of these weights of a row.
    alike: HashMap<TensorFunctional, usize>,
    /// The group of a shared span, and where in it some weights of a tile are.
    shared: HashMap<usize, usize>,
    entries: HashMap<(usize, TensorFunctional), usize>,
}

const NO_TILE: VerifyError = VerifyError::Key("no such tile");

// verify-path: begin
impl<'m> Pieces<'m> {
    pub fn new(model: &'m Model, rows: &'m Rows, allowance: Allowance) -> Self {
        Self {
            groups: Vec::new(),
            pieces: Vec::new(),
            model,
            rows,
            allowance,
            alike: HashMap::new(),
            shared: HashMap::new(),
            entries: HashMap::new(),
        }
    }

    /// Of one more claim.
    pub fn add(&mut self, functional: &Functional) -> Result<(), VerifyError> {
        let mut pieces = Vec::new();
        if functional.is_known(self.model) {
            self.allowance.weights(functional.known_cost(), false)?;
        } else {
            let rows = self.rows;
            let tiles = rows.of_column.get(functional.column.0 as usize);
            for &index in tiles.ok_or(VerifyError::Key("no such column"))? {
                let tile = rows.tiles.get(index).ok_or(NO_TILE)?;
                let span = rows.spans.get(tile.span).ok_or(NO_TILE)?;
                if span.is_shared() {
                    pieces.push(self.entries(functional, index, tile)?);
                } else {
                    self.rows(functional, tile, span, &mut pieces)?;
                }
            }
        }
        self.pieces.push(pieces);
        Ok(())
    }

    /// What is claimed of a tile with rows of its own.
    fn rows(
        &mut self,
        functional: &Functional,
        tile: &Tile,
        span: &Span,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), VerifyError> {
        let row_log2 = self.model.row_log2.into();
        for RankOne { high, low } in
            functional.rank_ones(tile, span, row_log2, &mut self.allowance)?
        {
            self.allowance.weights(high.cost(), true)?;
            let group = match self.alike.entry(low) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    self.allowance.weights(new.key().cost(), false)?;
                    self.groups.push(Group::Alike(new.key().clone()));
                    *new.insert(self.groups.len().saturating_sub(1))
                }
            };
            pieces.push(Piece::Rows {
                group,
                span: tile.span,
                high,
            });
        }
        Ok(())
    }

    /// What is claimed of a tile that shares its row.
    fn entries(
        &mut self,
        functional: &Functional,
        index: usize,
        tile: &Tile,
    ) -> Result<Piece, VerifyError> {
        self.allowance.pieces(1)?;
        let (factor, weights) = functional.entries(tile);
        self.allowance.weights(factor.cost(), false)?;
        let group = *self.shared.entry(tile.span).or_insert_with(|| {
            self.groups.push(Group::Shared(Vec::new()));
            self.groups.len().saturating_sub(1)
        });
        let Some(Group::Shared(list)) = self.groups.get_mut(group) else {
            return Err(NO_TILE);
        };
        let weights = match self.entries.entry((index, weights)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let (_, weights) = new.key();
                self.allowance.weights(weights.cost(), false)?;
                list.push((tile.at, weights.clone()));
                *new.insert(list.len().saturating_sub(1))
            }
        };
        Ok(Piece::Entries {
            group,
            span: tile.span,
            weights,
            factor,
        })
    }
}
// verify-path: end
