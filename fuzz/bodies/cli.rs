//! The command line's `public.json`, without the rest of the command line.
#![allow(dead_code)]

#[path = "../../src/cli/error.rs"]
pub mod error;
#[path = "../../src/cli/public.rs"]
pub mod public;

/// What `public` takes from the command line's `args`.
mod args {
    pub fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn unhex(digits: &str) -> Option<Vec<u8>> {
        let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        (0..digits.len()).step_by(2).map(pair).collect()
    }
}

/// What `public` takes from the command line's `engine`.
mod engine {
    pub use zkiln_runtime::protocol::{Commitment, Shown, Statement};

    pub fn dequantise(integers: &[i64], port: &zkiln_compiler::PortInfo) -> Vec<f64> {
        let real = |&integer: &i64| integer as f64 * port.scale;
        integers.iter().map(real).collect()
    }
}
