//! See `bodies/onnx.rs`. Panics of tract are no findings: the importer makes errors of them.
#![no_main]

#[path = "../bodies/memory.rs"]
mod memory;
#[path = "../bodies/onnx.rs"]
mod onnx;

use std::panic::PanicHookInfo;

fn hook(info: &PanicHookInfo) {
    let foreign = |file: &str| file.contains("/registry/") || file.starts_with("/rustc/");
    if !info.location().is_some_and(|place| foreign(place.file())) {
        eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
        std::process::abort();
    }
}

libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(hook)),
    |data: &[u8]| onnx::run(data)
);
