//! `y = acc`: commits an accumulator as it is, to be read by later products.
//!
//! `acc - y` is zero everywhere, the padding included.
//!
//! **Unique**, being an equation. It bounds nothing: that `y` is small follows from the intervals of `acc`.

use serde::{Deserialize, Serialize};

use super::{Columns, Constraints, Provable, narrow};
use crate::error::{ProveError, VerifyError};
use crate::statement::model::{Accumulator, ColumnId, Model};

/// `output = acc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exact {
    /// What is committed as it is.
    pub accumulator: Accumulator,
    /// Of the accumulator's shape.
    pub output: ColumnId,
}

impl Provable for Exact {
    /// Fills the output.
    fn fill(
        &self,
        node: &str,
        _model: &Model,
        columns: &mut dyn Columns,
    ) -> Result<(), ProveError> {
        let values = columns.evaluate(&self.accumulator);
        let range = (i32::MIN.into(), i32::MAX.into());
        columns.set(self.output, narrow(node, &values, |value| value, range)?);
        Ok(())
    }

    // verify-path: begin
    fn constrain(&self, _model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        constraints
            .zeros
            .push(self.accumulator.clone().plus_column(-1, self.output));
        Ok(())
    }

    fn reads(&self) -> Vec<&Accumulator> {
        vec![&self.accumulator]
    }

    fn writes(&self) -> Vec<ColumnId> {
        vec![self.output]
    }

    /// An equation confines nothing.
    fn bounds(&self) -> bool {
        false
    }
    // verify-path: end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::model::View;
    use crate::statement::relations::Relation;
    use crate::statement::relations::testing::Draft;

    /// `y[i] = sum_j w[i, j] x[j] + 9`.
    fn draft() -> (Draft, ColumnId) {
        let mut draft = Draft::new();
        let (x, _) = draft.input("x", &[3]);
        let w = draft.constant("w", &[5, 3], (0..15).collect());
        let output = draft.witness("y", &[5]);
        let operands = vec![View::identity(w, 2).unwrap(), View::along(x, 1).unwrap()];
        let accumulator = Accumulator::zero(vec![5].into())
            .plus_product(1, vec![3], operands)
            .plus_constant(9);
        draft.node(
            "linear",
            Relation::Exact(Exact {
                accumulator,
                output,
            }),
        );
        (draft, output)
    }

    #[test]
    fn equals_and_tampering_is_caught() {
        let (draft, output) = draft();
        let mut trace = draft.run(&[vec![1, 10, 100]]);
        assert_eq!(trace.column(output), [219, 552, 885, 1218, 1551, 0, 0, 0]);
        draft.assert_all_caught(&mut trace, output);
    }

    #[test]
    fn values_beyond_32_bits_are_typed_errors() {
        let (mut draft, output) = draft();
        let accumulator = Accumulator::zero(vec![5].into()).plus_constant(1 << 31);
        draft.model.nodes.to_mut()[0].relation = Relation::Exact(Exact {
            accumulator,
            output,
        });
        let error =
            crate::witness::trace::run(&draft.model, &draft.constants(), &[vec![0; 3]]).err();
        let expected = ProveError::OutOfRange {
            node: "linear".into(),
            value: 1 << 31,
            low: i32::MIN.into(),
            high: i32::MAX.into(),
        };
        assert_eq!(error, Some(expected));
    }
}
