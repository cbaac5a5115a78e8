//! `generated/` holds the modules of `models/` as the compiler emits them. Bless a meant change with `ZKILN_BLESS=1 cargo test --release --test golden`.

use std::path::Path;

use zkiln_compiler::compile::Request;
use zkiln_compiler::emit::emit;

fn matches_golden(model: &str, module: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let request = Request {
        samples: vec![root.join(format!("models/{model}.samples.jsonl"))],
        ..Request::new(root.join(format!("models/{model}.onnx")))
    };
    let source = emit(&request.compile().expect("compiles"), &request.origin()).source;
    let path = root.join(format!("generated/{module}.rs"));
    if std::env::var_os("ZKILN_BLESS").is_some() {
        std::fs::write(&path, &source).expect("the folder can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    let difference = source
        .lines()
        .zip(golden.lines())
        .position(|(got, golden)| got != golden);
    assert!(
        source == golden,
        "generated/{module}.rs differs, first in line {:?}",
        difference.map(|line| line + 1)
    );
}

#[test]
fn tiny_mlp_is_as_checked_in() {
    matches_golden("tiny_mlp", "tiny_mlp");
}

#[test]
fn mnist_cnn_is_as_checked_in() {
    matches_golden("mnist_cnn", "mnist_cnn");
}

#[test]
fn nano_gpt_is_as_checked_in() {
    matches_golden("nanoGPT", "nano_gpt");
}
