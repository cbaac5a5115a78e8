//! A few random graphs against onnxruntime: `tests/differential/` has the generator and says what is compared. Needs Python with
//! `tests/differential/requirements.txt`: `ZKILN_PYTHON` names it, or `python3` is tried. Without it the test says that onnxruntime was skipped;
//! with `ZKILN_ORACLE=required`, as in `.ci/full`, it fails.

use std::process::{Command, Output};

/// How many graphs, and the seed of the first.
const GRAPHS: (&str, &str) = ("8", "0");

fn python(arguments: &[&str]) -> Option<Output> {
    let python = std::env::var("ZKILN_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(arguments).output().ok()
}

#[test]
fn random_graphs_are_what_onnxruntime_computes() {
    let found = python(&["-c", "import numpy, onnx, onnxruntime"]);
    if !found.is_some_and(|output| output.status.success()) {
        let required = std::env::var("ZKILN_ORACLE").is_ok_and(|oracle| oracle == "required");
        assert!(!required, "onnxruntime is required and not there");
        eprintln!(
            "SKIPPED: onnxruntime is not there, so nothing was compared with it (pip install -r tests/differential/requirements.txt)"
        );
        return;
    }
    let (count, seed) = GRAPHS;
    let zkiln = env!("CARGO_BIN_EXE_zkiln");
    let arguments = ["tests/differential", "--zkiln", zkiln, "--seed", seed];
    let more = ["--count", count, "--jobs", "2"];
    let output = python(&[arguments.as_slice(), &more].concat()).expect("python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{fault}");
}
