//! The operators that our functions build, from the lists at the head of their files.

use crate::onnx::decompose::operator::{Build, Operator};
use crate::onnx::decompose::{control, ml, nn, quantized, spatial};

/// All operators that functions of ours build.
pub(crate) fn operators() -> impl Iterator<Item = &'static Operator> {
    [
        control::OPERATORS,
        ml::OPERATORS,
        nn::OPERATORS,
        quantized::OPERATORS,
        spatial::OPERATORS,
    ]
    .into_iter()
    .flat_map(|files| files.iter().copied().flatten())
}

/// The function that builds an operator. tract looks operators up by their names alone, and so do we: no two domains share a name.
pub(super) fn build(name: &str) -> Option<Build> {
    let found = operators().find(|operator| operator.name == name);
    found.and_then(|operator| operator.build)
}
