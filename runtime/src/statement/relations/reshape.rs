//! `y = reshape(acc)`: commits an accumulator with neighboring axes merged, which no view of it can read as one.
//!
//! `acc[i, j] - y[i len(j) + j]` is zero for every index. Whole columns in `acc` count as terms here: what they hold in the padding is not read.
//!
//! **Unique**: each true element of `y` is one of `acc`. What `y` holds in its padding is confined by nothing, and never read but where a
//! lookup or a zero check covers it.

use serde::{Deserialize, Serialize};

use super::{Columns, Constraints, Provable, column, narrow};
use crate::error::{ProveError, VerifyError};
use crate::statement::layout::{pad, true_offsets};
use crate::statement::model::{Accumulator, AxisMap, ColumnId, Model, View};

/// `output = reshape(acc)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshape {
    /// What is committed.
    pub accumulator: Accumulator,
    /// Each of its axes is some neighboring axes of the accumulator.
    pub output: ColumnId,
}

impl Provable for Reshape {
    /// Fills the output.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        let padded = columns.evaluate(&self.accumulator);
        let offsets = true_offsets(&self.accumulator.shape);
        let values: Vec<i64> = offsets.map(|at| padded[at]).collect();
        let range = (i32::MIN.into(), i32::MAX.into());
        let values = narrow(node, &values, |value| value, range)?;
        let shape = &model.columns[self.output.0 as usize].shape;
        columns.set(self.output, pad(shape, values.as_slice()).into());
        Ok(())
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        let Accumulator {
            shape,
            columns,
            terms,
        } = &self.accumulator;
        let mut zero = Accumulator::zero(shape.clone());
        zero.terms = terms.clone();
        for &(factor, id) in columns.iter() {
            let view = View::identity(id, shape.len())?;
            zero = zero.plus_product(factor, Vec::new(), vec![view]);
        }
        let merged = View {
            column: self.output,
            index: merge(shape, &column(model, self.output)?.shape)?.into(),
        };
        let zero = zero.plus_product(-1, Vec::new(), vec![merged]);
        constraints.zeros.push(zero);
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

// verify-path: begin
/// For each axis of `to`, its index by those of the axes of `from` that it is made of.
fn merge(from: &[u32], to: &[u32]) -> Result<Vec<AxisMap>, VerifyError> {
    const UNFIT: VerifyError = VerifyError::Key("a reshape merges no neighboring axes");
    let mut axes = (0u8..).zip(from).peekable(); // len: at most eight axes
    let mut maps = Vec::with_capacity(to.len());
    for &len in to {
        let mut made = 1u32;
        let mut parts: Vec<(u8, u32)> = Vec::new();
        while made != len || axes.peek().is_some_and(|(_, of)| **of == 1) {
            let (axis, of) = axes.next().ok_or(UNFIT)?;
            made = made
                .checked_mul(*of)
                .filter(|&made| made <= len)
                .ok_or(UNFIT)?;
            parts.push((axis, *of));
        }
        let mut stride = 1u32;
        let mut strides = Vec::with_capacity(parts.len());
        for (axis, of) in parts.into_iter().rev() {
            strides.push((axis, i32::try_from(stride).map_err(|_| UNFIT)?));
            stride = stride.checked_mul(of).ok_or(UNFIT)?;
        }
        maps.push(AxisMap {
            offset: 0,
            strides: strides.into(),
        });
    }
    match axes.next() {
        None => Ok(maps),
        Some(_) => Err(UNFIT),
    }
}
// verify-path: end

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::relations::Relation;
    use crate::statement::relations::testing::Draft;

    /// `y[3 i + j, k] = 2 x[i, j, k] + w[i, j, k]`.
    fn draft(output: &[u32]) -> (Draft, ColumnId, ColumnId) {
        let mut draft = Draft::new();
        let (x, value) = draft.input("x", &[5, 3, 2]);
        let w = draft.constant("w", &[5, 3, 2], (0..30).collect());
        let y = draft.witness("y", output);
        let accumulator = value.plus_column(1, x).plus_column(1, w);
        draft.node(
            "reshape",
            Relation::Reshape(Reshape {
                accumulator,
                output: y,
            }),
        );
        draft.output(
            "y",
            Accumulator::of_column(output.to_vec().into(), y),
            (-9999, 9999),
        );
        (draft, x, y)
    }

    #[test]
    fn merges_axes_and_tampering_is_caught() {
        let values: Vec<i64> = (0..30).map(|i| i * i).collect();
        let (draft, _, y) = draft(&[15, 2]);
        let mut trace = draft.run(std::slice::from_ref(&values));
        let expected: Vec<i32> = (0..30).map(|i| 2 * i * i + i).collect();
        assert_eq!(trace.column(y)[..30], expected);
        for at in 0..30 {
            draft.assert_caught(&mut trace, &[(y, at, 1)]);
        }
        let key = draft.key();
        let proven = crate::protocol::prove(&key, &[values]).unwrap();
        crate::protocol::verify(key.verifier_key(), &proven.statement, &proven.proof).unwrap();
    }

    #[test]
    fn only_neighboring_axes_merge() {
        for (shape, fits) in [
            (&[5u32, 6][..], true),
            (&[30], true),
            (&[5, 3, 2], true),
            (&[2, 15], false),
            (&[5, 3], false),
            (&[15, 2, 1], true),
            (&[15, 2, 2], false),
            (&[10, 3], false),
        ] {
            assert_eq!(draft(shape).0.model.validate().is_ok(), fits, "{shape:?}");
        }
        let maps = merge(&[1, 4, 1, 3, 1], &[12]).unwrap();
        assert_eq!(*maps[0].strides, [(4, 1), (3, 1), (2, 3), (1, 3), (0, 12)]);
    }
}
