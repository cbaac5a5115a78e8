//! The operators that our functions build, from the lists at the head of their files.

use crate::onnx::decompose::operator::{Build, Operator, qualified};
use crate::onnx::decompose::{control, legacy, microsoft, ml, nn, quantized, spatial};

/// All operators that functions of ours build.
pub(crate) fn operators() -> impl Iterator<Item = &'static Operator> {
    [
        control::OPERATORS,
        microsoft::OPERATORS,
        ml::OPERATORS,
        nn::OPERATORS,
        quantized::OPERATORS,
        spatial::OPERATORS,
    ]
    .into_iter()
    .flat_map(|files| files.iter().copied().flatten())
}

/// The operators of ours that no file can name.
fn internal() -> impl Iterator<Item = &'static Operator> {
    legacy::OPERATORS.iter()
}

/// Names, in [qualified] form, of all operators that functions of ours build.
pub(super) fn names() -> impl Iterator<Item = String> {
    let all = operators().chain(internal());
    all.map(|operator| qualified(operator.domain, operator.name))
}

/// The function that builds an operator.
pub(super) fn build(domain: &str, name: &str) -> Option<Build> {
    let mut all = operators().chain(internal());
    let found = all.find(|operator| operator.name == name && operator.domain == domain);
    found.and_then(|operator| operator.build)
}
