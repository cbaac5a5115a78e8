//! `zkiln prove`: a proof in a file.

use std::path::PathBuf;

use serde_json::json;

use super::args::{self, ModelArgs};
use super::engine::{FloatNetwork, Program};
use super::error::CliError;
use super::public::Public;
use super::terminal::{Progress, bytes, say, say_json};

/// Prove one run of a model, and write the proof and the public statement
#[derive(clap::Args)]
#[command(after_help = "\
The verifier key depends on the model, the bits and the calibration samples, not on the input: give `zkiln verify` the key
that was written with the same options.

Examples:
  zkiln prove models/tiny_mlp.onnx --samples models/tiny_mlp.samples.jsonl --input models/tiny_mlp.input.json \\
      --proof proof.bin --public public.json --key model.vk
  zkiln verify --key model.vk --proof proof.bin --public public.json")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The input: JSON, .npy or .npz
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the proof goes
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// Where the public statement goes: inputs and outputs, JSON
    #[arg(long, value_name = "FILE.json")]
    public: PathBuf,
    /// Where the verifier key goes, if anywhere
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Compiles, proves, writes.
pub fn run(args: &Args) -> Result<(), CliError> {
    let progress = Progress::new(args.json);
    progress.step("compiling");
    let float = FloatNetwork::load(&args.model.model, &args.model.dimensions)?;
    let input = args::read_inputs(&args.input, float.inputs())?;
    let options = args.model.options(float.inputs())?;
    let program = Program::compile(&args.model.model, &options)?;
    let integers = program.quantise(&input);
    progress.step("proving");
    let (statement, proof) = program.prove(&integers)?;
    drop(progress);

    let key = program.verifier_key();
    let public = Public::new(
        &key.digest(),
        program.inputs(),
        program.outputs(),
        &statement,
    );
    let public = serde_json::to_vec(&public).map_err(|e| CliError::file(&args.public, e))?;
    args::write(&args.proof, proof.as_bytes())?;
    args::write(&args.public, &public)?;
    if let Some(path) = &args.key {
        args::write(path, &key.to_bytes())?;
    }
    let digest = args::hex(&key.digest());
    if args.json {
        say_json(&json!({
            "model": args.model.file_name(),
            "model_digest": digest,
            "proof_bytes": proof.as_bytes().len(),
        }));
    } else {
        let size = bytes(proof.as_bytes().len() as u64);
        say(&format!(
            "proof of {size} for the model {digest} in {}, statement in {}",
            args.proof.display(),
            args.public.display()
        ));
    }
    Ok(())
}
