//! A verifier that has `zkiln-runtime` and three files: no model, no compiler, no ONNX.
//!
//! The folder is one that the `quickstart` example wrote:
//!
//! ```sh
//! cargo run --release --example quickstart -- target/quickstart
//! cargo run --release -p zkiln-runtime --example verify_only -- target/quickstart
//! ```

use std::path::PathBuf;

use zkiln_runtime::key::VerifierKey;
use zkiln_runtime::protocol::{Proof, Statement, verify};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("give the folder with model.vk, statement.bin and proof.bin")?;
    let read = |name: &str| std::fs::read(folder.join(name)).map_err(|e| format!("{name}: {e}"));

    // From someone you trust, once: the key is the model's statement. Its digest names it.
    let key = VerifierKey::from_bytes(&read("model.vk")?)?;
    let digest: String = key.digest().iter().map(|b| format!("{b:02x}")).collect();
    println!("model {} with digest {digest}", key.model().name);

    // From the prover, with every proof.
    let statement = Statement::from_bytes(key.model(), &read("statement.bin")?)?;
    let proof = Proof::from_bytes(read("proof.bin")?);

    verify(&key, &statement, &proof)?;
    for (port, shown) in key.model().outputs.iter().zip(&statement.outputs) {
        match shown.integers() {
            Some(integers) => println!(
                "verified: `{}` is {integers:?}, in steps of the port",
                port.name
            ),
            None => println!("verified: `{}` is hidden", port.name),
        }
    }
    Ok(())
}
