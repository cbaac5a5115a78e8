//! Trained models of ours: what quantization costs them, on their whole test sets, and proofs of a few.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zkiln_compiler::Sample;
use zkiln_compiler::accuracy::Report;
use zkiln_compiler::compile::Request;
use zkiln_compiler::tensors::LabelledSample;

zkiln::include_model!(
    "models/digits_mlp.onnx",
    settings = "models/digits_mlp.settings.json"
);
zkiln::include_model!(
    "models/digits_cnn.onnx",
    settings = "models/digits_cnn.settings.json"
);
zkiln::include_model!(
    "models/char_gpt.onnx",
    settings = "models/char_gpt.settings.json"
);

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(package(path)).expect("the file is there")
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    match value {
        Value::Array(list) => list.iter().flat_map(indices).collect(),
        one => vec![one.as_u64().expect("an index") as usize],
    }
}

/// The test set with its own labels, or with the float model's predictions in their place.
fn samples(path: &str, predictions: Option<&[usize]>) -> Vec<LabelledSample> {
    let text = text(path);
    let lines = text.lines().map(json).enumerate();
    let labelled = lines.map(|(number, line)| {
        let input = &line["inputs"][0];
        let label = indices(&line["label"]);
        let rows = number * label.len()..(number + 1) * label.len();
        LabelledSample {
            inputs: vec![Sample {
                shape: indices(&input["shape"]),
                data: numbers(&input["data"]),
            }],
            label: Some(predictions.map_or(label, |all| all[rows].to_vec())),
        }
    });
    labelled.collect()
}

fn measured(model: &str, samples: &[LabelledSample]) -> Report {
    let request = Request {
        settings: Some(package(&format!("models/{model}.settings.json"))),
        ..Request::new(package(&format!("models/{model}.onnx")))
    };
    let source = request.read().expect("can be read");
    source.measure(samples, &|_| ()).expect("measured")
}

/// Integer inference of the whole test set: accuracy, and agreement with onnxruntime's predictions.
fn check(model: &str, test: &str, agreement: f64) {
    let known = json(&text(&format!("models/{model}.test.json")));
    let report = measured(model, &samples(test, None));
    let accuracy = report.accuracy.expect("labels");
    assert_eq!(report.refused, 0, "{model}");
    let stated = known["accuracy"].as_f64().expect("a number");
    assert!(
        (accuracy.float - stated).abs() < 1e-9,
        "{model}: {accuracy:?}"
    );
    assert!(
        accuracy.integer >= accuracy.float - 0.002,
        "{model}: {accuracy:?}"
    );
    let agreed = report.outputs[0].figures.argmax_agreement;
    assert!(agreed >= Some(agreement), "{model}: {agreed:?}");
    let top1 = indices(&known["top1"]);
    let predicted = measured(model, &samples(test, Some(&top1))).accuracy;
    let predicted = predicted.expect("predictions");
    assert_eq!(predicted.float, 1.0, "{model}: tract is onnxruntime");
    assert!(predicted.integer >= agreement, "{model}: {predicted:?}");
}

#[test]
fn digits_by_a_perceptron() {
    check("digits_mlp", "models/digits.test.jsonl", 0.998);
}

#[test]
fn digits_by_convolutions() {
    check("digits_cnn", "models/digits.test.jsonl", 0.998);
}

#[test]
fn characters_by_a_transformer() {
    check("char_gpt", "models/char_gpt.test.jsonl", 0.99);
}

#[test]
fn some_of_the_test_sets_are_proved() {
    let digits = samples("models/digits.test.jsonl", None);
    for sample in &digits[..3] {
        let pixels: Vec<f32> = sample.inputs[0].data.iter().map(|&x| x as f32).collect();
        let input = zkiln::from_flat(&pixels).expect("64 pixels");
        let proven = digits_mlp::prove(&digits_mlp::Input { input }).expect("proves");
        assert_eq!(digits_mlp::verify(&proven.statement, &proven.proof), Ok(()));
        let input = zkiln::from_flat(&pixels).expect("64 pixels");
        let proven = digits_cnn::prove(&digits_cnn::Input { input }).expect("proves");
        assert_eq!(digits_cnn::verify(&proven.statement, &proven.proof), Ok(()));
    }
    let windows = samples("models/char_gpt.test.jsonl", None);
    let tokens: Vec<i64> = windows[0].inputs[0]
        .data
        .iter()
        .map(|&x| x as i64)
        .collect();
    let input = zkiln::from_flat(&tokens).expect("32 characters");
    let proven = char_gpt::prove(&char_gpt::Input { input }).expect("proves");
    assert_eq!(char_gpt::verify(&proven.statement, &proven.proof), Ok(()));
}
