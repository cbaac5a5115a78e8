//! What a proof costs, in field elements and points: its length follows from the model alone.

use super::Schedule;
use crate::statement::model::Model;

/// Most factors that are sent one by one.
const LATE_FACTORS: usize = 8;

// verify-path: begin
/// Elements of the lookup argument for `2^len_log2` leaves: four for each layer's children, and `1 + 2 (k - 1)` for the rounds of the layer of `k`
/// variables, `0 < k < len_log2`; one without layers.
pub(crate) fn lookup_elements(len_log2: usize) -> usize {
    match len_log2.checked_sub(1) {
        None => 1,
        Some(layers) => layers
            .saturating_mul(layers)
            .saturating_add(len_log2.saturating_mul(4)),
    }
}

/// Products in the lookup argument's equations: two of the root, three of each other layer.
fn lookup_products(len_log2: usize) -> usize {
    len_log2.saturating_mul(3).saturating_sub(1)
}

/// Elements that an opening sends besides the opened row.
pub(crate) fn opening_elements(row_log2: u8, groups: usize) -> usize {
    usize::from(row_log2)
        .saturating_mul(2)
        .saturating_add(groups)
}

/// Elements that make one product of so many.
pub(crate) fn product_elements(products: usize) -> usize {
    match products {
        0 => 0,
        _ => ceil_log2(products).saturating_mul(2).saturating_add(2),
    }
}

/// How often an answer of `len` elements is halved, to be no longer than `2^answer_log2`.
pub fn answer_rounds(len: usize, answer_log2: u8) -> usize {
    ceil_log2(len).saturating_sub(usize::from(answer_log2))
}

/// Elements and points that an answer of `len` elements takes, with so many of its coordinates.
pub(crate) fn answer_elements(len: usize, coordinates: usize, answer_log2: u8) -> usize {
    match answer_rounds(len, answer_log2) {
        0 => len,
        rounds => rounds
            .saturating_mul(2)
            .saturating_add(coordinates)
            .saturating_add(1)
            .saturating_add(1usize.checked_shl(answer_log2.into()).unwrap_or(usize::MAX)),
    }
}

/// `ceil(log2(len))`.
fn ceil_log2(len: usize) -> usize {
    len.checked_next_power_of_two()
        .map_or(usize::BITS, usize::trailing_zeros) as usize
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

    /// Whether the operands' evaluations, where they are hidden, are in one commitment: which is one point, and perhaps a
    /// round more of the answer.
    pub fn has_late_row(&self) -> bool {
        self.factor_count() > LATE_FACTORS
    }

    /// Products in the equations of a proof that hides.
    pub fn product_count(&self) -> usize {
        self.contractions
            .iter()
            .map(|contraction| contraction.operands.len().saturating_sub(1))
            .fold(lookup_products(self.leaves.len_log2), usize::saturating_add)
    }

    /// Elements of all messages up to the closing, but for the factors.
    fn elements(&self, model: &Model) -> usize {
        let rounds = self.contraction_rounds;
        [
            lookup_elements(self.leaves.len_log2),
            1,
            rounds.saturating_mul(self.contraction_degree),
            opening_elements(model.row_log2, self.groups.len()),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// Pads of a proof that hides: one for each element that is not sent in a row.
    pub fn pads(&self, model: &Model) -> usize {
        // With a late row the sum of one segment more.
        let (factors, sums) = match self.has_late_row() {
            true => (0, 2),
            false => (self.factor_count(), 1),
        };
        self.elements(model)
            .saturating_add(factors)
            .saturating_add(sums)
            .saturating_add(product_elements(self.product_count()))
    }

    /// Coordinates of the answer that are asked for, where something is hidden.
    pub fn coordinates(&self) -> usize {
        if self.product_count() > 0 { 2 } else { 0 }
    }

    /// Length of the answer, before it is folded: that of a row, and of what else is hidden.
    pub fn answer_len(&self, model: &Model) -> usize {
        if !model.hides() {
            return row_len(model);
        }
        let late = if self.has_late_row() {
            self.factor_count()
        } else {
            0
        };
        row_len(model)
            .saturating_add(self.pads(model))
            .saturating_add(late)
    }

    /// Field elements and points in a proof of `model`.
    pub fn proof_elements(&self, model: &Model) -> usize {
        let len = self.answer_len(model);
        if !model.hides() {
            return self
                .committed_rows
                .saturating_add(self.elements(model))
                .saturating_add(self.factor_count())
                .saturating_add(answer_elements(len, 0, model.answer_log2));
        }
        // The commitment to the pads and that to a late row.
        let points = if self.has_late_row() { 2 } else { 1 };
        // The closing's sums, its mask and two blinders come with the answer.
        self.committed_rows
            .saturating_add(points)
            .saturating_add(self.pads(model))
            .saturating_add(answer_elements(len, self.coordinates(), model.answer_log2))
            .saturating_add(5)
    }
}

/// Values in a row.
pub(crate) fn row_len(model: &Model) -> usize {
    1usize
        .checked_shl(u32::from(model.row_log2))
        .unwrap_or(usize::MAX)
}
// verify-path: end
