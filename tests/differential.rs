//! A few random graphs against onnxruntime: `tests/differential/` has the generator and says what is compared; and `check --oracle`, which asks
//! it without Python. Needs Python with
//! `tests/differential/requirements.txt`: `ZKILN_PYTHON` names it, or `python3` is tried. Without it the test says that onnxruntime was skipped;
//! with `ZKILN_ORACLE=required`, as in `.ci/run`, it fails.

use std::process::{Command, Output};

/// How many graphs, and the seed of the first.
const GRAPHS: (&str, &str) = ("8", "0");

fn python(arguments: &[&str]) -> Option<Output> {
    let python = std::env::var("ZKILN_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(arguments).output().ok()
}

/// Whether Python has onnxruntime; says so if not.
fn has_oracle() -> bool {
    let found = python(&["-c", "import numpy, onnx, onnxruntime"]);
    let found = found.is_some_and(|output| output.status.success());
    if !found {
        let required = std::env::var("ZKILN_ORACLE").is_ok_and(|oracle| oracle == "required");
        assert!(!required, "onnxruntime is required and not there");
        eprintln!(
            "SKIPPED: onnxruntime is not there, so nothing was compared with it (pip install -r tests/differential/requirements.txt)"
        );
    }
    found
}

/// The shared library in onnxruntime's wheel.
const LIBRARY: &str = "import glob, onnxruntime
print(glob.glob(onnxruntime.__path__[0] + '/capi/libonnxruntime.*')[0])";

fn check(model: &str, arguments: &[&str]) -> (Output, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zkiln"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command
        .args(["check", model, "--json"])
        .args(arguments)
        .output()
        .expect("runs");
    let json = serde_json::from_slice(&output.stdout).expect("JSON");
    (output, json)
}

#[test]
fn check_asks_onnxruntime_itself() {
    let tiny = ["--samples", "models/tiny_mlp.samples.jsonl", "--oracle"];
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other.so");
    std::fs::write(&other, "no library").expect("written");
    for (library, reason) in [
        ("libnone.so", "no such file"),
        (other.to_str().expect("text"), "other.so"),
    ] {
        let (output, json) = check(
            "models/tiny_mlp.onnx",
            &[tiny.as_slice(), &[library]].concat(),
        );
        assert_eq!(output.status.code(), Some(2));
        let error = json["error"].as_str().expect("a message");
        assert!(
            error.contains(reason) && error.contains("name its shared library"),
            "{error}"
        );
    }
    if !has_oracle() {
        return;
    }
    let library = python(&["-c", LIBRARY]).expect("python runs").stdout;
    let library = String::from_utf8(library).expect("a path");
    let arguments = [tiny.as_slice(), &[library.trim()]].concat();
    let (output, json) = check("models/tiny_mlp.onnx", &arguments);
    assert!(output.status.success(), "{json}");
    let difference = &json["oracle"][0];
    assert_eq!(difference["output"], json["outputs"][0]["name"]);
    assert_eq!(difference["unequal_integers"], 0);
    assert!(
        difference["float_max_rel"].as_f64().expect("a number") < 1e-4,
        "{json}"
    );
    assert!(
        difference["proved_max_rel"].as_f64().expect("a number") < 0.01,
        "{json}"
    );
    let strict = [arguments.as_slice(), &["--tolerance", "1e-9"]].concat();
    assert_eq!(
        check("models/tiny_mlp.onnx", &strict).0.status.code(),
        Some(1)
    );
}

#[test]
fn random_graphs_are_what_onnxruntime_computes() {
    if !has_oracle() {
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
