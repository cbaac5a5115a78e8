//! Operators that tract's front end lacks, or has with restrictions: each is a function that builds our graph, and stands with its opset
//! and its restrictions in the `OPERATORS` of its file. So an operator is written once, and its shapes, its float reference and its proof
//! follow.
//!
//! To add one: a function and its line in a file of a family (a new file also has a line in the family's `mod.rs`), and a test.

pub(crate) mod body;
mod by_type;
mod control;
pub(crate) mod expansion;
pub(crate) mod legacy;
mod microsoft;
mod ml;
mod nn;
pub(crate) mod operator;
mod quantized;
pub(crate) mod registry;
mod scope;
mod spatial;
pub(crate) mod subgraph;
