//! `zkiln prove`: a proof in a file.

use std::path::PathBuf;

use serde_json::json;
use zkiln_compiler::text::hex;
use zkiln_compiler::{Port, blinding_key};

use super::args::{self, ModelArgs};
use super::engine::{Blinding, Context, ProveOptions, Proven};
use super::error::CliError;
use super::openings::Openings;
use super::public::Public;
use super::terminal::{Progress, bytes, say, say_json};

/// Prove one run of a model, and write the proof and the public statement
#[derive(clap::Args)]
#[command(after_help = "\
The verifier key depends on the model, the bits, the calibration samples, the visibilities and the blinding key, not on the input: give
`zkiln verify` the key that was written with the same options. The blinding key's file is made beside the model if it is missing; keep it,
and keep it secret. For many proofs, compile once: `zkiln compile MODEL --out DIR`, then `zkiln prove DIR` starts in the time of reading a file.

Examples:
  zkiln prove models/tiny_mlp.onnx --samples models/tiny_mlp.samples.jsonl --input models/tiny_mlp.input.json \\
      --proof proof.bin --public public.json --key model.vk
  zkiln verify --key model.vk --proof proof.bin --public public.json
  zkiln compile models/tiny_mlp.onnx --samples models/tiny_mlp.samples.jsonl --out compiled
  zkiln prove compiled --input models/tiny_mlp.input.json --proof proof.bin --public public.json
  zkiln prove model.onnx --input input.json --visibility inputs=committed --openings openings.json --proof p --public public.json
  zkiln open --public public.json --openings openings.json")]
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
    /// Where the openings of commitments go: secret
    #[arg(long, value_name = "FILE.json")]
    openings: Option<PathBuf>,
    /// The secret that hides a committed port, a file as --blinding-key's, made if it is missing; the same one makes commitments to equal tensors equal
    /// (default: fresh); may be repeated
    #[arg(long = "blinding", value_name = "PORT=FILE", value_parser = blinding)]
    blindings: Vec<(String, PathBuf)>,
    /// What the proof is made for, such as the verifier's nonce: up to 32 bytes, hexadecimal
    #[arg(long, value_name = "HEX", value_parser = args::context, default_value = "", hide_default_value = true)]
    context: Context,
    /// Where the verifier key goes, if anywhere
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn blinding(text: &str) -> Result<(String, PathBuf), String> {
    let (port, file) = text
        .split_once('=')
        .ok_or("expected PORT=FILE, got no `=`")?;
    Ok((port.to_owned(), file.into()))
}

/// Compiles, proves, writes.
pub fn run(args: &Args) -> Result<(), CliError> {
    let progress = Progress::new(args.json);
    progress.step("compiling");
    let read = |ports: &[Port]| args::read_inputs(&args.input, ports);
    let (key, path) = (ModelArgs::kept_blinding_key, Some(&*args.input));
    let (program, input) = args.model.program(path, key, read)?;
    let blindings = args
        .blindings
        .iter()
        .map(|(port, path)| {
            let seed = blinding_key::read_or_create(path)?;
            Ok((port.as_str(), Blinding::from_bytes(seed)))
        })
        .collect::<Result<Vec<_>, CliError>>()?;
    let model = program.verifier_key().model();
    if !model.shown_columns().is_empty() && args.openings.is_none() {
        return Err(CliError::file(
            &args.model.model,
            "a port is committed: say with --openings where to keep what opens its commitment",
        ));
    }
    let integers = program.to_integers(&input).map_err(CliError::Uncovered)?;
    let options = ProveOptions {
        context: args.context,
        blindings: &blindings,
    };
    progress.step("proving");
    let Proven {
        statement,
        proof,
        openings,
        ..
    } = program
        .prove(&integers, &options)
        .map_err(CliError::Uncovered)?;
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
    if let Some(path) = &args.openings {
        let openings = Openings::new(&openings, program.inputs(), program.outputs());
        let openings = serde_json::to_vec(&openings).map_err(|e| CliError::file(path, e))?;
        args::write_secret(path, &openings)?;
    }
    if let Some(path) = &args.key {
        args::write(path, &key.to_bytes())?;
    }
    let digest = hex(&key.digest());
    if args.json {
        say_json(&json!({
            "model": program.origin(),
            "model_digest": digest,
            "ranges": program.ranges(),
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
