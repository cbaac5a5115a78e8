//! Operators on space and time: resampling, movement, spectra.

mod conv_transpose;
mod deform;
mod depth;
mod determinant;
mod grid_sample;
pub(super) mod movement;
mod regions;
mod resize;
pub(super) mod sampling;
mod spectra;

use crate::onnx::decompose::operator::Operator;

/// The operators of each file.
pub(super) const OPERATORS: &[&[Operator]] = &[
    conv_transpose::OPERATORS,
    deform::OPERATORS,
    depth::OPERATORS,
    determinant::OPERATORS,
    grid_sample::OPERATORS,
    movement::OPERATORS,
    regions::OPERATORS,
    resize::OPERATORS,
    spectra::OPERATORS,
];
