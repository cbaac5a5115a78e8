//! What a key may ask of both sides: no more than its own bytes, and those of its proofs, account for.

use super::axis::{AxisFunctional, AxisWeights, longest_apart};
use super::functional::TensorFunctional;
use super::rows::Rows;
use crate::error::{VerifyError, check};
use crate::statement::model::Model;
use crate::transcript::ELEMENT_BYTES;

/// Most rank-one pieces of all claims together, and most claims.
const MAX_PIECES: u64 = 1 << 18;
/// Most steps to the weights of all pieces.
const MAX_STEPS: u64 = 1 << 30;
/// Most rows of constants, and most of witness columns.
const MAX_ROWS: usize = 1 << 24;
/// Pieces that any key may ask for.
const FREE_PIECES: u64 = 1 << 12;
/// Bytes of a key for each further piece.
const PIECE_BYTES: u64 = 4;
/// Steps that any key may ask for.
const FREE_STEPS: u64 = 1 << 21;
/// Field elements that any key may ask for at a time.
const FREE_ELEMENTS: u64 = 1 << 19;
/// Further steps and elements for each byte of a key, and for each of its proofs' rows.
const STEPS_A_BYTE: u64 = 64;

// verify-path: begin
/// What may still be asked for.
#[derive(Debug)]
pub(super) struct Allowance {
    pieces: u64,
    steps: u64,
    elements: u64,
    kept: u64,
}

impl Allowance {
    /// Of a key of this model, and of proofs, with so many rows.
    pub fn new(model: &Model, layout: &Rows) -> Self {
        let model_bytes = postcard::to_allocvec(model).map_or(0, |bytes| bytes.len());
        let rows = |number: usize| (number as u64).saturating_mul(ELEMENT_BYTES as u64);
        let key = (model_bytes as u64).saturating_add(rows(layout.constants));
        let further = key
            .saturating_add(rows(layout.witness))
            .saturating_mul(STEPS_A_BYTE);
        let pieces = key.checked_div(PIECE_BYTES).unwrap_or(0);
        let elements = FREE_ELEMENTS.saturating_add(further).min(MAX_STEPS);
        Self {
            pieces: FREE_PIECES.saturating_add(pieces).min(MAX_PIECES),
            steps: FREE_STEPS.saturating_add(further).min(MAX_STEPS),
            elements,
            kept: elements,
        }
    }

    /// Before this many pieces of a claim are made.
    pub fn pieces(&mut self, number: u64) -> Result<(), VerifyError> {
        take(&mut self.pieces, number, "claims have too many pieces")
    }

    /// For the weights of one piece along rows, which are kept, or along a row, which are not.
    pub fn weights(&mut self, cost: Cost, kept: bool) -> Result<(), VerifyError> {
        const REASON: &str = "claims have too many weights";
        check(
            cost.elements <= self.elements,
            "a view combines too many indices",
        )?;
        if kept {
            take(&mut self.kept, cost.weights, REASON)?;
        }
        take(&mut self.steps, cost.steps, REASON)
    }
}

fn take(left: &mut u64, number: u64, reason: &'static str) -> Result<(), VerifyError> {
    *left = left.checked_sub(number).ok_or(VerifyError::Key(reason))?;
    Ok(())
}

/// What it takes to find weights.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// The weights' number.
    pub weights: u64,
    /// Multiplications.
    pub steps: u64,
    /// Most field elements held on the way.
    pub elements: u64,
}

impl AxisFunctional {
    /// What [`Self::vector`] takes.
    pub(super) fn cost(&self) -> Cost {
        let weights = 1u64.checked_shl(self.log2()).unwrap_or(u64::MAX);
        let plain = Cost {
            weights,
            steps: weights,
            elements: weights,
        };
        let Self::Pushed { parts, .. } = self else {
            return plain;
        };
        let Some((others, last)) = longest_apart(parts) else {
            return plain;
        };
        let others = others.map(|part| u64::from(part.len));
        let items = others.fold(1, u64::saturating_mul);
        let visited = weights
            .checked_div(last.stride.unsigned_abs())
            .map_or(u64::from(last.len), |most| {
                most.saturating_add(1).min(last.len.into())
            });
        let table = match last.weights {
            AxisWeights::Ones => 0,
            AxisWeights::Eq(_) => u64::from(last.len),
        };
        let own = weights.saturating_add(table);
        Cost {
            weights,
            steps: own.saturating_add(items.saturating_mul(visited)),
            elements: own.saturating_add(items),
        }
    }
}

impl TensorFunctional {
    /// What [`Self::vector`] takes.
    pub(super) fn cost(&self) -> Cost {
        let mut sum = Cost {
            weights: 1,
            ..Cost::default()
        };
        for axis in &self.0 {
            let cost = axis.cost();
            sum.weights = sum.weights.saturating_mul(cost.weights);
            sum.steps = sum.steps.saturating_add(cost.steps);
            sum.elements = sum.elements.max(cost.elements);
        }
        sum.steps = sum.steps.saturating_add(sum.weights);
        sum.elements = sum.elements.saturating_add(sum.weights);
        sum
    }
}

/// Of all claims.
pub(super) fn claims(number: usize) -> Result<(), VerifyError> {
    check(number as u64 <= MAX_PIECES, "there are too many claims")
}

/// Of constants or of witness columns.
pub(super) fn rows(number: usize) -> Result<(), VerifyError> {
    check(number <= MAX_ROWS, "there are too many rows")
}
// verify-path: end
