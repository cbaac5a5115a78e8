//! `zkiln verify`: yes or no, without a model.

use std::path::PathBuf;

use serde_json::json;

use zkiln_compiler::text::hex;

use super::args;
use super::engine::{self, Context, Proof, VerifierKey};
use super::error::CliError;
use super::public::Public;
use super::terminal::{say, say_json};

/// Verify a proof against a verifier key and a public statement; needs no model
#[derive(clap::Args)]
#[command(after_help = "\
Checks that the model behind the key maps the statement's inputs to its outputs: public ones are the `integers`, committed ones are what the
`commitment` commits to, and the prover knows the private ones.
A statement that names another context than --context is rejected, and so is one that names any if there is none.
`scale` and `data` are for people and are not part of the proof. Take the key from someone you trust, never from the prover.

Example:
  zkiln verify --key model.vk --proof proof.bin --public public.json")]
pub struct Args {
    /// The verifier key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The proof
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// The public statement
    #[arg(long, value_name = "FILE.json")]
    public: PathBuf,
    /// What the proof has to be made for: up to 32 bytes, hexadecimal
    #[arg(long, value_name = "HEX", value_parser = args::context, default_value = "", hide_default_value = true)]
    context: Context,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Reads the three files and verifies.
pub fn run(args: &Args) -> Result<(), CliError> {
    let key = VerifierKey::from_bytes(&args::read_file(&args.key)?)
        .map_err(|e| CliError::file(&args.key, e))?;
    let proof = Proof::from_bytes(args::read_at_most(&args.proof, key.proof_bytes())?);
    let public: Public = serde_json::from_slice(&args::read_file(&args.public)?)
        .map_err(|e| CliError::file(&args.public, format!("not a public statement: {e}")))?;
    let statement = public.statement(&key.digest(), key.model())?;
    if statement.context != args.context {
        let [got, expected] = [statement.context, args.context].map(|c| hex(c.as_bytes()));
        let reason = format!("its context is `{got}`, expected `{expected}` (--context)");
        return Err(CliError::Statement(reason));
    }
    engine::verify(&key, &statement, &proof)?;
    let digest = hex(&key.digest());
    if args.json {
        say_json(&json!({"verified": true, "model_digest": digest}));
    } else {
        say(&format!(
            "verified: the model {digest} maps the statement's inputs to its outputs"
        ));
    }
    Ok(())
}
