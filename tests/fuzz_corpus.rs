//! The fuzz targets' seeds, and what they once found: replayed.

#[path = "../fuzz/bodies/cli.rs"]
mod cli;
#[path = "../fuzz/bodies/json.rs"]
mod json;
#[path = "../fuzz/bodies/onnx.rs"]
mod onnx;
#[path = "../fuzz/bodies/replay.rs"]
mod replay;
#[path = "../runtime/tests/support/mod.rs"]
mod support;

#[test]
fn onnx_files() {
    replay::all("onnx", onnx::run);
}

#[test]
fn json_files() {
    replay::all("json", json::run);
}
