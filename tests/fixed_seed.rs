//! Proofs of `models/` under fixed randomness, as digests: a change of form must not change one byte of them.
//!
//! A line of `fixed_seed.golden` is a model, the digest of its statement without names, the digest of its verifier key, and the digest of a
//! proof. Names are hashed into the key: a commit that only renames leaves the second column as it was. Bless a meant change with
//! `ZKILN_BLESS=1 cargo test --release --test fixed_seed`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zkiln_compiler::Compiled;
use zkiln_compiler::compile::Request;
use zkiln_compiler::{PortInfo, Visibility};
use zkiln_runtime::key::{ProverKey, VerifierKey};
use zkiln_runtime::protocol::{Blinding, ProveOptions, prove_with};
use zkiln_runtime::randomness::Randomness;
use zkiln_runtime::weights::digest;

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Calibrated on its samples, or with its settings where it has some.
fn compiled(model: &str, visibility: &[(&str, Visibility)]) -> Compiled {
    let mut request = Request::new(package(&format!("models/{model}.onnx")));
    let settings = package(&format!("models/{model}.settings.json"));
    match settings.exists() {
        true => request.settings = Some(settings),
        false => request.samples = vec![package(&format!("models/{model}.samples.jsonl"))],
    }
    let seen = visibility.iter().map(|(name, v)| (name.to_string(), *v));
    request.options.visibility = seen.collect();
    request.compile().expect("compiles")
}

/// The model's own example, as integers of its ports.
fn inputs(model: &str, ports: &[PortInfo]) -> Vec<Vec<i64>> {
    let text = std::fs::read(package(&format!("models/{model}.input.json"))).expect("an input");
    let json: Value = serde_json::from_slice(&text).expect("JSON");
    let tensors = json["inputs"].as_array().expect("a list");
    let integers = |(port, tensor): (&PortInfo, &Value)| {
        assert_eq!(tensor["name"], port.name.as_str());
        let data = tensor["data"].as_array().expect("a list").iter();
        let data: Vec<f64> = data.map(|x| x.as_f64().expect("a number")).collect();
        port.to_integers(&data).expect("in range")
    };
    ports.iter().zip(tensors).map(integers).collect()
}

/// Digest of a statement in which nothing has a name.
fn nameless(compiled: &Compiled) -> String {
    fn blank(value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(blank),
            Value::Object(fields) => {
                for (field, value) in fields {
                    match value {
                        Value::String(name) if field == "name" => name.clear(),
                        value => blank(value),
                    }
                }
            }
            _ => {}
        }
    }
    let mut model = serde_json::to_value(&compiled.lowered.model).expect("serializes");
    blank(&mut model);
    hex(&digest(model.to_string().as_bytes()))
}

/// The line of a model.
fn line(model: &str, visibility: &[(&str, Visibility)]) -> String {
    let compiled = compiled(model, visibility);
    let inputs = inputs(model, &compiled.lowered.inputs);
    let statement = nameless(&compiled);
    let verifier = VerifierKey::from_bytes(&compiled.key).expect("a key");
    let key = ProverKey::from_parts(verifier, compiled.lowered.constants, compiled.blinding)
        .expect("constants fit");
    let names: Vec<String> = key
        .verifier_key()
        .model()
        .ports()
        .map(|p| p.name.to_string())
        .collect();
    let chosen: Vec<(&str, Blinding)> = names
        .iter()
        .map(|name| (name.as_str(), Blinding::from_bytes([7; 32])))
        .filter(|_| visibility.iter().any(|(_, v)| *v == Visibility::Committed))
        .collect();
    let randomness = Randomness::from_seed("zkiln proof", [42; 32]);
    let options = ProveOptions {
        blindings: &chosen,
        ..ProveOptions::default()
    };
    let proven = prove_with(&key, &inputs, &options, randomness).expect("proves");
    let key = hex(&key.verifier_key().digest());
    let proof = hex(&digest(proven.proof.as_bytes()));
    let shown = visibility
        .iter()
        .map(|(name, v)| format!(" {name}={v:?}").to_lowercase());
    format!(
        "{model}{} {statement} {key} {proof}\n",
        shown.collect::<String>()
    )
}

#[test]
fn proofs_are_byte_for_byte_what_they_were() {
    use Visibility::{Committed, Public};
    let lines = [
        line("tiny_mlp", &[]),
        line("tiny_mlp", &[("inputs", Public), ("weights", Public)]),
        line("tiny_mlp", &[("inputs", Committed), ("outputs", Committed)]),
        line("tiny_score", &[]),
        line("mnist_cnn", &[]),
        line("digits_mlp", &[]),
        line("digits_cnn", &[]),
        line("char_gpt", &[]),
        line("nanoGPT", &[]),
    ];
    let path = package("tests/fixed_seed.golden");
    if std::env::var_os("ZKILN_BLESS").is_some() {
        std::fs::write(&path, lines.concat()).expect("the folder can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    let golden: Vec<&str> = golden.lines().collect();
    let got: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    assert_eq!(got, golden);
}
