//! `hot[i, v] = 1` if `v = index[i]`, else 0: what turns a gather into a matrix product.
//!
//! `hot^2 - hot`, `sum_v hot - 1` and `sum_v v hot - index` are zero.
//!
//! **Unique**: the first makes `hot` bits (and zero in the padding), the second leaves one bit a row, the third says which. Without the first, other
//! field elements satisfy the two sums; without the second, several bits add up to the index. An index outside `0..len` has no solution.

use serde::{Deserialize, Serialize};

use super::{Columns, Constraints, Provable, check_range, check_structure, column};
use crate::error::{ProveError, VerifyError};
use crate::statement::layout::true_offsets;
use crate::statement::model::{Accumulator, ColumnId, Model, Structure, View};

/// `hot[i..., v] = [v = index[i...]]` for `0 <= index < len`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHot {
    /// Shape `[rows...]`.
    pub index: Accumulator,
    /// Shape `[rows..., len]`.
    pub hot: ColumnId,
    /// Structural column `[0, 1, ..., len-1]`: with other numbers an index might have several rows, or none.
    pub iota: ColumnId,
}

impl Provable for OneHot {
    /// Fills the one-hot rows.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        let len = model.columns[self.iota.0 as usize].shape[0];
        let stride = (len as usize).next_power_of_two();
        let mut indices = columns.evaluate(&self.index);
        let mut hot = vec![0; indices.len() * stride];
        for row in true_offsets(&self.index.shape) {
            let index = std::mem::take(&mut indices[row]);
            check_range(node, [index].into_iter(), (0, i64::from(len) - 1))?;
            hot[row * stride + index as usize] = 1;
        }
        // The padding's indices are bound to no row, hence zero.
        check_range(node, indices.into_iter(), (0, 0))?;
        columns.set(self.hot, hot.into());
        Ok(())
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
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
        check_structure(model, Some(&self.iota), Structure::Index)?;
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

    fn reads(&self) -> Vec<&Accumulator> {
        vec![&self.index]
    }

    fn writes(&self) -> Vec<ColumnId> {
        vec![self.hot]
    }

    fn bounds(&self) -> bool {
        true
    }
    // verify-path: end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::relations::Relation;
    use crate::statement::relations::testing::Draft;

    fn draft() -> (Draft, OneHot) {
        let mut draft = Draft::new();
        let (_, index) = draft.input("x", &[3]);
        let one_hot = OneHot {
            index,
            hot: draft.witness("hot", &[3, 5]),
            iota: draft.structural("iota", 5, Structure::Index),
        };
        draft.node("gather", Relation::OneHot(one_hot.clone()));
        (draft, one_hot)
    }

    #[test]
    fn one_bit_a_row() {
        let (draft, one_hot) = draft();
        let trace = draft.run(&[vec![4, 0, 2]]);
        let mut expected = [0; 32];
        for at in [4, 8, 18] {
            expected[at] = 1;
        }
        assert_eq!(trace.column(one_hot.hot), expected);
    }

    #[test]
    fn tampering_is_caught() {
        let (draft, OneHot { hot, .. }) = draft();
        let mut trace = draft.run(&[vec![4, 0, 2]]);
        draft.assert_all_caught(&mut trace, hot);
        // Another index; two bits whose numbers add up to the index; values that are not bits but satisfy both sums.
        draft.assert_caught(&mut trace, &[(hot, 4, -1), (hot, 3, 1)]);
        draft.assert_caught(&mut trace, &[(hot, 4, -1), (hot, 3, 1), (hot, 1, 1)]);
        draft.assert_caught(&mut trace, &[(hot, 18, -2), (hot, 17, 1), (hot, 19, 1)]);
    }

    #[test]
    fn indices_out_of_range_are_typed_errors() {
        let (draft, _) = draft();
        for value in [-1, 5] {
            let error =
                crate::witness::trace::run(&draft.model, &draft.constants(), &[vec![0, value, 0]])
                    .err();
            let expected = ProveError::OutOfRange {
                node: "gather".into(),
                value,
                low: 0,
                high: 4,
            };
            assert_eq!(error, Some(expected));
        }
    }

    #[test]
    fn shapes_must_fit() {
        let wrong = |change: fn(&mut OneHot, &mut Draft)| {
            let (mut draft, mut one_hot) = draft();
            change(&mut one_hot, &mut draft);
            Relation::OneHot(one_hot).constraints(&draft.model).err()
        };
        let unfit = Some(VerifyError::Key("one-hot rows do not fit their indices"));
        assert_eq!(wrong(|o, draft| o.hot = draft.witness("h", &[3, 4])), unfit);
        assert_eq!(wrong(|o, draft| o.hot = draft.witness("h", &[2, 5])), unfit);
        let free = Some(VerifyError::Key(
            "a column that a relation relies on is of another kind",
        ));
        assert_eq!(wrong(|o, draft| o.iota = draft.witness("i", &[5])), free);
        assert_eq!(
            wrong(|o, draft| o.iota = draft.constant("i", &[5], (0..5).collect())),
            free
        );
        assert_eq!(
            wrong(|o, draft| o.iota = draft.structural("i", 5, Structure::First)),
            free
        );
        let rank = Some(VerifyError::Key(
            "one-hot rows or their indices have the wrong rank",
        ));
        assert_eq!(wrong(|o, draft| o.hot = draft.witness("h", &[])), rank);
        assert_eq!(
            wrong(|o, draft| o.iota = draft.constant("i", &[1, 5], vec![0; 5])),
            rank
        );
    }
}
