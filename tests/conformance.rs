//! A sample of ONNX's own node tests, one an operator, through integer inference, proof and verification; and `SUPPORTED_OPS.md`, which is
//! made of the operators' table and of what the sample measures.
//!
//! `ZKILN_BLESS=1 cargo test --release --test conformance` writes `SUPPORTED_OPS.md`. All of the node tests, about 1,150:
//! `tests/conformance/onnx_node_tests.py`.

mod command;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use command::Folder;
use serde_json::Value;
use zkiln_compiler::onnx::supported::{self, Operator};

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What `zkiln conformance` says of a folder of cases.
fn report(folder: &str) -> Value {
    command::zkiln(&["conformance", folder, "--prove", "--json"]).json()
}

#[test]
fn the_sample_is_right_or_refused_and_operators_are_listed() {
    let report = report("tests/conformance/cases");
    let results = report["results"].as_array().expect("results");
    let wrong: Vec<&Value> = results
        .iter()
        .filter(|case| case["verdict"] == "wrong")
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let known = supported::operators();
    let mut faults = Vec::new();
    let mut examples: BTreeMap<&str, &Value> = BTreeMap::new();
    for case in results {
        let listed = |operator: &str| known.iter().any(|o| o.name == operator);
        let operators = case["operators"].as_array().expect("types");
        let operators: Vec<&str> = operators.iter().filter_map(Value::as_str).collect();
        if case["verdict"] == "right" {
            let unlisted = operators.iter().filter(|operator| !listed(operator));
            faults.extend(unlisted.map(|o| format!("{o} is right and not listed")));
            if let [operator] = operators[..] {
                examples.insert(operator, case);
            }
        } else if let [operator] = operators[..] {
            let reason = case["reason"].as_str().unwrap_or_default();
            let found = known.iter().find(|o| o.name == operator);
            if found.is_some_and(|o| o.restrictions.is_empty()) {
                faults.push(format!(
                    "{operator} has no restrictions and is refused: {reason}"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let text = listing(&known, &examples);
    let file = path("SUPPORTED_OPS.md");
    if std::env::var_os("ZKILN_BLESS").is_some() {
        fs::write(&file, &text).expect("writes");
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    assert!(known == text, "SUPPORTED_OPS.md is out of date: bless it");
}

#[test]
fn what_scikit_learn_and_others_export_is_right() {
    let report = report("tests/conformance/ml");
    assert_eq!(report["right"], report["cases"], "{report:#}");
}

#[test]
fn what_onnxruntime_fuses_is_right() {
    let report = report("tests/conformance/microsoft");
    assert_eq!(report["right"], report["cases"], "{report:#}");
}

#[test]
fn columns_and_channels_of_any_magnitude_are_right() {
    let report = report("tests/conformance/scales");
    assert_eq!(report["right"], report["cases"], "{report:#}");
}

/// A folder of one case, with samples that are not its tests.
fn case(tests: &[Value], expected: &[Value]) -> Folder {
    let folder = Folder::new();
    let case = folder.0.path().join("case");
    fs::create_dir(&case).expect("a folder");
    fs::copy(path(command::MODEL), case.join("model.onnx")).expect("the model");
    fs::copy(path(command::SAMPLES), case.join("samples.jsonl")).expect("samples");
    let lines = |values: &[Value]| {
        values
            .iter()
            .map(|value| format!("{value}\n"))
            .collect::<String>()
    };
    fs::write(case.join("tests.jsonl"), lines(tests)).expect("tests");
    fs::write(case.join("tests.expected.jsonl"), lines(expected)).expect("expected");
    folder
}

#[test]
fn a_case_has_samples_and_several_inputs() {
    let input = command::read_json(path(command::INPUT));
    let expected = command::read_json(path(command::EXPECTED));
    let far = |value: &Value| {
        let mut value = value.clone();
        let side = if value["inputs"].is_array() {
            "inputs"
        } else {
            "outputs"
        };
        value[side][0]["data"][0] = 1e6.into();
        value
    };
    let verdict = |tests: &[Value], expected: &[Value], code: i32| {
        let folder = case(tests, expected);
        let answer = command::zkiln(&[
            "conformance",
            &folder.0.path().display().to_string(),
            "--json",
        ]);
        assert_eq!(answer.code, code, "{}", answer.err);
        answer.json()["results"][0]["verdict"].clone()
    };
    let twice = |a: &Value, b: &Value| [a.clone(), b.clone()];
    let right = twice(&expected, &expected);
    assert_eq!(verdict(&twice(&input, &input), &right, 0), "right");
    assert_eq!(verdict(&twice(&input, &far(&input)), &right, 0), "refused");
    let other = twice(&expected, &far(&expected));
    assert_eq!(verdict(&twice(&input, &input), &other, 1), "wrong");
    assert_eq!(verdict(&twice(&far(&input), &input), &other, 1), "wrong");
    assert_eq!(verdict(std::slice::from_ref(&input), &right, 1), "wrong");
}

fn listing(operators: &[Operator], examples: &BTreeMap<&str, &Value>) -> String {
    let mut text = String::from(
        "# Supported operators\n\n\
         Made by `ZKILN_BLESS=1 cargo test --release --test conformance`. Shapes are static; constants are what the model holds, or what follows from it.\n\
         *Proved by* and *lookups* are those of the operator's smallest ONNX node test: lookups an element of the output, input range checks included;\n\
         nothing means that the operator is linear or moves data, and is part of what reads it. Operators without example were not among those tests.\n\
         Whatever is not listed is refused by name when the model is compiled.\n\n\
         | operator | since opset | restrictions | proved by | lookups |\n|---|---|---|---|---|\n",
    );
    for Operator {
        name,
        domain,
        since,
        restrictions,
        ..
    } in operators
    {
        let shown = match *domain {
            "" => format!("`{name}`"),
            domain => format!("`{domain}.{name}`"),
        };
        // Examples are of ONNX's own operators, which come before others of the same name.
        let first = operators.iter().find(|operator| operator.name == *name);
        let own = first.is_some_and(|operator| operator.domain == *domain);
        let example = examples.get(name).filter(|_| own);
        let proved = example.map(|case| &case["proved_by"]);
        let relations = proved.and_then(|p| p["relations"].as_array()).map(|list| {
            let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            if names.is_empty() {
                "nothing".to_string()
            } else {
                names.join(", ")
            }
        });
        let lookups = proved.and_then(|p| p["lookups_per_element"].as_f64());
        let lookups = lookups.map_or(String::new(), |n| format!("{n:.1}"));
        let relations = relations.unwrap_or_default();
        text += &format!("| {shown} | {since} | {restrictions} | {relations} | {lookups} |\n");
    }
    text
}
