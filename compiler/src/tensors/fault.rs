//! What can be wrong with a file of tensors.

use thiserror::Error;

/// Why a file of tensors was refused. `file` is the path as given, with `:LINE` where the file has lines.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The operating system says no.
    #[error("cannot read `{file}`: {source}")]
    Read {
        /// As given.
        file: String,
        /// From the operating system.
        source: std::io::Error,
    },
    /// The file is not in a format that is read here.
    #[error("`{file}`: {reason}")]
    Format {
        /// As given.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The wrong tensors.
    #[error("`{file}`: expected the tensors {expected}, got {got}")]
    Names {
        /// As given.
        file: String,
        /// Names of the model's ports.
        expected: String,
        /// Names in the file.
        got: String,
    },
    /// A tensor does not fit its port.
    #[error("`{file}`, tensor `{tensor}`: expected {expected}, got {got}")]
    Mismatch {
        /// As given.
        file: String,
        /// Name of the tensor.
        tensor: String,
        /// What the model wants.
        expected: String,
        /// What the file has.
        got: String,
    },
}

impl TensorError {
    /// A [`TensorError::Format`].
    pub fn format(file: &str, reason: impl ToString) -> Self {
        Self::Format {
            file: file.to_owned(),
            reason: reason.to_string(),
        }
    }
}
