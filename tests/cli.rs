//! The command line as its users meet it: exit codes, messages, files.

use std::collections::BTreeSet;
use std::path::Path;

mod command;

use command::*;
use serde_json::{Value, json};
use zkiln_runtime::commitment::GROUP;

/// `check` with an input of this content.
fn check_input(name: &str, content: impl AsRef<[u8]>) -> Answer {
    let folder = Folder::new();
    let input = folder.file(name, content);
    zkiln(&["check", MODEL, "--input", &input])
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap();
    list.iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn wrong_command_lines_are_refused() {
    zkiln::<&str>(&[]).refuses(&["Usage: zkiln"]);
    zkiln(&["prove"]).refuses(&["--proof"]);
    zkiln(&["check", MODEL, "--dim", "batch"]).refuses(&["NAME=N"]);
    zkiln(&["check", MODEL, "--runs", "0"]).refuses(&["--runs"]);
    zkiln(&["check", MODEL, "--weight-bits", "70"]).refuses(&["--weight-bits"]);
}

#[test]
fn every_command_has_help_with_examples() {
    for command in ["check", "run", "compile", "inspect", "prove", "verify"] {
        let answer = zkiln(&[command, "--help"]).fine();
        assert!(answer.out.contains("Example"), "{command}");
        assert!(answer.out.contains("--json"), "{command}");
    }
}

#[test]
fn missing_files_are_refused() {
    zkiln(&["check", "no.onnx"]).refuses(&["no.onnx"]);
    zkiln(&["check", MODEL, "--input", "no.json"]).refuses(&["no.json", "cannot read"]);
    zkiln(&["check", MODEL, "--samples", "no.jsonl"]).refuses(&["no.jsonl"]);
    zkiln(&["check", MODEL, "--expect", "no.json"]).refuses(&["no.json"]);
    zkiln(&["verify", "--key", "no.vk", "--proof", "p", "--public", "q"]).refuses(&["no.vk"]);
}

#[test]
fn files_that_are_no_models_are_refused() {
    let folder = Folder::new();
    let text = folder.file("text.onnx", "this is no model");
    zkiln(&["check", &text]).refuses(&["text.onnx"]);
    let empty = folder.file("empty.onnx", "");
    zkiln(&["inspect", &empty]).refuses(&["empty.onnx"]);
    let mut bytes = std::fs::read(model_file(MODEL)).unwrap();
    bytes.truncate(bytes.len() / 2);
    let half = folder.file("half.onnx", bytes);
    zkiln(&["check", &half]).refuses(&["half.onnx"]);
}

#[test]
fn bad_inputs_are_refused_by_name() {
    check_input("in.json", "{\"inputs\":").refuses(&["in.json", "not a JSON file of tensors"]);
    check_input("in.json", "{}").refuses(&["in.json", "`inputs` or `input_data`"]);
    check_input("in.json", r#"{"input_data":[[1,2,3]]}"#).refuses(&[
        "in.json",
        "`input`",
        "expected 4 elements",
        "got 3",
    ]);
    let tensor = |name: &str, shape: Value, data: Value| {
        json!({"inputs": [{"name": name, "dtype": "float32", "shape": shape, "data": data}]})
            .to_string()
    };
    check_input("in.json", tensor("x", json!([1, 4]), json!([0, 0, 0, 0])))
        .refuses(&["in.json", "expected the tensors `input`, got `x`"]);
    check_input("in.json", tensor("input", json!([4]), json!([0, 0, 0, 0])))
        .refuses(&["`input`", "expected shape [1, 4], got shape [4]"]);
    check_input(
        "in.json",
        tensor("input", json!([1, 4]), json!([0, "NaN", 0, 0])),
    )
    .refuses(&["`input`", "finite", "NaN at element 1"]);
    check_input("in.npy", "not an array").refuses(&["in.npy", "not a NumPy array"]);
    check_input("in.npz", "not an archive").refuses(&["in.npz"]);
}

#[test]
fn bad_samples_are_refused_by_line() {
    let folder = Folder::new();
    let good = std::fs::read_to_string(model_file(SAMPLES)).unwrap();
    let bad = folder.file("s.jsonl", format!("{good}{{\"input_data\":[[1]]}}\n"));
    zkiln(&["check", MODEL, "--samples", &bad]).refuses(&["s.jsonl:5", "expected 4 elements"]);
    let empty = folder.file("e.jsonl", "\n");
    zkiln(&["check", MODEL, "--samples", &empty]).refuses(&["e.jsonl", "at least one sample"]);
}

