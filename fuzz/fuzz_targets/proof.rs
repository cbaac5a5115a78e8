//! See `bodies/proof.rs`.
#![no_main]

#[path = "../bodies/memory.rs"]
mod memory;
#[path = "../bodies/proof.rs"]
mod proof;
#[path = "../../runtime/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| proof::run(data));
