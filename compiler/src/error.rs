//! Everything that can be wrong with a model, all at once.

use thiserror::Error;

use crate::diagnostic::Diagnostic;
use crate::tensors::TensorError;

/// Why a model was not compiled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The file could not be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// As given.
        path: String,
        /// From the operating system.
        source: std::io::Error,
    },
    /// A result could not be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// File or directory.
        path: String,
        /// From the operating system.
        source: std::io::Error,
    },
    /// The file is not an ONNX model that can be analyzed.
    #[error("cannot load `{path}`: {reason}")]
    Load {
        /// As given.
        path: String,
        /// From the parser.
        reason: String,
    },
    /// Sample inputs do not fit the model.
    #[error("sample inputs do not fit the model: {0}")]
    Samples(String),
    /// A settings file that is none, or does not fit the model's nodes.
    #[error("the settings cannot be used: {0}")]
    Settings(String),
    /// A settings file that was made for another model.
    #[error(
        "the settings are not for `{path}`: they are for the model {expected}, and this is {got}; calibrate again"
    )]
    SettingsOfAnother {
        /// The ONNX file.
        path: String,
        /// Digest of the model that the settings are for.
        expected: String,
        /// Digest of the file.
        got: String,
    },
    /// A visibility is given for something that the model does not have.
    #[error(
        "`{name}` is neither an input nor an output, so it cannot have a visibility; there are {ports}, and `inputs`, `outputs`, `weights` for all of a kind"
    )]
    Visibility {
        /// As given.
        name: String,
        /// All ports of the model.
        ports: String,
    },
    /// A file of samples that cannot be read, or does not fit the model.
    #[error(transparent)]
    Tensors(#[from] TensorError),
    /// A folder that is not a compiled model, or of another version.
    #[error("`{path}` cannot be used: {reason}")]
    Artefact {
        /// The folder.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no blinding key yet, and its file cannot be made.
    #[error(
        "cannot make the blinding key `{path}`: {source}; choose another file for it: `blinding_key` in the macro and the build API, `--blinding-key` on the command line"
    )]
    BlindingKeyNotMade {
        /// Where it was to be.
        path: String,
        /// From the operating system.
        source: std::io::Error,
    },
    /// The file of the blinding key holds something else.
    #[error(
        "`{path}` is not a blinding key: {reason}; it is 64 hexadecimal digits, best made by zkiln itself"
    )]
    BlindingKey {
        /// As given.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nodes that cannot be compiled, all of them.
    #[error("{} node(s) cannot be compiled:\n{}", .0.len(), .0.iter().map(|c| format!("  {c}")).collect::<Vec<_>>().join("\n"))]
    Nodes(Vec<Diagnostic>),
    /// The integers stray too far from the float model on a sample.
    #[error(transparent)]
    Unfaithful(Box<Unfaithful>),
    /// The error of the plan's argument is too large, or the generic attack on the group too cheap.
    #[error(
        "the argument's error and the generic attack on the group leave {got} bits, fewer than {expected}"
    )]
    Security {
        /// Required.
        expected: u32,
        /// Reached.
        got: u32,
    },
    /// The compiler made a plan that the runtime refuses.
    #[error("the plan is malformed, which is a fault of zkiln: {0}")]
    Plan(String),
}

/// A sample on which the integers stray too far from the float model, and the first node where they do.
#[derive(Clone, Debug, Error)]
#[error("on {sample}, {symptom}: {node}")]
pub struct Unfaithful {
    /// Which sample.
    pub sample: String,
    /// What is wrong with the model's outputs there, in the model's units.
    pub symptom: String,
    /// Why it is.
    pub cause: Cause,
    /// The first node that strays while its inputs do not, why it does, and what to do about it.
    pub node: Diagnostic,
}

/// Why integers stray from floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A value's range is too wide for one scale, or does not hold the value.
    Range,
    /// Integers that are not kept as such.
    Type,
    /// What masks is so large that the rest is lost beside it.
    Mask,
    /// The float model itself gives no number.
    Undefined,
    /// Too few bits for how much errors grow.
    Bits,
}

impl Cause {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Type => "type",
            Self::Mask => "mask",
            Self::Undefined => "undefined",
            Self::Bits => "bits",
        }
    }
}