#[test]
fn refusals_are_json_on_demand() {
    let answer = zkiln(&["check", MODEL, "--input", "no.json", "--json"]);
    answer.refuses(&["no.json"]);
    let json = answer.json();
    assert_eq!(json["exit_code"], 2);
    assert!(json["error"].as_str().unwrap().contains("no.json"));
}

#[test]
fn check_reports_everything() {
    let answer = zkiln(&[
        "check",
        MODEL,
        "--samples",
        SAMPLES,
        "--input",
        INPUT,
        "--expect",
        EXPECTED,
        "--runs",
        "2",
        "--json",
    ])
    .fine();
    let json = answer.json();
    let keys: BTreeSet<&str> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "model",
        "nodes",
        "params",
        "boundaries",
        "lookups",
        "outputs",
        "max_abs_error",
        "max_rel_error",
        "fidelity",
        "unequal_integers",
        "float_rel_error",
        "ranges",
        "argmax_agreement",
        "compile_ms",
        "witness_ms",
        "prove_ms",
        "verify_ms",
        "proof_bytes",
        "verifier_key_bytes",
        "peak_rss_bytes",
        "security",
        "verified",
    ];
    assert_eq!(keys, BTreeSet::from(expected));
    assert_eq!(json["verified"], true);
    assert_eq!(json["params"], 139);
    assert_eq!(json["argmax_agreement"], 1.0);
    assert!(json["max_rel_error"].as_f64().unwrap() < 0.01);
    assert!(json["float_rel_error"].as_f64().unwrap() < 0.01);
    assert_eq!(json["ranges"], "samples");
    for share in ["samples", "quiet"] {
        let error = json["fidelity"][share].as_f64().unwrap();
        assert!(error > 0.0 && error < 0.01, "{share}: {error}");
    }
    assert_security(&json["security"]);
    assert!(json["prove_ms"].as_f64().unwrap() >= json["witness_ms"].as_f64().unwrap());
    assert!(json["witness_ms"].as_f64().unwrap() > 0.0);
    let output = &json["outputs"][0];
    let wanted = &read_json(model_file(EXPECTED))["outputs"][0];
    for key in ["name", "dtype", "shape"] {
        assert_eq!(output[key], wanted[key]);
    }
    for (got, expected) in numbers(&output["data"])
        .iter()
        .zip(numbers(&wanted["data"]))
    {
        assert!((got - expected).abs() < 0.02, "{got} {expected}");
    }
}

#[test]
fn check_tells_people() {
    let answer = zkiln(&["check", MODEL, "--samples", SAMPLES]).fine();
    for word in [
        "verified",
        "stage of proving",
        "witness",
        "commit",
        "lookups",
        "opening",
    ] {
        assert!(answer.out.contains(word), "no `{word}` in: {}", answer.out);
    }
    assert!(
        answer.err.is_empty(),
        "no progress in a pipe: {}",
        answer.err
    );
}

#[test]
fn check_fails_when_outputs_are_far() {
    let folder = Folder::new();
    let mut expected = read_json(model_file(EXPECTED));
    expected["outputs"][0]["data"] = json!([1, 2, 3]);
    let wrong = folder.file("wrong.json", expected.to_string());
    let answer = zkiln(&["check", MODEL, "--input", INPUT, "--expect", &wrong]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("comparison failed"), "{}", answer.err);
    expected["outputs"][0]["shape"] = json!([3]);
    let shape = folder.file("shape.json", expected.to_string());
    zkiln(&["check", MODEL, "--input", INPUT, "--expect", &shape]).refuses(&["[1, 3]", "[3]"]);
}

#[test]
fn formats_of_inputs_agree() {
    let data = numbers(&read_json(model_file(INPUT))["inputs"][0]["data"]);
    let folder = Folder::new();
    let ezkl = folder.file("in.json", json!({"input_data": [data]}).to_string());
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4), }\n";
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    npy.extend(data.iter().flat_map(|x| x.to_le_bytes()));
    let npy = folder.file("in.npy", npy);
    let outputs = |input: &str| {
        let answer = zkiln(&[
            "check",
            MODEL,
            "--samples",
            SAMPLES,
            "--input",
            input,
            "--json",
        ]);
        answer.fine().json()["outputs"].clone()
    };
    let expected = outputs(INPUT);
    assert_eq!(outputs(&ezkl), expected);
    assert_eq!(outputs(&npy), expected);
}

