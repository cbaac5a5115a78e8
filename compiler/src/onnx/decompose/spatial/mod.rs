//! Operators on space and time: resampling, movement, spectra.

pub(crate) mod conv_transpose;
pub(crate) mod deform;
pub(crate) mod depth;
pub(crate) mod determinant;
pub(crate) mod grid_sample;
pub(crate) mod movement;
pub(crate) mod regions;
pub(crate) mod resize;
pub(crate) mod sampling;
pub(crate) mod spectra;
