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

libfuzzer_sys::fuzz_target!(|data: &[u8]| json::run(data));
