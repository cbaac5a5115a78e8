//! What is proved: the model as columns, tables and nodes, the relations that nodes claim, and what makes a model well-formed.
//!
//! This room knows integers and shapes. It must not know how anything is proved: no challenges, no commitments, no proofs. The witness of a
//! model is made above it, in `witness`.

mod algebra;
mod constraints;
mod hidden;
pub(crate) mod layout;
pub mod model;
pub mod relations;
mod structure;
mod validate;
