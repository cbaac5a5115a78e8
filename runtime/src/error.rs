//! Typed errors of proving and verifying.

use thiserror::Error;

/// Why a proof could not be made. Nothing is lost: the input may be corrected and tried again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProveError {
    /// A value left the range that the model was calibrated for.
    #[error(
        "node `{node}`: value {value} is outside the calibrated range {low}..={high}; give sample inputs that cover it when compiling"
    )]
    OutOfRange {
        /// Node whose value it is.
        node: String,
        /// The integer value.
        value: i64,
        /// Least allowed.
        low: i64,
        /// Greatest allowed.
        high: i64,
    },
    /// A function has no value where it is needed, or one too great for the integers that the model was compiled to.
    #[error(
        "node `{node}`: `{function}` has no value at key {key}, or one too great for the range that the model was calibrated for; \
         give sample inputs that cover it when compiling, or keep the input where the model is defined"
    )]
    Barred {
        /// Node whose value it would be.
        node: String,
        /// Table of the function.
        function: String,
        /// What would be looked up.
        key: i64,
    },
    /// [`ProveError::OutOfRange`] in words: what the integers mean to whoever made the model.
    #[error(
        "node `{node}`: {value} is outside the calibrated range {low}..={high}; give sample inputs that reach it when compiling"
    )]
    ValueRange {
        /// Node whose value it is.
        node: String,
        /// The value.
        value: String,
        /// Least allowed.
        low: String,
        /// Greatest allowed.
        high: String,
    },
    /// [`ProveError::Barred`] in words.
    #[error(
        "node `{node}`: `{function}` has no value at {at}, or one too great for the range that the model was calibrated for; \
         give sample inputs that reach it when compiling, or keep the input where the model is defined"
    )]
    Undefined {
        /// Node whose value it would be.
        node: String,
        /// Table of the function.
        function: String,
        /// What the function is needed of.
        at: String,
    },
    /// An element of an input has no integer in its port's range: it is too large, or not a number.
    #[error(
        "input `{input}`, element {index}: {value} is outside the calibrated range {low}..={high}; give sample inputs that cover it when compiling"
    )]
    InputRange {
        /// Input port.
        input: String,
        /// Row-major.
        index: usize,
        /// The real value, in decimal.
        value: String,
        /// Least allowed.
        low: String,
        /// Greatest allowed.
        high: String,
    },
    /// An input has the wrong number of elements.
    #[error("input `{input}`: expected {expected} elements, got {got}")]
    InputLength {
        /// Input port.
        input: String,
        /// Elements of the port.
        expected: usize,
        /// Elements given.
        got: usize,
    },
    /// The wrong number of inputs.
    #[error("expected {expected} inputs, got {got}")]
    InputCount {
        /// Ports of the model.
        expected: usize,
        /// Tensors given.
        got: usize,
    },
    /// A blinding was given for a port that has no commitment.
    #[error("`{port}` is not a committed input or output, so its blinding cannot be chosen")]
    Blinding {
        /// As given.
        port: String,
    },
    /// Constants do not fit the model.
    #[error("the weights do not belong to this model: {0}")]
    Weights(String),
}

impl ProveError {
    /// The node whose value it is about.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::OutOfRange { node, .. }
            | Self::Barred { node, .. }
            | Self::ValueRange { node, .. }
            | Self::Undefined { node, .. } => Some(node),
            _ => None,
        }
    }

    /// The same with words for the node's integers, where there are words for them.
    pub fn in_words(self, words: impl Fn(&str, i64) -> Option<String>) -> Self {
        let found = match &self {
            Self::OutOfRange {
                node,
                value,
                low,
                high,
            } => (|| {
                let word = |integer: &i64| words(node, *integer);
                Some(Self::ValueRange {
                    node: node.clone(),
                    value: word(value)?,
                    low: word(low)?,
                    high: word(high)?,
                })
            })(),
            Self::Barred {
                node,
                function,
                key,
            } => words(node, *key).map(|at| Self::Undefined {
                node: node.clone(),
                function: function.clone(),
                at,
            }),
            _ => None,
        };
        found.unwrap_or(self)
    }
}

/// Why a proof was rejected.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The proof has the wrong length.
    #[error("proof has {got} bytes, expected {expected}")]
    Length {
        /// Constant of the model.
        expected: usize,
        /// As given.
        got: usize,
    },
    /// The proof is of another version of the protocol, or no proof.
    #[error("not a proof of this version of the protocol")]
    Protocol,
    /// The proof ended early.
    #[error("proof is truncated")]
    Truncated,
    /// Bytes are left over.
    #[error("proof has trailing bytes")]
    TrailingBytes,
    /// A field element or point is not in canonical form or not on the curve.
    #[error("non-canonical `{label}`")]
    NonCanonical {
        /// Message of the proof.
        label: &'static str,
    },
    /// The statement does not fit the model: wrong tensors, lengths or ranges.
    #[error("the statement does not fit the model: {0}")]
    Statement(&'static str),
    /// The key is malformed.
    #[error("the verifier key is malformed: {0}")]
    Key(&'static str),
    /// A round of a sumcheck, or its last claim, does not hold.
    #[error("sumcheck of `{0}` does not hold")]
    Sumcheck(&'static str),
    /// The sum of fractions is not zero.
    #[error("a lookup is not in its table")]
    Lookup,
    /// An equation between hidden values does not hold, or they do not match their commitments.
    #[error("the hidden values do not satisfy the model, or do not match the commitments")]
    Closing,
    /// The opened vector does not match the commitments.
    #[error("the opening does not match the commitments")]
    Opening,
}

// verify-path: begin
/// # Errors
/// [`VerifyError::Key`] with this reason, unless the key `holds` to it.
pub(crate) fn check(holds: bool, reason: &'static str) -> Result<(), VerifyError> {
    if holds {
        Ok(())
    } else {
        Err(VerifyError::Key(reason))
    }
}
// verify-path: end
