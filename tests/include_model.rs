//! Models of ours through `include_model!`: typed, run, proved, verified; and the same in process.

use std::path::{Path, PathBuf};

use zkiln::{Blinding, Context, Proof, ProveOptions, Tensor, VerifyError, to_flat};
use zkiln_compiler::Compiled;
use zkiln_compiler::compile::Request;
use zkiln_runtime::key::{ProverKey, VerifierKey};
use zkiln_runtime::protocol;

zkiln::include_model!(
    "models/tiny_mlp.onnx",
    samples = "models/tiny_mlp.samples.jsonl"
);
zkiln::include_model!(
    "models/nanoGPT.onnx",
    samples = ["models/nanoGPT.samples.jsonl"]
);
zkiln::include_model!(
    "models/tiny_mlp.onnx",
    name = "narrow",
    activation_bits = 8,
    weight_bits = 8
);

zkiln::include_model!(
    "models/tiny_mlp.onnx",
    name = "shy",
    samples = "models/tiny_mlp.samples.jsonl",
    visibility = { inputs = committed, output = committed },
);
zkiln::include_model!(
    "models/tiny_mlp.onnx",
    name = "open",
    samples = "models/tiny_mlp.samples.jsonl",
    visibility = { inputs = public, weights = public },
);

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The first tensor of a JSON file.
fn tensor<T: Tensor>(
    path: &str,
    side: &str,
    element: impl Fn(&serde_json::Value) -> T::Scalar,
) -> T {
    let text = std::fs::read(package(path)).expect("the file is there");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let data = json[side][0]["data"].as_array().expect("a list");
    let data: Vec<T::Scalar> = data.iter().map(element).collect();
    zkiln::from_flat(&data).expect("the tensor has the shape of the module's type")
}

fn real(value: &serde_json::Value) -> f32 {
    value.as_f64().expect("a number") as f32
}

fn mlp_input() -> tiny_mlp::Input {
    tiny_mlp::Input {
        input: tensor("models/tiny_mlp.input.json", "inputs", real),
    }
}

fn gpt_input() -> nano_gpt::Input {
    nano_gpt::Input {
        input: tensor("models/nanoGPT.input.json", "inputs", |value| {
            value.as_i64().expect("a token")
        }),
    }
}

/// The largest difference, as a share of the expected range.
fn error<T: Tensor<Scalar = f32>>(got: &T, expected: &T) -> f32 {
    let (got, expected) = (to_flat(got), to_flat(expected));
    let differences = got.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    let largest = expected.iter().copied().fold(f32::MIN, f32::max);
    let least = expected.iter().copied().fold(f32::MAX, f32::min);
    differences.fold(0.0, f32::max) / (largest - least)
}

fn compiled(model: &str, samples: &str) -> Compiled {
    let request = Request {
        samples: vec![package(samples)],
        ..Request::new(package(model))
    };
    request.compile().expect("compiles")
}

#[test]
fn an_mlp_is_proved() {
    let proven = tiny_mlp::prove(&mlp_input()).expect("proves");
    assert_eq!(proven.proof.as_bytes().len(), tiny_mlp::PROOF_BYTES);
    assert_eq!(tiny_mlp::verify(&proven.statement, &proven.proof), Ok(()));
    assert_eq!(tiny_mlp::run(&mlp_input()).expect("runs"), proven.output);
    let expected = tensor("models/tiny_mlp.expected.json", "outputs", real);
    assert!(error(&proven.output.output, &expected) < 0.02);
}

#[test]
fn a_transformer_is_proved() {
    let proven = nano_gpt::prove(&gpt_input()).expect("proves");
    assert_eq!(nano_gpt::verify(&proven.statement, &proven.proof), Ok(()));
    let expected = tensor("models/nanoGPT.expected.json", "outputs", real);
    assert!(error(&proven.output.output, &expected) < 0.05);
}

