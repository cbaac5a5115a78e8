//! What is wrong with a node: the one type in which operators, lowering and checks refuse.

use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

/// Why one node cannot be compiled, and what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("node `{node}` ({op}): {reason}; {help}")]
pub struct Diagnostic {
    /// ONNX node name.
    pub node: String,
    /// Operator.
    pub op: String,
    /// Why it cannot be compiled.
    pub reason: String,
    /// What to do about it.
    pub help: String,
}

/// Refuses what is being compiled. The caller that knows the node names it with [`Diagnostic::at`].
pub(crate) fn refuse(reason: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic {
        node: String::new(),
        op: String::new(),
        reason: reason.into(),
        help: help.into(),
    }
}

impl Diagnostic {
    /// The same about this node.
    pub(crate) fn at(self, node: impl Into<String>, op: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            op: op.into(),
            ..self
        }
    }
}

/// What `work` gives; or that it panicked, and with which words. tract panics on some malformed models; to us that is an error like another.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        text.unwrap_or_default()
    })
}
