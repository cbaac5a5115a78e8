//! What a key may ask of both sides: its own size says nothing of the work that it describes.

use crate::error::{VerifyError, check};

/// Most rank-one pieces of all claims together, and most claims.
const MAX_PIECES: u64 = 1 << 18;
/// Most steps to the weights of all pieces.
const MAX_STEPS: u64 = 1 << 30;
/// Most combinations of term indices along one axis that is not an eq vector.
const MAX_COMBINATIONS: u64 = 1 << 22;
/// Most rows of constants, and most of witness columns.
const MAX_ROWS: usize = 1 << 24;

// verify-path: begin
/// What has been asked so far.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pieces: u64,
    steps: u64,
}

impl Asked {
    /// Before this many pieces of a claim are made.
    pub fn pieces(&mut self, number: u64) -> Result<(), VerifyError> {
        self.pieces = self.pieces.saturating_add(number);
        check(self.pieces <= MAX_PIECES, "claims have too many pieces")
    }

    /// For the weights of one piece along rows or along a row.
    pub fn steps(&mut self, number: u64) -> Result<(), VerifyError> {
        self.steps = self.steps.saturating_add(number);
        check(self.steps <= MAX_STEPS, "claims have too many weights")
    }
}

/// Of all claims.
pub(super) fn claims(number: usize) -> Result<(), VerifyError> {
    check(number as u64 <= MAX_PIECES, "there are too many claims")
}

/// Of the term axes in one column axis' map.
pub(super) fn combinations(number: u64) -> Result<(), VerifyError> {
    check(
        number <= MAX_COMBINATIONS,
        "a view combines too many indices",
    )
}

/// Of constants or of witness columns.
pub(super) fn rows(number: usize) -> Result<(), VerifyError> {
    check(number <= MAX_ROWS, "there are too many rows")
}
// verify-path: end
