//! `zkiln audit`: whether a verifier key is that of a model.

use std::path::PathBuf;

use serde_json::json;
use zkiln_compiler::{Options, Visibility};
use zkiln_runtime::model::{Column, ColumnKind, Model};

use super::args::{self, ModelArgs};
use super::engine::{FloatNetwork, Program, VerifierKey};
use super::error::CliError;
use super::terminal::{Progress, say, say_json};

/// Check that a verifier key belongs to an ONNX file, by compiling it again
#[derive(clap::Args)]
#[command(after_help = "\
Give the options that the key was made with: bits, dimensions, samples; names and visibilities are taken from the key. A key with public
weights can be audited by everyone who has the model. A key that hides its weights cannot: the salt of the proving side is needed,
and says yes or no only.

Exit code 1 if the key is another model's; the first tensor that differs is named.

Example:
  zkiln audit models/tiny_mlp.onnx --samples models/tiny_mlp.samples.jsonl --key model.vk")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The verifier key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Compiles and compares.
pub fn run(args: &Args) -> Result<(), CliError> {
    let key = VerifierKey::from_bytes(&args::read_file(&args.key)?)
        .map_err(|e| CliError::file(&args.key, e))?;
    let hidden = key.model().weights != Visibility::Public;
    let progress = Progress::new(args.json);
    progress.step("compiling");
    let float = FloatNetwork::load(&args.model.model, &args.model.dimensions)?;
    let options = Options {
        name: Some(key.model().name.to_string()),
        visibility: visibility(key.model()),
        ..args.model.options(float.inputs())?
    };
    let salt = args.model.known_salt()?;
    if hidden && salt.is_none() {
        return Err(CliError::file(
            &args.key,
            "it hides its weights, so it takes the salt of the proving side to audit it: give --salt",
        ));
    }
    let program = Program::compile(&args.model.model, &options, &salt.unwrap_or_default())?;
    drop(progress);
    let digest = args::hex(&key.digest());
    if let Some(difference) = difference(&key, program.verifier_key()) {
        return Err(CliError::Audit(difference));
    }
    if args.json {
        say_json(&json!({"audited": true, "model_digest": digest}));
    } else {
        say(&format!(
            "audited: the key {digest} is that of {}",
            args.model.file_name()
        ));
    }
    Ok(())
}

/// The key's own visibilities, as options.
fn visibility(model: &Model) -> Vec<(String, Visibility)> {
    let ports = model.ports();
    let ports = ports.map(|port| (port.name.to_string(), port.visibility));
    ports
        .chain([("weights".to_owned(), model.weights)])
        .collect()
}

/// The first difference between a key and that of the compiled model, for people.
fn difference(key: &VerifierKey, compiled: &VerifierKey) -> Option<String> {
    if key.digest() == compiled.digest() {
        return None;
    }
    let constants = |key: &VerifierKey| -> Vec<(Column, Vec<u8>)> {
        let bytes = key.commitment_bytes();
        let columns = key.model().columns.iter().zip(&key.schedule().rows);
        columns
            .filter(|(column, _)| column.kind == ColumnKind::Constant)
            .map(|(column, rows)| {
                let from = 32 * rows.first;
                (column.clone(), bytes[from..from + 32 * rows.len].to_vec())
            })
            .collect()
    };
    let (theirs, ours) = (constants(key), constants(compiled));
    let hidden = key.model().weights != Visibility::Public;
    for ((theirs, their_rows), (ours, our_rows)) in theirs.iter().zip(&ours) {
        if theirs.name != ours.name || theirs.shape != ours.shape {
            return Some(format!(
                "the key has a tensor `{}` of shape {:?} where the model has `{}` of shape {:?}",
                theirs.name, theirs.shape, ours.name, ours.shape
            ));
        }
        if !hidden && their_rows != our_rows {
            return Some(format!("the tensor `{}` has other values", ours.name));
        }
    }
    if theirs.len() != ours.len() {
        let (theirs, ours) = (theirs.len(), ours.len());
        return Some(format!(
            "the key has {theirs} constant tensors, the model {ours}"
        ));
    }
    let nodes = key.model().nodes.iter().zip(compiled.model().nodes.iter());
    let mut nodes = nodes.filter(|(theirs, ours)| theirs != ours);
    Some(match nodes.next() {
        Some((theirs, ours)) if theirs.name == ours.name => {
            format!("the node `{}` differs", ours.name)
        }
        Some((theirs, ours)) => format!(
            "the key has a node `{}` where the model has `{}`",
            theirs.name, ours.name
        ),
        None if key.model() != compiled.model() => {
            "ports, tables or witness columns differ: was the key made with other options?".into()
        }
        None => "the weights or the salt differ; the key hides which".into(),
    })
}
