//! The operators that are functions of ours, from the lists at the head of their files.

use crate::diagnostic::Diagnostic;
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::decompose::{control, ml, nn, quantized, spatial};

/// Domain of trees, linear models and features.
pub(super) const ML: &str = "ai.onnx.ml";
/// Domain of operators that may still change.
pub(super) const PREVIEW: &str = "ai.onnx.preview";
/// Domain of optimizers.
pub(super) const TRAINING: &str = "ai.onnx.preview.training";
/// Domain of ONNX Runtime's own operators.
pub(super) const MICROSOFT: &str = "com.microsoft";

/// Builds an operator from its operands: its results and their element types.
pub(super) type Build = fn(&mut Scope) -> Result<Vec<TypedValue>, Diagnostic>;

/// An ONNX operator that compiles.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// ONNX name.
    pub name: &'static str,
    /// ONNX domain; empty for the standard one.
    pub domain: &'static str,
    /// First opset of the domain that has it; all later ones are compiled.
    pub since: u32,
    /// What else is refused, in words; empty if nothing.
    pub restrictions: &'static str,
    /// `None` if tract's own front end has it.
    build: Option<Build>,
}

/// An operator that a function of ours builds.
pub(super) const fn op(name: &'static str, since: u32, build: Build) -> Operator {
    Operator {
        build: Some(build),
        ..tract(name, since)
    }
}

/// An operator that tract's own front end has.
pub(crate) const fn tract(name: &'static str, since: u32) -> Operator {
    Operator {
        name,
        domain: "",
        since,
        restrictions: "",
        build: None,
    }
}

impl Operator {
    /// The operator in another domain than the standard one.
    pub(super) const fn domain(self, domain: &'static str) -> Operator {
        Operator { domain, ..self }
    }

    /// The operator with what else is refused.
    pub(crate) const fn restricted(self, restrictions: &'static str) -> Operator {
        Operator {
            restrictions,
            ..self
        }
    }
}

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
