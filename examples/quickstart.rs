//! A model, a proof, and a verifier: the whole of it.
//!
//! With a folder as its argument it also writes what a verifier elsewhere needs, for `verify_only`:
//!
//! ```sh
//! cargo run --release --example quickstart -- target/quickstart
//! cargo run --release -p zkiln-runtime --example verify_only -- target/quickstart
//! ```

use std::path::PathBuf;

zkiln::include_model!(
    "models/tiny_mlp.onnx",
    samples = "models/tiny_mlp.samples.jsonl"
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The prover's side. The input stays here: it is private unless the macro says otherwise.
    let input = tiny_mlp::Input {
        input: [[0.61, -1.25, 0.098, 1.73]],
    };
    let proven = tiny_mlp::prove(&input)?;
    println!("the model's output is {:?}", proven.output.output);

    // The verifier's side: it has the statement and the proof, and reads the output from the statement.
    tiny_mlp::verify(&proven.statement, &proven.proof)?;
    let output = proven.statement.output().output;
    println!("verified: {output:?} is the model's output for a hidden input");

    if let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("model.vk"), tiny_mlp::verifier_key()?)?;
        std::fs::write(folder.join("statement.bin"), proven.statement.to_bytes())?;
        std::fs::write(folder.join("proof.bin"), proven.proof.as_bytes())?;
        println!(
            "wrote the key, the statement and the proof to {}",
            folder.display()
        );
    }
    Ok(())
}
