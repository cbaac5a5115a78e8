//! `0 <= v < 2^bits` for a virtual `v`, wider than any one table.
//!
//! `v = sum_k 2^(offset_k) limb_k`, each limb looked up in a range `0..2^width_k`. The most significant limb is not committed: it is
//! `(v - lower limbs) / 2^offset` in the field.
//!
//! **Unique**, because every limb is a digit: the lower limbs' ranges start at 0 and end where the next limb starts, so that a wrong digit
//! makes the top one a fraction, which in the field is not a small integer. `bits` is at most [`MAX_BITS`], so nothing wraps the field.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Columns, Constraints, Entry, check_range, table};
use crate::error::{ProveError, VerifyError};
use crate::statement::model::{Accumulator, ColumnId, List, Model, TableId};

/// Most bits of a value cut into limbs.
pub const MAX_BITS: u8 = 62;

/// `0 <= v < 2^bits` through limbs: `v = sum_k 2^(offset_k) limb_k`.
///
/// All limbs but the last (most significant) are committed; the last is virtual, `(v - lower limbs) / 2^offset`.
/// Limb `k` is as wide as its table; table keys start at 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limbs {
    /// Range tables, least significant limb first; at least one.
    pub tables: List<TableId>,
    /// Committed lower limbs: one fewer than `tables`.
    pub columns: List<ColumnId>,
}

// verify-path: begin
/// That `remainder` is one of a division by `divisor`: `0 <= remainder < divisor`, by limbs of it and of `divisor - 1 - remainder`.
pub(super) fn constrain_remainder(
    model: &Model,
    remainder: Accumulator,
    divisor: &Accumulator,
    (limbs, slack_limbs): (&Limbs, &Limbs),
    constraints: &mut Constraints,
) -> Result<(), VerifyError> {
    let slack = divisor.clone().plus_constant(-1).minus(&remainder)?;
    limbs.constrain(model, remainder, constraints)?;
    slack_limbs.constrain(model, slack, constraints)
}
// verify-path: end

impl Limbs {
    /// Cuts `values` into limbs: fills the committed ones and records all lookups.
    pub(super) fn fill(
        &self,
        node: &str,
        model: &Model,
        columns: &mut dyn Columns,
        values: &[i64],
    ) -> Result<(), ProveError> {
        let widths = || (self.tables.iter()).map(|id| model.tables[id.0 as usize].len_log2);
        let bits: u8 = widths().sum();
        check_range(node, values.iter().copied(), (0, (1 << bits) - 1))?;
        let mut offset = 0;
        for (position, (&table, width)) in self.tables.iter().zip(widths()).enumerate() {
            let mask = (1i64 << width) - 1;
            let limb: Vec<i32> = (values.par_iter().with_min_len(1 << 15))
                .map(|&value| ((value >> offset) & mask) as i32)
                .collect();
            let limb = Arc::new(limb);
            if let Some(&column) = self.columns.get(position) {
                columns.set(column, limb.clone());
            }
            columns.record(table, vec![limb]);
            offset += width;
        }
        Ok(())
    }

    // verify-path: begin
    /// Width of the values: the sum of the limbs' widths.
    pub(super) fn bits(&self, model: &Model) -> Result<u8, VerifyError> {
        let mut bits = 0u8;
        for &id in self.tables.iter() {
            bits = bits.saturating_add(table(model, id)?.len_log2);
        }
        if bits > MAX_BITS {
            return Err(VerifyError::Key("limbs are too wide"));
        }
        Ok(bits)
    }

