//! Rewritings of the float graph that leave its values as they are.

pub mod fuse;
pub(crate) mod masks;
pub(crate) mod negative_indices;
