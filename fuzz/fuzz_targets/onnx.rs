//! See `bodies/onnx.rs`. The compiler makes errors of panics; where they are ours, and not tract's, they are findings all the same:
//! the first file for each place is kept, and the run goes on.
#![no_main]

#[path = "../bodies/memory.rs"]
mod memory;
#[path = "../bodies/onnx.rs"]
mod onnx;

use std::panic::PanicHookInfo;
use std::sync::Mutex;

/// What is being read.
static CURRENT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn hook(info: &PanicHookInfo) {
    let Some(place) = info.location() else {
        return;
    };
    let file = place.file();
    if !file.contains("/registry/") && !file.starts_with("/rustc/") {
        let place = format!("{}-{}", file.replace(['/', '.'], "-"), place.line());
        let path = format!("artifacts/onnx/panic{place}");
        if !std::path::Path::new(&path).exists() {
            eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
            let kept = CURRENT.lock().map(|bytes| std::fs::write(path, &*bytes));
            drop(kept);
        }
    }
}

libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(hook)),
    |data: &[u8]| {
        *CURRENT.lock().expect("held for no time") = data.to_vec();
        onnx::run(data)
    }
);
