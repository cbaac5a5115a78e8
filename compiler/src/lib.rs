//! ONNX to a quantized integer program, a proving plan, and Rust source.
//!
//! The tree is the pipeline: `onnx` reads a file into the float `graph`; `calibrate` gives its values ranges; `prepare` is the way so far;
//! `lower` makes integers of it, with as many bits as `accuracy` finds that they need; `emit` prints the result; `driver` is all of it, for the
//! macro, for build scripts and for the command line. `onnx` and `lower` never see each other.

#![forbid(unsafe_code)]

pub mod accuracy;
pub mod calibrate;
mod diagnostic;
mod driver;
pub mod emit;
pub mod error;
mod files;
mod frozen;
pub mod graph;
mod lower;
pub mod onnx;
mod options;
mod ports;
pub mod prepare;
mod program;
mod scale;
pub mod settings;
pub mod tensors;
#[cfg(test)]
mod testing;
pub mod text;

pub use crate::diagnostic::Diagnostic;
pub use crate::driver::{artefact, blinding_key, build, compile, rows};
pub use crate::error::{Cause, CompileError, Unfaithful};
pub use crate::files::write_secret;
pub use crate::frozen::Frozen;
pub use crate::lower::lower;
pub use crate::options::{Objective, Options};
pub use crate::ports::{Port, Sample};
pub use crate::program::{
    Compiled, Element, Fidelity, Lowered, Meaning, NodeReport, PortInfo, Ranges, in_reals,
    integers_in_range, nearest_integer,
};
pub use crate::scale::Scale;
pub use crate::settings::Settings;
pub use zkiln_runtime::model::Visibility;