#[test]
fn a_proof_is_of_one_statement_and_one_model() {
    let mut input = mlp_input();
    let proven = tiny_mlp::prove(&input).expect("proves");
    input.input[0][0] += 0.5;
    let other = tiny_mlp::prove(&input).expect("proves");
    assert!(tiny_mlp::verify(&other.statement, &proven.proof).is_err());
    let statement = narrow::Statement::from_bytes(&proven.statement.to_bytes());
    assert!(
        statement.is_err() || narrow::verify(&statement.expect("checked"), &proven.proof).is_err()
    );
    assert!(matches!(
        tiny_mlp::verify(&proven.statement, &Proof::from_bytes([])),
        Err(VerifyError::Length { .. })
    ));
    assert_ne!(tiny_mlp::MODEL_DIGEST, narrow::MODEL_DIGEST);
}

#[test]
fn a_proof_is_made_in_a_context() {
    let nonce = Context::new(b"nonce 17").expect("short enough");
    let options = ProveOptions {
        context: nonce,
        ..ProveOptions::default()
    };
    let proven = tiny_mlp::prove_with(&mlp_input(), &options).expect("proves");
    assert_eq!(proven.statement.context(), nonce);
    assert_eq!(tiny_mlp::verify(&proven.statement, &proven.proof), Ok(()));
    let elsewhere = tiny_mlp::prove(&mlp_input()).expect("proves");
    assert_eq!(elsewhere.statement.context(), Context::default());
    assert!(tiny_mlp::verify(&elsewhere.statement, &proven.proof).is_err());
    assert!(tiny_mlp::verify(&proven.statement, &elsewhere.proof).is_err());
}

#[test]
fn generated_code_and_the_process_agree() {
    let compiled = compiled("models/tiny_mlp.onnx", "models/tiny_mlp.samples.jsonl");
    assert_eq!(compiled.digest, tiny_mlp::MODEL_DIGEST);
    assert_eq!(compiled.key, tiny_mlp::verifier_key().expect("a key"));
    let proven = tiny_mlp::prove(&mlp_input()).expect("proves");
    let reals: Vec<f64> = to_flat(&mlp_input().input)
        .iter()
        .map(|&value| value.into())
        .collect();
    let inputs = compiled.lowered.inputs[0]
        .to_integers(&reals)
        .expect("in range");
    let verifier = VerifierKey::from_bytes(&compiled.key).expect("a key");
    let key = ProverKey::from_parts(verifier, compiled.lowered.constants, compiled.blinding);
    let ours = protocol::prove(&key.expect("a key"), &[inputs]).expect("proves");
    assert_eq!(ours.statement.to_bytes(), proven.statement.to_bytes());
    assert_ne!(ours.proof, proven.proof);
    assert_eq!(tiny_mlp::verify(&proven.statement, &ours.proof), Ok(()));
}

#[test]
fn ports_are_seen_as_was_asked_for() {
    let blinding = Blinding::random();
    let chosen = [("input", blinding.clone())];
    let options = ProveOptions {
        blindings: &chosen,
        ..ProveOptions::default()
    };
    let input = mlp_input();
    let proven = shy::prove_with(&shy::Input { input: input.input }, &options).expect("proves");
    assert_eq!(shy::verify(&proven.statement, &proven.proof), Ok(()));
    let names: Vec<&str> = proven.openings.iter().map(|o| o.port.as_str()).collect();
    assert_eq!(names, ["input", "output"]);
    let shown = proven.statement.commitments();
    let commitments = [shown.input, shown.output].map(|commitment| commitment.expect("committed"));
    for ((opening, commitment), len) in proven.openings.iter().zip(commitments).zip([4, 3]) {
        assert!(commitment.opens_to(&[len], &opening.integers, &opening.seed));
    }
    assert_ne!(proven.openings[0].seed.to_bytes(), blinding.to_bytes());
    let open = open::prove(&open::Input { input: input.input }).expect("proves");
    assert_eq!(open.statement.input().input, tiny_mlp_rounded(&input.input));
    assert_eq!(open::verify(&open.statement, &open.proof), Ok(()));
}

/// Inputs are shown as the integers that were proved.
fn tiny_mlp_rounded(input: &[[f32; 4]; 1]) -> [[f32; 4]; 1] {
    let step = compiled("models/tiny_mlp.onnx", "models/tiny_mlp.samples.jsonl")
        .lowered
        .inputs[0]
        .scale
        .coarsest();
    input.map(|row| row.map(|x| ((f64::from(x) / step).round() * step) as f32))
}
