//! The fuzz targets' seeds, and what they once found: replayed.

#[path = "../fuzz/bodies/cli.rs"]
mod cli;
#[path = "../fuzz/bodies/json.rs"]
mod json;
#[path = "../fuzz/bodies/onnx.rs"]
mod onnx;
#[path = "../fuzz/bodies/replay.rs"]
mod replay;
#[path = "../compiler/src/samples.rs"]
mod samples;
#[path = "../runtime/tests/support/mod.rs"]
mod support;
#[path = "../fuzz/bodies/tensors.rs"]
mod tensors;

use zkiln_compiler::{Sample, error, float, graph};

#[test]
fn onnx_files() {
    replay::all("onnx", onnx::run);
}

#[test]
fn json_files() {
    replay::all("json", json::run);
}