#[test]
fn proofs_verify_and_tampering_does_not() {
    let folder = Folder::new();
    prove(&folder, MODEL, INPUT, &["--samples", SAMPLES]).fine();
    let [proof, public, key] = ["p.bin", "public.json", "model.vk"].map(|name| folder.path(name));
    verify(&key, &proof, &public).fine();

    let good = read_json(&public);
    let edits: &[(&str, Edit)] = &[
        ("output", |p| increment(&mut p["outputs"][0]["integers"][1])),
        ("input", |p| {
            p["inputs"][0]["integers"] = json!([1, 2, 3, 4])
        }),
        ("visibility", |p| {
            p["outputs"][0]["visibility"] = json!("private")
        }),
        ("hidden", |p| {
            let output = p["outputs"][0].as_object_mut().unwrap();
            output.remove("integers");
            output.insert("visibility".into(), json!("private"));
        }),
        ("range", |p| {
            p["outputs"][0]["integers"][0] = json!(i64::MAX)
        }),
        ("length", |p| {
            p["outputs"][0]["integers"].as_array_mut().unwrap().clear()
        }),
        ("count", |p| p["inputs"] = json!([])),
        ("name", |p| p["outputs"][0]["name"] = json!("other")),
        ("shape", |p| p["outputs"][0]["shape"] = json!([2, 2])),
        ("model", |p| p["model_digest"] = json!("00".repeat(32))),
    ];
    for (name, edit) in edits {
        let mut public = good.clone();
        edit(&mut public);
        let public = folder.file("tampered.json", public.to_string());
        let answer = verify(&key, &proof, &public);
        assert_eq!(answer.code, 1, "{name}: {}", answer.err);
        assert!(answer.err.contains("rejected"), "{name}: {}", answer.err);
    }

    let bytes = std::fs::read(&proof).unwrap();
    for at in [0, bytes.len() / 3, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let tampered = folder.file("tampered.bin", bytes);
        assert_eq!(verify(&key, &tampered, &public).code, 1, "byte {at}");
    }
    for bytes in [&bytes[1..], &[], &[bytes.as_slice(), &[0]].concat()] {
        let tampered = folder.file("tampered.bin", bytes);
        assert_eq!(verify(&key, &tampered, &public).code, 1);
    }
}

#[test]
fn a_proof_is_for_one_context() {
    let folder = Folder::new();
    let context = "0011ff".repeat(10);
    let options = ["--samples", SAMPLES, "--context", &context];
    prove(&folder, MODEL, INPUT, &options).fine();
    let [proof, public, key] = ["p.bin", "public.json", "model.vk"].map(|name| folder.path(name));
    let verify_in = |public: &str, options: &[&str]| {
        let files = [
            "verify", "--key", &key, "--proof", &proof, "--public", public,
        ];
        zkiln(&[&files, options].concat())
    };
    verify_in(&public, &["--context", &context]).fine();
    for options in [&[][..], &["--context", "0011ff"], &["--context", "00"]] {
        let answer = verify_in(&public, options);
        assert_eq!(answer.code, 1, "{}", answer.err);
        assert!(answer.err.contains(&context), "{}", answer.err);
    }
    // The statement can name another context; the proof is not for it.
    for (other, options) in [
        (json!("0011ff"), &["--context", "0011ff"][..]),
        (json!(""), &[]),
    ] {
        let mut edited = read_json(&public);
        edited["context"] = other;
        let edited = folder.file("edited.json", edited.to_string());
        let answer = verify_in(&edited, options);
        assert_eq!(answer.code, 1, "{}", answer.err);
    }
    for odd in ["0", "xy", &"00".repeat(33)] {
        let refused = verify_in(&public, &["--context", odd]);
        refused.refuses(&["--context", "hexadecimal"]);
    }
}

/// A way to change a statement.
type Edit = fn(&mut Value);

