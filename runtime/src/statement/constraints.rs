//! All that a model claims: the constraints of its nodes, and those of what it hides.

use super::hidden::zero_padding;
use super::model::{Model, Node};
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

    /// All constraints, in the order of the nodes; those of committed ports last.
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
        all.zeros.extend(zero_padding(self)?);
        Ok(all)
    }
}
// verify-path: end
