//! How many bits: the least that keep the integer program close to the float model on all calibration samples; and no program that is not.

mod bench;
mod culprit;
mod deviation;
mod distance;
mod gate;
mod inference;
mod search;
#[cfg(test)]
mod tests;

pub use crate::accuracy::bench::{Accuracy, Line, Report, Uniform, Wanted, predicted_cost};
pub use crate::accuracy::distance::Figures;
pub(crate) use crate::accuracy::gate::lower_faithfully;
pub use crate::accuracy::search::Calibration;
pub(crate) use crate::accuracy::search::{calibrate, measure};
