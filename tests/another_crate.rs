//! A crate outside the workspace, with one dependency and one line, builds, proves and verifies; its second build compiles no model.

use std::fs;
use std::path::Path;
use std::process::Command;

const MAIN: &str = r#"
zkiln::include_model!("MODEL", name = "tiny_mlp");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let input = tiny_mlp::Input { input: [[0.5, -0.25, 1.0, 0.0]] };
    let proven = tiny_mlp::prove(&input)?;
    tiny_mlp::verify(&proven.statement, &proven.proof)?;
    assert_eq!(proven.proof.as_bytes().len(), tiny_mlp::PROOF_BYTES);
    println!("verified {:?}", proven.output.output[0]);
    Ok(())
}
"#;

/// Builds and runs the crate; what it printed.
fn run(folder: &Path, target: &Path) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--release", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn compilations(target: &Path) -> usize {
    let log = fs::read_to_string(target.join("zkiln/compilations")).unwrap_or_default();
    log.lines()
        .filter(|line| line.contains("outside_crate"))
        .count()
}

#[test]
fn a_crate_outside_the_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Beside the workspace's own artefacts, so that the dependencies need not be built again.
    let target = Path::new(env!("CARGO_BIN_EXE_zkiln"))
        .ancestors()
        .nth(2)
        .expect("target/release/zkiln")
        .to_path_buf();
    let folder = tempfile::Builder::new()
        .prefix("outside_crate")
        .tempdir()
        .expect("a folder");
    let profile = {
        let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
        let from = manifest.find("[profile.release]").expect("a profile");
        manifest[from..].to_owned()
    };
    let manifest = format!(
        "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\nzkiln = {{ path = {root:?} }}\n\n[workspace]\n\n{profile}"
    );
    fs::create_dir(folder.path().join("src")).expect("a folder");
    fs::write(folder.path().join("Cargo.toml"), manifest).expect("written");
    fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("copied");
    // A file name of its own: the content alone may be in the cache since an earlier run of this test.
    let name = folder.path().file_name().expect("a name").to_string_lossy();
    let model = format!("{name}.onnx");
    fs::copy(
        root.join("models/tiny_mlp.onnx"),
        folder.path().join(&model),
    )
    .expect("copied");
    let main = MAIN.replace("MODEL", &model);
    fs::write(folder.path().join("src/main.rs"), &main).expect("written");

    let before = compilations(&target);
    let first = run(folder.path(), &target);
    assert!(first.starts_with("verified"), "{first}");
    assert_eq!(compilations(&target), before + 1);
    // Another build of the crate, the same model: rustc runs again, the compiler does not.
    fs::write(
        folder.path().join("src/main.rs"),
        format!("{main}\n// changed\n"),
    )
    .expect("written");
    assert_eq!(run(folder.path(), &target), first);
    assert_eq!(compilations(&target), before + 1);
}
