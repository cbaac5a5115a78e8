//! Compiled models as folders: every command that needs no floats takes one, and nothing is compiled again.

mod command;

use command::{EXPECTED, Folder, INPUT, MODEL, SAMPLES, zkiln};

/// The small model, compiled from a copy that is gone.
fn compiled() -> Folder {
    let folder = Folder::new();
    let copy = folder.file(
        "net.onnx",
        std::fs::read(command::model_file(MODEL)).expect("the model"),
    );
    let out = folder.path("compiled");
    let answer = zkiln(&[
        "compile",
        &copy,
        "--samples",
        SAMPLES,
        "--out",
        &out,
        "--json",
    ])
    .fine();
    let files = answer.json()["files"].as_array().map(Vec::len);
    assert_eq!(files, Some(5));
    std::fs::remove_file(&copy).expect("removed");
    folder
}

#[test]
fn a_folder_proves_without_its_model() {
    let folder = compiled();
    let (net, proof, public) = (
        folder.path("compiled"),
        folder.path("p.bin"),
        folder.path("public.json"),
    );
    let prove = [
        "prove", &net, "--input", INPUT, "--proof", &proof, "--public", &public, "--json",
    ];
    assert_eq!(zkiln(&prove).fine().json()["model"], "net.onnx");
    let key = folder.path("compiled/net.vk");
    zkiln(&[
        "verify", "--key", &key, "--proof", &proof, "--public", &public,
    ])
    .fine();
}

#[test]
fn a_folder_runs_checks_and_shows_what_it_is() {
    let folder = compiled();
    let (net, out) = (folder.path("compiled"), folder.path("outputs.jsonl"));
    let run = zkiln(&["run", &net, "--inputs", SAMPLES, "--out", &out, "--json"]).fine();
    assert_eq!(run.json()["runs"], 4);
    let check = [
        "check", &net, "--input", INPUT, "--expect", EXPECTED, "--json",
    ];
    let report = zkiln(&check).fine().json();
    assert_eq!(report["verified"], true);
    assert_eq!(report["compile_ms"], 0.0);
    let shown = zkiln(&["inspect", &net, "--json"]).fine().json();
    assert_eq!(shown["params"], 139);
    zkiln(&["check", &net]).refuses(&["compiled", "--input and --expect"]);
}

#[test]
fn where_the_model_is_needed_a_folder_is_refused() {
    let folder = compiled();
    let net = folder.path("compiled");
    zkiln(&["compile", &net, "--out", &folder.path("again")]).refuses(&["compiled", "ONNX file"]);
    zkiln(&["calibrate", &net]).refuses(&["compiled", "ONNX file"]);
}

#[test]
fn labels_are_for_calibration_alone() {
    let folder = Folder::new();
    let sample = r#"{"inputs":[{"name":"input","shape":[1,4],"data":[0,0,0,1]}],"label":"cat"}"#;
    let samples = folder.file("s.jsonl", format!("{sample}\n"));
    zkiln(&["check", MODEL, "--samples", &samples]).fine();
    let refused = zkiln(&["calibrate", MODEL, "--samples", &samples]);
    refused.refuses(&["s.jsonl:1", "a label is an index or a list of them"]);
}

#[test]
fn options_that_could_have_no_effect_are_refused() {
    let folder = compiled();
    let net = folder.path("compiled");
    for option in [
        ["--samples", SAMPLES],
        ["--activation-bits", "8"],
        ["--visibility", "inputs=public"],
        ["--blinding-key", "secret"],
    ] {
        let command = [&["inspect", net.as_str()][..], &option].concat();
        zkiln(&command).refuses(&[option[0], "zkiln compile"]);
    }
    let empty = folder.path("empty");
    std::fs::create_dir(&empty).expect("made");
    zkiln(&["inspect", &empty]).refuses(&["empty", "no compiled model", "zkiln compile"]);
}

#[test]
fn a_blinding_key_of_the_old_name_is_read_with_a_note() {
    let folder = Folder::new();
    let copy = folder.file(
        "net.onnx",
        std::fs::read(command::model_file(MODEL)).expect("the model"),
    );
    folder.file("net.salt", "ab".repeat(32));
    let keys = ["a", "b"].map(|out| {
        let out = folder.path(out);
        let answer = zkiln(&["compile", &copy, "--samples", SAMPLES, "--out", &out]).fine();
        (
            answer.err,
            std::fs::read(format!("{out}/net.vk")).expect("a key"),
        )
    });
    assert!(
        keys[0].0.contains("net.salt") && keys[0].0.contains("net.blinding"),
        "{}",
        keys[0].0
    );
    assert_eq!(keys[0].1, keys[1].1);
    assert!(!std::path::Path::new(&folder.path("net.blinding")).exists());
}
