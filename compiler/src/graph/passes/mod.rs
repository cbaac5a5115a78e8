//! Rewrites of the float graph that preserve its values.

pub mod fuse;
pub(crate) mod greatest;
pub(crate) mod masks;
pub(crate) mod negative_indices;
pub(crate) mod powers;
pub(crate) mod rescaling;
pub(crate) mod words;
