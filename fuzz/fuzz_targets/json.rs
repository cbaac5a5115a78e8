//! See `bodies/json.rs`.
#![no_main]

#[path = "../bodies/cli.rs"]
mod cli;
#[path = "../bodies/json.rs"]
mod json;
#[path = "../bodies/memory.rs"]
mod memory;
#[path = "../../runtime/tests/support/mod.rs"]
mod support;
#[path = "../bodies/tensors.rs"]
mod tensors;

libfuzzer_sys::fuzz_target!(|data: &[u8]| json::run(data));
