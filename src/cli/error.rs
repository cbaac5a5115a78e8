//! Why a command ends without success, and with which exit code.

use std::path::Path;

use thiserror::Error;
use zkiln_compiler::{CompileError, Diagnostic};
use zkiln_runtime::error::{ProveError, VerifyError};

use zkiln_compiler::tensors::TensorError;

/// What a command could not do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CliError {
    /// The model is refused.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A file of tensors is refused.
    #[error(transparent)]
    Tensors(Box<TensorError>),
    /// The input cannot be proved.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The input that was to be proved cannot be.
    #[error("{}", with_what_check_does(.0))]
    Uncovered(ProveError),
    /// One of many inputs cannot be run.
    #[error("`{place}`: {source}")]
    Input {
        /// File and line.
        place: String,
        /// Why.
        source: Box<ProveError>,
    },
    /// Some of many inputs cannot be run; the others were.
    #[error("{refused} of {runs} inputs are refused; the first: {first}")]
    Inputs {
        /// How many cannot be run.
        refused: usize,
        /// How many there are.
        runs: u64,
        /// Why the first one cannot.
        first: Box<CliError>,
    },
    /// The proof is rejected.
    #[error("the proof is rejected: {0}")]
    Verify(#[from] VerifyError),
    /// The statement is not about this key's model.
    #[error("the statement is rejected: {0}")]
    Statement(String),
    /// The key is not that of the model.
    #[error("the key is not that of this model: {0}")]
    Audit(String),
    /// Outputs are further from the expected ones than allowed.
    #[error("the comparison failed: {0}")]
    Comparison(String),
    /// onnxruntime is not in the library that was named, or refuses the model or the input.
    #[error("onnxruntime, `{library}`: {reason}; {help}")]
    Oracle {
        /// As given.
        library: String,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        help: String,
    },
    /// A file cannot be read, or holds something else than it should.
    #[error("`{file}`: {reason}")]
    File {
        /// As given.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A result cannot be written.
    #[error("cannot write `{file}`: {source}")]
    Write {
        /// As given.
        file: String,
        /// From the operating system.
        source: std::io::Error,
    },
}

/// A refusal of what is outside the calibrated ranges says as well why another command may have taken the same input.
fn with_what_check_does(error: &ProveError) -> String {
    match error {
        ProveError::OutOfRange { .. }
        | ProveError::ValueRange { .. }
        | ProveError::InputRange { .. } => {
            format!(
                "{error} (`zkiln check` takes its --input for a sample, `zkiln prove` never does)"
            )
        }
        _ => error.to_string(),
    }
}

impl From<TensorError> for CliError {
    fn from(error: TensorError) -> Self {
        Self::Tensors(Box::new(error))
    }
}

impl CliError {
    /// A [`CliError::File`].
    pub fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File {
            file: path.display().to_string(),
            reason: reason.to_string(),
        }
    }

    /// 1: the answer is no. 2: the question was refused.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Verify(VerifyError::Key(_)) => 2,
            Self::Verify(_)
            | Self::Statement(_)
            | Self::Audit(_)
            | Self::Comparison(_)
            | Self::Write { .. } => 1,
            _ => 2,
        }
    }

    /// For `--json`: the message, and every diagnostic about a node by itself.
    pub fn json(&self) -> serde_json::Value {
        let mut object = serde_json::json!({
            "error": self.to_string(),
            "exit_code": self.exit_code(),
        });
        let node = |c: &Diagnostic| serde_json::json!({"node": c.node, "op": c.op, "reason": c.reason, "help": c.help});
        match self {
            Self::Compile(CompileError::Nodes(diagnostics)) => {
                object["nodes"] = diagnostics.iter().map(node).collect();
            }
            Self::Compile(CompileError::Unfaithful(unfaithful)) => {
                object["nodes"] = [node(&unfaithful.node)].into_iter().collect();
                object["cause"] = unfaithful.cause.word().into();
            }
            _ => {}
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_refusals_have_their_codes() {
        let refused: [CliError; 3] = [
            ProveError::InputCount {
                expected: 1,
                got: 2,
            }
            .into(),
            VerifyError::Key("too short").into(),
            CliError::file(Path::new("in.json"), "no such file"),
        ];
        assert!(refused.iter().all(|e| e.exit_code() == 2));
        let failed: [CliError; 3] = [
            VerifyError::Opening.into(),
            CliError::Statement("another model".into()),
            CliError::Comparison("too far".into()),
        ];
        assert!(failed.iter().all(|e| e.exit_code() == 1));
    }

    #[test]
    fn json_lists_nodes() {
        let diagnostic = Diagnostic {
            node: "n".into(),
            op: "Loop".into(),
            reason: "no".into(),
            help: "unroll".into(),
        };
        let json = CliError::from(CompileError::Nodes(vec![diagnostic])).json();
        assert_eq!(json["nodes"][0]["op"], "Loop");
        assert_eq!(json["exit_code"], 2);
    }
}
