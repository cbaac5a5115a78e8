//! See `bodies/json.rs`.
#![no_main]

#[path = "../bodies/cli.rs"]
mod cli;
#[path = "../bodies/json.rs"]
mod json;
#[path = "../bodies/memory.rs"]
mod memory;
#[path = "../../compiler/src/samples.rs"]
mod samples;
#[path = "../../runtime/tests/support/mod.rs"]
mod support;
#[path = "../bodies/tensors.rs"]
mod tensors;

use zkiln_compiler::{Sample, error, float};

libfuzzer_sys::fuzz_target!(|data: &[u8]| json::run(data));