#[test]
fn statements_and_keys_are_read_strictly() {
    let folder = Folder::new();
    prove(&folder, MODEL, INPUT, &[]).fine();
    let [proof, public, key] = ["p.bin", "public.json", "model.vk"].map(|name| folder.path(name));
    let good = read_json(&public);
    let edits: &[Edit] = &[
        |p| p["comment"] = json!("one key more"),
        |p| p["outputs"][0]["integers"][0] = json!(0.5),
        |p| p["outputs"][0]["integers"][0] = json!("1"),
        |p| p["inputs"][0]["shape"] = json!([-1]),
        |p| *p = json!([]),
    ];
    for edit in edits {
        let mut public = good.clone();
        edit(&mut public);
        let public = folder.file("strict.json", public.to_string());
        verify(&key, &proof, &public).refuses(&["strict.json", "not a public statement"]);
    }
    let bytes = std::fs::read(&key).unwrap();
    for bytes in [&bytes[1..], &bytes[..bytes.len() - 1], &[]] {
        let broken = folder.file("broken.vk", bytes);
        verify(&broken, &proof, &public).refuses(&["broken.vk", "malformed"]);
    }
}

#[test]
fn keys_of_other_models_reject() {
    let (ours, other) = (Folder::new(), Folder::new());
    prove(&ours, MODEL, INPUT, &[]).fine();
    prove(&other, MODEL, INPUT, &["--weight-bits", "8"]).fine();
    let answer = verify(
        &other.path("model.vk"),
        &ours.path("p.bin"),
        &ours.path("public.json"),
    );
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("model"), "{}", answer.err);
}

#[test]
fn proving_out_of_range_is_refused_in_reals() {
    let folder = Folder::new();
    let input = folder.file("far.json", r#"{"input_data":[[1e6,-1e6,1e6,-1e6]]}"#);
    prove(&folder, MODEL, &input, &["--samples", SAMPLES]).refuses(&[
        "calibrated range -4..=3.9990234375",
        "input `input`, element 0",
    ]);
    assert!(!Path::new(&folder.path("p.bin")).exists());
}

#[test]
fn run_gives_what_would_be_proved() {
    let folder = Folder::new();
    let out = folder.path("out.jsonl");
    let options = ["--samples", SAMPLES];
    let run = ["run", MODEL, "--inputs", SAMPLES, "--out", &out];
    zkiln(&[run.as_slice(), &options].concat()).fine();
    let outputs = std::fs::read_to_string(&out).unwrap();
    let samples = std::fs::read_to_string(model_file(SAMPLES)).unwrap();
    assert_eq!(outputs.lines().count(), samples.lines().count());
    for (sample, output) in samples.lines().zip(outputs.lines()) {
        let input = folder.file("in.json", sample);
        prove(&folder, MODEL, &input, &options).fine();
        let public = read_json(folder.path("public.json"));
        let output: Value = serde_json::from_str(output).unwrap();
        let data = |json: &Value| -> Vec<f32> {
            let data = json["outputs"][0]["data"].as_array().unwrap();
            data.iter().map(|x| x.as_f64().unwrap() as f32).collect()
        };
        assert_eq!(data(&output), data(&public));
    }
}

#[test]
fn run_names_the_line_that_does_not_fit() {
    let folder = Folder::new();
    let good = std::fs::read_to_string(model_file(SAMPLES)).unwrap();
    let inputs = folder.file("many.jsonl", format!("{good}\nnonsense\n"));
    let out = folder.path("out.jsonl");
    zkiln(&["run", MODEL, "--inputs", &inputs, "--out", &out]).refuses(&["many.jsonl:6"]);
}

#[test]
fn run_goes_on_after_an_input_that_is_refused() {
    let folder = Folder::new();
    let samples = std::fs::read_to_string(model_file(SAMPLES)).unwrap();
    let good = samples.lines().next().unwrap();
    let mut far: Value = serde_json::from_str(good).unwrap();
    far["inputs"][0]["data"][0] = json!(1e6);
    let inputs = folder.file("many.jsonl", format!("{good}\n{far}\n{good}\n"));
    let out = folder.path("out.jsonl");
    let answer = zkiln(&["run", MODEL, "--inputs", &inputs, "--out", &out, "--json"]);
    answer.refuses(&["1 of 3 inputs", "many.jsonl:2", "outside"]);
    assert_eq!(answer.json()["refused"], 1);
    let lines = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines[1]["error"].as_str().unwrap().contains("outside"));
    assert!(lines[0]["outputs"].is_array() && lines[0] == lines[2]);
}

