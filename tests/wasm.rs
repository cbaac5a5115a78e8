//! The verifier as a WebAssembly module, run by an interpreter that counts instructions.
//!
//! Needs the target `wasm32-unknown-unknown` (`rustup target add wasm32-unknown-unknown`). Without it the test is skipped, unless `ZKILN_WASM` is
//! `required`.

mod proofs;

use std::path::{Path, PathBuf};
use std::process::Command;

use proofs::proven;
use wasmi::{Config, Engine, Instance, Linker, Module, Store};

const TARGET: &str = "wasm32-unknown-unknown";
/// More than a verification may take: docs/figures.md has what it takes.
const MOST_INSTRUCTIONS: u64 = 5_000_000_000;

/// What the module is given.
struct Bytes {
    key: Vec<u8>,
    statement: Vec<u8>,
    proof: Vec<u8>,
}

impl Bytes {
    fn of(model: &str) -> Self {
        let (key, statement, proof) = proven(model);
        Self {
            key: key.verifier_key().to_bytes(),
            statement: statement.to_bytes(),
            proof: proof.as_bytes().to_vec(),
        }
    }
}

/// Whether the toolchain has the target's standard library.
fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .expect("rustc runs");
    Path::new(String::from_utf8_lossy(&printed.stdout).trim()).is_dir()
}

/// The module, built beside the workspace's own artefacts.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_zkiln")).ancestors().nth(2);
    let target = target.expect("target/release/zkiln");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "zkiln-wasm"])
        .args(["--target", TARGET])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    target.join(TARGET).join("release/zkiln_wasm.wasm")
}

/// A running module.
struct Verifier {
    store: Store<()>,
    instance: Instance,
}

impl Verifier {
    /// It imports nothing.
    fn new(module: &[u8]) -> Self {
        let engine = Engine::new(Config::default().consume_fuel(true));
        let module = Module::new(&engine, module).expect("a module");
        let mut store = Store::new(&engine, ());
        store.set_fuel(u64::MAX).expect("it counts");
        let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module);
        Self {
            instance: instance.expect("nothing is imported"),
            store,
        }
    }

    fn give(&mut self, which: u32, bytes: &[u8]) {
        let room = self.instance.get_typed_func(&self.store, "room");
        let room = room.expect("a function of two numbers");
        let at: u32 = room
            .call(&mut self.store, (which, bytes.len() as u32))
            .expect("there is room");
        let memory = self.instance.get_memory(&self.store, "memory");
        let memory = memory.expect("a memory");
        let written = memory.write(&mut self.store, at as usize, bytes);
        written.expect("the room is in the memory");
    }

    fn give_all(&mut self, bytes: &Bytes) {
        let parts = [&bytes.key, &bytes.statement, &bytes.proof];
        (0..)
            .zip(parts)
            .for_each(|(which, part)| self.give(which, part));
    }

    /// The verdict, and how many instructions it took.
    fn verify(&mut self) -> (bool, u64) {
        let verify = self
            .instance
            .get_typed_func::<(), i32>(&self.store, "verify");
        let before = self.store.get_fuel().expect("it counts");
        let verdict = verify.expect("a function").call(&mut self.store, ());
        let after = self.store.get_fuel().expect("it counts");
        (verdict.expect("no trap") == 1, before - after)
    }

    fn memory_bytes(&self) -> usize {
        let memory = self.instance.get_memory(&self.store, "memory");
        memory.expect("a memory").data_size(&self.store)
    }
}

#[test]
fn a_transformers_proof_is_verified_in_web_assembly() {
    if !has_target() {
        let required = std::env::var("ZKILN_WASM").is_ok_and(|wanted| wanted == "required");
        assert!(!required, "run `rustup target add {TARGET}`");
        eprintln!("skipped: the toolchain has no {TARGET}");
        return;
    }
    let module = std::fs::read(build()).expect("the module");
    let mut verifier = Verifier::new(&module);

    let tiny = Bytes::of("tiny_mlp");
    verifier.give_all(&tiny);
    assert!(verifier.verify().0);
    // Each part counts; the proof to its last element.
    for (which, part) in (0..).zip([&tiny.key, &tiny.statement, &tiny.proof]) {
        let mut changed = part.clone();
        *changed.last_mut().expect("not empty") ^= 1;
        verifier.give(which, &changed);
        assert!(!verifier.verify().0, "part {which}");
        verifier.give(which, &part[1..]);
        assert!(!verifier.verify().0, "part {which}");
        verifier.give(which, part);
    }
    assert!(verifier.verify().0);

    let nano_gpt = Bytes::of("nanoGPT");
    let mut verifier = Verifier::new(&module);
    verifier.give_all(&nano_gpt);
    let (accepted, cold) = verifier.verify();
    assert!(accepted);
    let (accepted, warm) = verifier.verify();
    assert!(accepted);
    let million = |instructions: u64| instructions / 1_000_000;
    println!(
        "nanoGPT: {} million instructions, {} million from the second proof on; key {} bytes, memory {} bytes, module {} bytes",
        million(cold),
        million(warm),
        nano_gpt.key.len(),
        verifier.memory_bytes(),
        module.len()
    );
    assert!(cold < MOST_INSTRUCTIONS, "{cold}");
}
