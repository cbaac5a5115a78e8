//! What a structural column holds, in its padding as well: it follows from a formula, so that nobody commits to it and the verifier evaluates it.

use serde::{Deserialize, Serialize};

/// A formula for the element at index `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Structure {
    /// `x`.
    Index,
    /// 1 at index 0, else 0.
    First,
    /// Falling powers of two.
    Powers(Powers),
}

/// `2^(step (last - x))` up to `x = last`, and 0 beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Powers {
    /// Bits from one to the next.
    pub step: u8,
    /// Index of 1.
    pub last: u8,
}

// verify-path: begin
impl Structure {
    /// The element at an index.
    pub fn at(self, index: u32) -> i64 {
        match self {
            Self::Index => index.into(),
            Self::First => (index == 0).into(),
            Self::Powers(Powers { step, last }) => {
                let below = u32::from(last).checked_sub(index);
                let log2 = below.map(|below| below.saturating_mul(step.into()));
                log2.and_then(|log2| 1i64.checked_shl(log2)).unwrap_or(0)
            }
        }
    }

    /// Whether every element of so many has 31 bits.
    pub fn fits(self, len: u32) -> bool {
        match self {
            Self::Index => i32::try_from(len).is_ok(),
            Self::First => true,
            Self::Powers(Powers { step, last }) => {
                u32::from(step).saturating_mul(last.into()) <= 30
            }
        }
    }
}
// verify-path: end
