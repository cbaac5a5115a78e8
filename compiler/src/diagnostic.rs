//! What is wrong with a node: the one type in which operators, lowering and checks refuse.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

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

thread_local! {
    /// How many [`caught`] this thread is in.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
}

/// What `work` gives; or that it panicked, and with which words. tract panics on some malformed models; to us that is an error like another, so
/// that nothing is printed of it.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    silence_caught_panics();
    let nested = |change: isize| {
        CATCHING.with(|count| count.set(count.get().wrapping_add_signed(change)));
    };
    nested(1);
    let made = panic::catch_unwind(AssertUnwindSafe(work));
    nested(-1);
    made.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        let text = text.unwrap_or_default();
        tracing::debug!(text, "caught a panic");
        text
    })
}

/// Has the panic hook pass over threads that catch; all others keep the one that was there.
fn silence_caught_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.with(Cell::get) == 0 {
                others(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::panic;

    use crate::diagnostic::caught;

    #[test]
    fn words_of_panics_are_kept() {
        let words = |work: fn()| caught(work).expect_err("it panics");
        assert_eq!(words(|| panic!("one")), "one");
        assert_eq!(words(|| panic!("{}", 2)), "2");
        let inner = caught(|| caught(|| panic!("inside")).is_err() && caught(|| 1) == Ok(1));
        assert_eq!(inner, Ok(true));
        assert!(panic::catch_unwind(|| panic!("this one is said")).is_err());
    }
}
