//! `q = floor(n / d)` for a constant `n` and an exact denominator `d >= 1`.
//!
//! `q`, the remainder `r = n - q d` and the slack `d - 1 - r` are looked up limb by limb.
//!
//! **Unique**, because `0 <= r < d`: the slack bounds `r` from above by the virtual `d` itself, and `r + slack` bound `d`, so that with `q`
//! bounded too `q d` cannot wrap the field. Any two of the three ranges alone leave a free choice.

use serde::{Deserialize, Serialize};

use super::{Constraints, Limbs};
use crate::error::{ProveError, VerifyError};
use crate::model::{Accumulator, ColumnId, Model};
use crate::trace::{Trace, narrow, out_of_range, true_offsets};

/// `quotient = floor(numerator / denominator)` with a constant numerator and `denominator >= 1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotient {
    /// Constant, positive.
    pub numerator: i64,
    /// Exact integers, each term at most of degree 3 and with operands to spare for one more.
    pub denominator: Accumulator,
    /// Of the denominator's shape.
    pub quotient: ColumnId,
    /// Limbs of `quotient` itself.
    pub quotient_limbs: Limbs,
    /// Limbs of `numerator - quotient * denominator`.
    pub remainder: Limbs,
    /// Limbs of `denominator - 1 - remainder`.
    pub slack: Limbs,
}

impl Quotient {
    /// Fills the quotient and all limbs.
    pub(super) fn fill(
        &self,
        node: &str,
        model: &Model,
        trace: &mut Trace,
    ) -> Result<(), ProveError> {
        // In the padding quotient and remainder are zero, and the slack is what the denominator holds there.
        let mut slacks = self.denominator.evaluate(trace);
        let mut quotients = vec![0i64; slacks.len()];
        let mut remainders = vec![0i64; slacks.len()];
        for at in true_offsets(&self.denominator.shape) {
            let denominator = slacks[at];
            if denominator < 1 {
                return Err(out_of_range(node, denominator, (1, i64::MAX)));
            }
            quotients[at] = self.numerator / denominator;
            remainders[at] = self.numerator % denominator;
            slacks[at] = denominator - 1 - remainders[at];
        }
        let range = (0, i32::MAX.into());
        trace.set(
            self.quotient,
            narrow(node, &quotients, |quotient| quotient, range)?,
        );
        self.quotient_limbs.fill(node, model, trace, &quotients)?;
        self.remainder.fill(node, model, trace, &remainders)?;
        self.slack.fill(node, model, trace, &slacks)
    }

    // verify-path: begin
    pub(super) fn constrain(
        &self,
        model: &Model,
        constraints: &mut Constraints,
    ) -> Result<(), VerifyError> {
        if self.numerator < 1 {
            return Err(VerifyError::Key("a numerator is not positive"));
        }
        let quotient = Accumulator::of_column(self.denominator.shape.clone(), self.quotient);
        self.quotient_limbs
            .constrain(model, quotient, constraints)?;
        let product = self.denominator.times_column(self.quotient)?;
        let remainder = Accumulator::zero(self.denominator.shape.clone())
            .plus_constant(self.numerator)
            .minus(&product)?;
        self.remainder
            .constrain(model, remainder.clone(), constraints)?;
        let slack = (self.denominator.clone())
            .plus_constant(-1)
            .minus(&remainder)?;
        self.slack.constrain(model, slack, constraints)
    }
    // verify-path: end
}
