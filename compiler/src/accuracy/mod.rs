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
mod trial;

pub use crate::accuracy::bench::{Line, Report, Uniform, predicted_cost};
pub use crate::accuracy::distance::Figures;
pub(crate) use crate::accuracy::gate::lower_faithfully;
pub use crate::accuracy::search::Calibration;
pub(crate) use crate::accuracy::search::{calibrate, measure};
pub use crate::accuracy::trial::{Accuracy, Wanted};