#[test]
fn inspect_shows_nodes_and_security() {
    let answer = zkiln(&["inspect", MODEL]).fine();
    for word in [
        "relation",
        "lookups",
        "discrete logarithm",
        GROUP,
        "2017/334",
    ] {
        assert!(answer.out.contains(word), "no `{word}` in: {}", answer.out);
    }
    let json = zkiln(&["inspect", MODEL, "--json"]).fine().json();
    assert!(!json["report"].as_array().unwrap().is_empty());
    assert_security(&json["security"]);
}

/// Each figure is of something that is named, and an attack has a source.
fn assert_security(security: &Value) {
    let statistical = security["statistical_bits"].as_u64().unwrap();
    let bits = |attack: &str| security[attack]["bits"].as_u64().unwrap();
    let [generic, best] = ["generic_attack", "best_attack"].map(bits);
    assert!(best <= generic && 100 <= generic && generic < statistical);
    for attack in ["generic_attack", "best_attack"] {
        assert!(!security[attack]["source"].as_str().unwrap().is_empty());
    }
}

#[test]
fn compile_writes_module_weights_and_key() {
    let folder = Folder::new();
    let out = folder.path("generated");
    zkiln(&["compile", MODEL, "--out", &out]).fine();
    for name in ["tiny_mlp.rs", "tiny_mlp.weights", "tiny_mlp.vk"] {
        let file = Path::new(&out).join(name);
        assert!(
            std::fs::metadata(&file).is_ok_and(|f| f.len() > 0),
            "{name}"
        );
    }
    let module = std::fs::read_to_string(Path::new(&out).join("tiny_mlp.rs")).unwrap();
    assert!(module.contains("@generated"));
}

#[test]
fn guessed_ranges_are_called_so() {
    let folder = Folder::new();
    let files = ["out.jsonl", "p.bin", "public.json", "compiled"].map(|name| folder.path(name));
    let [out, proof, public, compiled] = &files;
    let commands: [&[&str]; 6] = [
        &["check", MODEL, "--json"],
        &["inspect", MODEL, "--json"],
        &["compile", MODEL, "--out", compiled, "--json"],
        &["run", MODEL, "--inputs", INPUT, "--out", out, "--json"],
        &[
            "prove", MODEL, "--input", INPUT, "--proof", proof, "--public", public, "--json",
        ],
        &["inspect", compiled, "--json"],
    ];
    for command in commands {
        let guessed = zkiln(command).fine();
        assert_eq!(
            guessed.err.matches("guesses").count(),
            1,
            "{command:?}: {}",
            guessed.err
        );
        assert!(guessed.err.contains("--samples"), "{}", guessed.err);
        assert_eq!(guessed.json()["ranges"], "guessed", "{command:?}");
    }
    assert!(zkiln(&["inspect", MODEL]).fine().out.contains("guesses"));
    for command in &commands[..2] {
        let samples: &[&str] = &["--samples", SAMPLES];
        let known = zkiln(&[*command, samples].concat()).fine();
        assert!(known.err.is_empty(), "{}", known.err);
        assert_eq!(known.json()["ranges"], "samples");
    }
}

/// Four elements that no random input reaches.
const FAR: &str = r#"{"input_data":[[100,-100,100,-100]]}"#;

#[test]
fn check_takes_its_input_for_a_sample_and_prove_does_not() {
    let folder = Folder::new();
    let input = folder.file("far.json", FAR);
    zkiln(&["check", MODEL, "--input", &input]).fine();
    for options in [&["--samples", SAMPLES] as &[&str], &[]] {
        let refused = prove(&folder, MODEL, &input, options);
        refused.refuses(&[
            "calibrated range",
            "`zkiln check` takes its --input for a sample",
        ]);
    }
}

#[test]
fn bits_by_hand_are_held_to_the_samples() {
    let bits = ["--activation-bits", "6", "--weight-bits", "4"];
    let command = ["check", MODEL, "--samples", SAMPLES, "--json"];
    let answer = zkiln(&[command.as_slice(), &bits].concat());
    answer.refuses(&["the float model gives", "give more bits"]);
    assert_eq!(answer.json()["cause"], "bits");
    assert!(answer.json()["nodes"][0]["node"].is_string());
}
