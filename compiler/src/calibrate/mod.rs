//! Sample inputs, and the ranges of values that they show.

pub mod ranges;
