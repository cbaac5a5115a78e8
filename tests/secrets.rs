//! What the command line hides, shows, opens and audits.
mod command;

use command::*;

#[test]
fn inputs_are_hidden_unless_they_are_to_be_seen() {
    let folder = Folder::new();
    prove(&folder, MODEL, INPUT, &[]).fine();
    let public = read_json(folder.path("public.json"));
    assert_eq!(public["inputs"][0]["visibility"], "private");
    assert!(public["inputs"][0]["integers"].is_null());
    assert!(public["outputs"][0]["integers"].is_array());

    let seen = [
        "--visibility",
        "inputs=public",
        "--visibility",
        "output=private",
    ];
    prove(&folder, MODEL, INPUT, &seen).fine();
    let [proof, public, key] = ["p.bin", "public.json", "model.vk"].map(|name| folder.path(name));
    verify(&key, &proof, &public).fine();
    let good = read_json(&public);
    assert_eq!(good["inputs"][0]["integers"].as_array().unwrap().len(), 4);
    assert!(good["outputs"][0]["integers"].is_null() && good["outputs"][0]["data"].is_null());
    let mut tampered = good;
    increment(&mut tampered["inputs"][0]["integers"][0]);
    let tampered = folder.file("tampered.json", tampered.to_string());
    assert_eq!(verify(&key, &proof, &tampered).code, 1);

    let unknown = ["--visibility", "logits=public"];
    prove(&folder, MODEL, INPUT, &unknown).refuses(&["`logits`", "`input`", "`output`"]);
    let word = ["--visibility", "inputs=secret"];
    prove(&folder, MODEL, INPUT, &word).refuses(&["secret", "committed"]);
}

#[test]
fn commitments_are_opened_and_linked() {
    let folders = [Folder::new(), Folder::new()];
    let blinding = format!("input={}", folders[0].path("blinding"));
    let mut commitments = Vec::new();
    for (folder, bits) in folders.iter().zip(["12", "10"]) {
        let openings = folder.path("openings.json");
        let mut options = vec!["--visibility", "input=committed", "--blinding", &blinding];
        prove(folder, MODEL, INPUT, &options).refuses(&["--openings"]);
        options.extend(["--openings", &openings, "--weight-bits", bits]);
        options.extend(["--samples", SAMPLES]);
        prove(folder, MODEL, INPUT, &options).fine();
        let [proof, public, key] =
            ["p.bin", "public.json", "model.vk"].map(|name| folder.path(name));
        verify(&key, &proof, &public).fine();
        zkiln(&["open", "--public", &public, "--openings", &openings]).fine();
        let handed_over = std::fs::read_to_string(&openings).unwrap();
        let secret = std::fs::read_to_string(folders[0].path("blinding")).unwrap();
        assert!(!handed_over.contains(secret.trim()));
        commitments.push(read_json(&public)["inputs"][0]["commitment"].clone());

        let mut other = read_json(&openings);
        increment(&mut other["openings"][0]["integers"][0]);
        let other = folder.file("other.json", other.to_string());
        let answer = zkiln(&["open", "--public", &public, "--openings", &other]);
        assert_eq!(answer.code, 1, "{}", answer.err);
    }
    assert!(commitments[0].is_string());
    assert_eq!(commitments[0], commitments[1]);
}

#[test]
fn keys_are_audited() {
    let folder = Folder::new();
    let public_weights = ["--visibility", "weights=public", "--samples", SAMPLES];
    prove(&folder, MODEL, INPUT, &public_weights).fine();
    let key = folder.path("model.vk");
    let audit = |model: &str, options: &[&str]| {
        zkiln(&[&["audit", model, "--key", &key], options].concat())
    };
    audit(MODEL, &["--samples", SAMPLES]).fine();

    // A bit of the tenth weight: its tensor has a name, a tag, a length of two bytes, and floats.
    let mut bytes = std::fs::read(model_file(MODEL)).unwrap();
    let name = b"fc1.weight";
    let mut places = bytes.windows(name.len()).enumerate();
    let place = places.rfind(|(_, window)| window == name).unwrap().0;
    bytes[place + name.len() + 3 + 4 * 10 + 2] ^= 0x40;
    let other = folder.file("other.onnx", bytes);
    let answer = audit(&other, &["--samples", SAMPLES]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.err.contains("fc1"), "{}", answer.err);
    let answer = audit(MODEL, &["--samples", SAMPLES, "--weight-bits", "8"]);
    assert_eq!(answer.code, 1, "{}", answer.err);

    // A key that hides its weights takes the blinding key.
    let key_file = folder.path("the.blinding");
    prove(&folder, MODEL, INPUT, &["--blinding-key", &key_file]).fine();
    audit(MODEL, &["--blinding-key", &key_file]).fine();
    let answer = audit(&other, &["--blinding-key", &key_file]);
    assert!(
        answer.code == 1 && answer.err.contains("fc1"),
        "{}",
        answer.err
    );
    let another = folder.file("another.blinding", "ab".repeat(32));
    let answer = audit(MODEL, &["--blinding-key", &another]);
    assert!(
        answer.code == 1 && answer.err.contains("blinding key"),
        "{}",
        answer.err
    );
    let missing = folder.path("missing.blinding");
    audit(MODEL, &["--blinding-key", &missing]).refuses(&["missing.blinding"]);
    let copy = folder.file("copy.onnx", std::fs::read(model_file(MODEL)).unwrap());
    audit(&copy, &[]).refuses(&["--blinding-key"]);
}

#[test]
fn a_blinding_key_gives_the_same_key_again() {
    let folder = Folder::new();
    let keys = ["a.blinding", "a.blinding", "b.blinding"].map(|key_file| {
        let key_file = folder.path(key_file);
        prove(&folder, MODEL, INPUT, &["--blinding-key", &key_file]).fine();
        std::fs::read(folder.path("model.vk")).unwrap()
    });
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2]);
    let bad = folder.file("bad.blinding", "short");
    prove(&folder, MODEL, INPUT, &["--blinding-key", &bad])
        .refuses(&["bad.blinding", "64 hexadecimal"]);
}
