//! ONNX to a quantized integer program, a proving plan, and Rust source.
//!
//! The tree is the pipeline: `onnx` reads a file into the float `graph`; `calibrate` gives its values ranges; `prepare` is the way so far;
//! `lower` makes integers of it, with as many bits as `accuracy` finds that they need; `emit` prints the result; `driver` is all of it, for the
//! macro, for build scripts and for the command line. `onnx` and `lower` never see each other.

pub mod accuracy;
pub mod calibrate;
mod diagnostic;
mod driver;
pub mod emit;
pub mod error;

pub mod graph;
mod lower;
pub mod onnx;
mod options;
mod ports;
pub mod prepare;
mod program;
pub mod settings;
#[cfg(test)]
mod testing;

pub use diagnostic::Diagnostic;
pub use driver::{build, compile, salt};
pub use error::CompileError;
pub use lower::lower;
pub use options::{Options, Sample};
pub use ports::Port;
pub use program::{Compiled, Lowered, NodeReport, PortInfo};
pub use settings::Settings;
pub use zkiln_runtime::model::Visibility;
