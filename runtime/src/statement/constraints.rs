//! All that a model claims: the constraints of its nodes, and those of what it hides.

use super::hidden::zero_padding;
use super::model::{Accumulator, Model, Node, Table, View};
use super::relations::Constraints;
use crate::error::VerifyError;

// verify-path: begin
impl Model {
    /// The constraints of each node, with its name, in order.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when a relation does not fit the model.
    pub fn node_constraints(
        &self,
    ) -> impl Iterator<Item = Result<(&str, Constraints), VerifyError>> {
        let of = |node: &'_ Node| node.relation.constraints(self);
        self.nodes
            .iter()
            .map(move |node| Ok((&*node.name, of(node)?)))
    }

    /// All constraints, in the order of the nodes; those of tables and of committed ports last.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when a relation does not fit the model.
    pub fn constraints(&self) -> Result<Constraints, VerifyError> {
        let mut all = Constraints::default();
        for constraints in self.node_constraints() {
            let (_, Constraints { lookups, zeros }) = constraints?;
            all.lookups.extend(lookups);
            all.zeros.extend(zeros);
        }
        for table in self.tables.iter() {
            all.zeros.extend(table.barred_rows()?);
        }
        all.zeros.extend(zero_padding(self)?);
        Ok(all)
    }
}

impl Table {
    /// What is zero if no barred row is looked up.
    ///
    /// # Errors
    /// None: a table has one axis.
    pub fn barred_rows(&self) -> Result<Option<Accumulator>, VerifyError> {
        let Some(barred) = self.barred else {
            return Ok(None);
        };
        let len = 1u32.checked_shl(u32::from(self.len_log2)).unwrap_or(0);
        let operands = vec![
            View::identity(self.multiplicities, 1)?,
            View::identity(barred, 1)?,
        ];
        let looked_up = Accumulator::zero(vec![len].into());
        Ok(Some(looked_up.plus_product(1, Vec::new(), operands)))
    }
}
// verify-path: end
