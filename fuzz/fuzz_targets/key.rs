//! See `bodies/key.rs`.
#![no_main]

#[path = "../bodies/key.rs"]
mod key;
#[path = "../bodies/memory.rs"]
mod memory;
#[path = "../bodies/proof.rs"]
#[allow(dead_code)]
mod proof;
#[path = "../../runtime/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| key::run(data));
