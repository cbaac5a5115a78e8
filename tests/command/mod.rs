//! Running the command line in a test.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

pub const MODEL: &str = "models/tiny_mlp.onnx";
pub const INPUT: &str = "models/tiny_mlp.input.json";
pub const EXPECTED: &str = "models/tiny_mlp.expected.json";
pub const SAMPLES: &str = "models/tiny_mlp.samples.jsonl";

/// What the process said.
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }

    /// Exit code 2, and all these words in the message.
    #[track_caller]
    pub fn refuses(&self, words: &[&str]) {
        assert_eq!(self.code, 2, "{}{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "no `{word}` in: {}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }

    #[track_caller]
    pub fn fine(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }
}

pub fn zkiln<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_zkiln"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with files of a test's own.
pub struct Folder(pub TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

pub fn model_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// `prove` into a folder; the files are `p.bin`, `public.json`, `model.vk`.
pub fn prove(folder: &Folder, model: &str, input: &str, options: &[&str]) -> Answer {
    let files = ["p.bin", "public.json", "model.vk"].map(|name| folder.path(name));
    let [proof, public, key] = &files;
    let mut arguments = vec!["prove", model, "--input", input];
    arguments.extend(["--proof", proof, "--public", public, "--key", key]);
    arguments.extend(options);
    zkiln(&arguments)
}

pub fn verify(key: &str, proof: &str, public: &str) -> Answer {
    zkiln(&["verify", "--key", key, "--proof", proof, "--public", public])
}

pub fn increment(integer: &mut Value) {
    *integer = json!(integer.as_i64().unwrap() + 1);
}
