//! What a proof costs, in field elements and points: its length follows from the model alone.

use super::Schedule;
use crate::statement::model::Model;

// verify-path: begin
/// Elements that are only added and scaled in the lookup argument for `2^len_log2` leaves: `1 + 2 (k - 1)` for the rounds of the layer of `k`
/// variables, `0 < k < len_log2`.
pub(crate) fn lookup_scalars(len_log2: usize) -> usize {
    match len_log2.checked_sub(1) {
        None => 1,
        Some(layers) => layers.saturating_mul(layers),
    }
}

/// Rows of four factors in the lookup argument for `2^len_log2` leaves: one per layer.
pub(crate) fn lookup_factor_rows(len_log2: usize) -> usize {
    len_log2
}

/// Elements that an opening sends besides the opened row.
pub(crate) fn opening_scalars(row_log2: u8, groups: usize) -> usize {
    usize::from(row_log2)
        .saturating_mul(2)
        .saturating_add(groups)
}

/// Elements that an answer of `len` field elements takes, folded `rounds` times.
pub(crate) fn answer_elements(len: usize, rounds: usize) -> usize {
    let left = len
        .checked_shr(u32::try_from(rounds).unwrap_or(u32::MAX))
        .unwrap_or(0);
    match rounds {
        0 => left,
        _ => left.saturating_add(rounds.saturating_mul(2).saturating_add(1)),
    }
}

/// Field elements and points of the closing of rows of these lengths, whose answers are folded so often.
pub(crate) fn closing_elements(hides: bool, rows: impl Iterator<Item = (usize, usize)>) -> usize {
    let (always, each) = if hides { (3, 2) } else { (0, 0) };
    rows.map(|(len, rounds)| answer_elements(len, rounds).saturating_add(each))
        .fold(always, usize::saturating_add)
}

impl Schedule {
    /// Operands of all contractions: evaluation claims in a proof.
    pub fn operand_count(&self) -> usize {
        self.contractions
            .iter()
            .map(|contraction| contraction.operands.len())
            .sum()
    }

    /// Operands of all contractions, and partial products of those with more than two.
    pub fn factor_count(&self) -> usize {
        self.contractions
            .iter()
            .map(|contraction| contraction.operands.len())
            .map(|operands| operands.saturating_add(operands.saturating_sub(2)))
            .sum()
    }

    /// Field elements and points in a proof of `model`.
    pub fn proof_elements(&self, model: &Model) -> usize {
        let row = 1usize
            .checked_shl(u32::from(model.row_log2))
            .unwrap_or(usize::MAX);
        let leaf_log2 = self.leaves.len_log2;
        let scalars = [
            lookup_scalars(leaf_log2),
            1,
            self.contraction_rounds
                .saturating_mul(self.contraction_degree),
            opening_scalars(model.row_log2, self.lows.len()),
        ];
        let layers = std::iter::repeat_n(4, lookup_factor_rows(leaf_log2));
        let factors = layers.chain([self.factor_count()]);
        let sent = [self.committed_rows].into_iter().chain(scalars);
        let opened = (row, model.answer_rounds());
        if model.hides() {
            let points = factors.clone().map(|_| 1);
            let rows = factors.map(|len| (len, 0)).chain([opened]);
            let closing = closing_elements(true, rows);
            sent.chain(points).fold(closing, usize::saturating_add)
        } else {
            let closing = closing_elements(false, [opened].into_iter());
            sent.chain(factors).fold(closing, usize::saturating_add)
        }
    }
}
// verify-path: end
