//! Sample inputs, and the ranges of values that they show.

mod picks;
pub mod ranges;
