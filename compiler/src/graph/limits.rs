//! Limits: what exceeds them is refused before anything computes with it.

use crate::diagnostic::{Diagnostic, refuse};

/// Most elements of one tensor.
pub const MOST_ELEMENTS: u64 = 1 << 27;
/// Most elements of all values together that are computed.
pub const MOST_COMPUTED: u64 = 1 << 26;
/// Most elements of a matrix that stands for an operator.
const MOST_ENTRIES: u64 = 1 << 24;
/// Most steps of a loop that is unrolled.
pub const MOST_STEPS: usize = 1 << 14;
/// Most nodes that graphs inside an operator become.
pub const MOST_NODES: usize = 1 << 13;

/// Product of lengths, saturating.
pub fn volume(lens: impl Iterator<Item = u64>) -> u64 {
    lens.fold(1, u64::saturating_mul)
}

/// Refuses a loop that would be unrolled into too many steps.
pub fn too_many_steps() -> Diagnostic {
    refuse(
        "it has too many steps",
        "split the sequence into shorter ones",
    )
}

/// Refuses an operator whose matrix of these lengths would be too large.
pub fn check_matrix(rows: usize, columns: usize) -> Result<(), Diagnostic> {
    if volume([rows as u64, columns as u64].into_iter()) > MOST_ENTRIES {
        return Err(refuse(
            format!("its matrix of {rows} by {columns} is too large"),
            "use shorter axes",
        ));
    }
    Ok(())
}
