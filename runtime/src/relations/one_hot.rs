//! `hot[i, v] = 1` if `v = index[i]`, else 0: what turns a gather into a matrix product.
//!
//! `hot^2 - hot`, `sum_v hot - 1` and `sum_v v hot - index` are zero.
//!
//! **Unique**: the first makes `hot` bits (and zero in the padding), the second leaves one bit a row, the third says which. Without the first, other
//! field elements satisfy the two sums; without the second, several bits add up to the index. An index outside `0..len` has no solution.

use serde::{Deserialize, Serialize};

use super::{Constraints, column};
use crate::error::{ProveError, VerifyError};
use crate::model::{Accumulator, ColumnId, Model, View};
use crate::trace::{Trace, check_range, true_offsets};

/// `hot[i..., v] = [v = index[i...]]` for `0 <= index < len`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHot {
    /// Shape `[rows...]`.
    pub index: Accumulator,
    /// Shape `[rows..., len]`.
    pub hot: ColumnId,
    /// Constant column `[0, 1, ..., len-1]`.
    pub iota: ColumnId,
}

impl OneHot {
    /// Fills the one-hot rows.
    pub(super) fn fill(
        &self,
        node: &str,
        model: &Model,
        trace: &mut Trace,
    ) -> Result<(), ProveError> {
        let len = model.columns[self.iota.0 as usize].shape[0];
        let stride = (len as usize).next_power_of_two();
        let mut indices = self.index.evaluate(trace);
        let mut hot = vec![0; indices.len() * stride];
        for row in true_offsets(&self.index.shape) {
            let index = std::mem::take(&mut indices[row]);
            check_range(node, [index].into_iter(), (0, i64::from(len) - 1))?;
            hot[row * stride + index as usize] = 1;
        }
        // The padding's indices are bound to no row, hence zero.
        check_range(node, indices.into_iter(), (0, 0))?;
        trace.set(self.hot, hot);
        Ok(())
    }

    // verify-path: begin
    pub(super) fn constrain(
        &self,
        model: &Model,
        constraints: &mut Constraints,
    ) -> Result<(), VerifyError> {
        let rows = &self.index.shape;
        let shape = &column(model, self.hot)?.shape;
        let (Some((&len, hot_rows)), &[iota_len]) =
            (shape.split_last(), &*column(model, self.iota)?.shape)
        else {
            return Err(VerifyError::Key(
                "one-hot rows or their indices have the wrong rank",
            ));
        };
        if *hot_rows != **rows || len != iota_len {
            return Err(VerifyError::Key("one-hot rows do not fit their indices"));
        }
        let hot = View::identity(self.hot, shape.len())?;
        let iota = View::along(self.iota, rows.len())?;
        let bits = Accumulator::zero(shape.clone())
            .plus_product(1, Vec::new(), vec![hot.clone(), hot.clone()])
            .plus_column(-1, self.hot);
        let one = Accumulator::zero(rows.clone())
            .plus_product(1, vec![len], vec![hot.clone()])
            .plus_constant(-1);
        let index = Accumulator::zero(rows.clone())
            .plus_product(1, vec![len], vec![iota, hot])
            .minus(&self.index)?;
        constraints.zeros.extend([bits, one, index]);
        Ok(())
    }
    // verify-path: end
}
