//! `y = acc`: commits an accumulator as it is, to be read by later products.
//!
//! `acc - y` is zero everywhere, the padding included.
//!
//! **Unique**, being an equation. It bounds nothing: that `y` is small follows from the intervals of `acc`.

use serde::{Deserialize, Serialize};

use super::Constraints;
use crate::error::{ProveError, VerifyError};
use crate::model::{Accumulator, ColumnId, Model};
use crate::trace::{Trace, narrow};

/// `output = acc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exact {
    /// What is committed as it is.
    pub accumulator: Accumulator,
    /// Of the accumulator's shape.
    pub output: ColumnId,
}

impl Exact {
    /// Fills the output.
    pub(super) fn fill(
        &self,
        node: &str,
        _model: &Model,
        trace: &mut Trace,
    ) -> Result<(), ProveError> {
        let values = self.accumulator.evaluate(trace);
        let range = (i32::MIN.into(), i32::MAX.into());
        trace.set(self.output, narrow(node, &values, |value| value, range)?);
        Ok(())
    }

    // verify-path: begin
    pub(super) fn constrain(
        &self,
        _model: &Model,
        constraints: &mut Constraints,
    ) -> Result<(), VerifyError> {
        constraints
            .zeros
            .push(self.accumulator.clone().plus_column(-1, self.output));
        Ok(())
    }
    // verify-path: end
}