    pub(super) fn constrain(
        &self,
        model: &Model,
        value: Accumulator,
        constraints: &mut Constraints,
    ) -> Result<(), VerifyError> {
        self.bits(model)?;
        if self.columns.len().checked_add(1) != Some(self.tables.len()) {
            return Err(VerifyError::Key("limbs and tables do not match"));
        }
        let mut rest = value;
        let mut offset = 0u8;
        for (position, &id) in self.tables.iter().enumerate() {
            let range = table(model, id)?;
            if range.first_key != 0 || !range.outputs.is_empty() {
                return Err(VerifyError::Key("a limb's table is not a range from 0"));
            }
            let entries = match self.columns.get(position) {
                Some(limb) => {
                    let weight = 1i64
                        .checked_shl(u32::from(offset))
                        .and_then(i64::checked_neg);
                    let weight = weight.ok_or(VerifyError::Key("limbs are too wide"))?;
                    rest = rest.plus_column(weight, *limb);
                    Entry::columns(&rest.shape, [limb])
                }
                None => vec![Entry {
                    accumulator: rest.clone(),
                    shift_log2: offset,
                }],
            };
            constraints.look_up(model, id, entries)?;
            offset = offset.saturating_add(range.len_log2);
        }
        Ok(())
    }
    // verify-path: end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::relations::testing::Draft;
    use crate::statement::relations::{Quotient, Relation};

    /// `q = floor(1000 / x)` with each range in two limbs.
    fn draft() -> (Draft, Quotient) {
        let mut draft = Draft::new();
        let (_, denominator) = draft.input("x", &[3]);
        let range = draft.table("range", 0, 5, &[]);
        let mut limbs = |name: &str| Limbs {
            tables: vec![range, range].into(),
            columns: vec![draft.witness(name, &[3])].into(),
        };
        let (quotient_limbs, remainder, slack) = (limbs("q low"), limbs("r low"), limbs("s low"));
        let quotient = Quotient {
            numerator: 1000,
            denominator,
            quotient: draft.witness("q", &[3]),
            quotient_limbs,
            remainder,
            slack,
        };
        draft.node("quotient", Relation::Quotient(quotient.clone()));
        (draft, quotient)
    }

    #[test]
    fn a_shifted_limb_is_caught() {
        let (draft, quotient) = draft();
        let mut trace = draft.run(&[vec![7, 33, 900]]);
        for limbs in [
            &quotient.quotient_limbs,
            &quotient.remainder,
            &quotient.slack,
        ] {
            draft.assert_all_caught(&mut trace, limbs.columns[0]);
            // One more in the top limb, 32 less in the lower one.
            draft.assert_caught(&mut trace, &[(limbs.columns[0], 1, -32)]);
            draft.assert_caught(&mut trace, &[(limbs.columns[0], 3, 32)]);
        }
    }

    #[test]
    fn malformed_limbs_are_rejected() {
        let wrong = |change: fn(&mut Limbs, &mut Draft)| {
            let (mut draft, mut quotient) = draft();
            change(&mut quotient.slack, &mut draft);
            draft.model.nodes.to_mut()[0].relation = Relation::Quotient(quotient.clone());
            Relation::Quotient(quotient).constraints(&draft.model).err()
        };
        let count = Some(VerifyError::Key("limbs and tables do not match"));
        assert_eq!(wrong(|limbs, _| limbs.columns = List::default()), count);
        assert_eq!(wrong(|limbs, _| limbs.tables = List::default()), count);
        let range = Some(VerifyError::Key("a limb's table is not a range from 0"));
        assert_eq!(
            wrong(|limbs, draft| limbs.tables.to_mut()[1] = draft.table("signed", -1, 5, &[])),
            range
        );
        assert_eq!(
            wrong(|limbs, draft| limbs.tables.to_mut()[0] = draft.table("map", 0, 5, &[|_| 0])),
            range
        );
        let wide = Some(VerifyError::Key("limbs are too wide"));
        assert_eq!(
            wrong(|limbs, _| limbs.tables = vec![TableId(0); 13].into()),
            wide
        );
        let missing = Some(VerifyError::Key("a table does not exist"));
        assert_eq!(
            wrong(|limbs, _| limbs.tables.to_mut()[1] = TableId(9)),
            missing
        );
    }
}
