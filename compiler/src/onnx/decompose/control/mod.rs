//! Operators whose graph depends on values that are known: branches, loops, constants, optional operands.

pub(crate) mod body;
pub(crate) mod constants;
pub(crate) mod flow;
pub(crate) mod optional;
