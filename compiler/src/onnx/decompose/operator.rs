//! What is said of an operator beside its function.

use crate::diagnostic::Diagnostic;
use crate::onnx::decompose::scope::{Scope, TypedValue};

/// Domain of trees, linear models and features.
pub(super) const ML: &str = "ai.onnx.ml";
/// Domain of operators that may still change.
pub(super) const PREVIEW: &str = "ai.onnx.preview";
/// Domain of optimizers.
pub(super) const TRAINING: &str = "ai.onnx.preview.training";
/// Domain of ONNX Runtime's own operators.
pub(super) const MICROSOFT: &str = "com.microsoft";

/// The name by which tract looks an operator up: with its domain, unless that is the standard one.
pub(crate) fn qualified(domain: &str, name: &str) -> String {
    match domain {
        "" => name.to_string(),
        domain => format!("{domain}.{name}"),
    }
}

/// A name without its domain.
pub(crate) fn bare(qualified: &str) -> &str {
    qualified.rsplit('.').next().unwrap_or(qualified)
}

/// Builds an operator from its operands: its results and their element types.
pub(crate) type Build = fn(&mut Scope) -> Result<Vec<TypedValue>, Diagnostic>;

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
    pub(super) build: Option<Build>,
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
