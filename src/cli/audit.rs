//! `zkiln audit`: whether a verifier key is that of a model.

use std::path::PathBuf;

use serde_json::json;
use zkiln_compiler::Visibility;
use zkiln_compiler::blinding_key::BlindingKey;
use zkiln_compiler::text::hex;
use zkiln_runtime::commitment::stored_are_hashed;
use zkiln_runtime::model::{Column, ColumnKind, Model};

use super::args::{self, ModelArgs};
use super::engine::{Program, VerifierKey};
use super::error::CliError;
use super::terminal::{Progress, say, say_json};

/// Check that a verifier key belongs to an ONNX file, by compiling it again
#[derive(clap::Args)]
#[command(after_help = "\
Give the options that the key was made with: bits, dimensions, samples, objective; names and visibilities are taken from the key. A key with public
weights can be audited by everyone who has the model. A key that hides its weights cannot: the blinding key of the proving side is needed.

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

/// Compiles and compares; the generators that are stored with the hash, too.
pub fn run(args: &Args) -> Result<(), CliError> {
    let key = VerifierKey::from_bytes(&args::read_file(&args.key)?)
        .map_err(|e| CliError::file(&args.key, e))?;
    let hidden = key.model().weights != Visibility::Public;
    if !stored_are_hashed() {
        let reason = "this program's generators are not those that are hashed";
        return Err(CliError::Audit(reason.into()));
    }
    let progress = Progress::new(args.json);
    progress.step("compiling");
    let known = args.model.known_blinding_key()?;
    if hidden && known.is_none() {
        return Err(CliError::file(
            &args.key,
            "it hides its weights, so auditing it takes the blinding key of the proving side: give --blinding-key",
        ));
    }
    let blinding_key = known.unwrap_or_default();
    let mut request = args.model.request();
    request.options.name = Some(key.model().name.to_string());
    request.options.visibility = visibility(key.model());
    let compiled = request.read()?.prepare()?.compile(&blinding_key)?;
    let program = Program::new(compiled, &request.origin())?;
    drop(progress);
    let digest = hex(&key.digest());
    if let Some(difference) = difference(&key, program.verifier_key(), &blinding_key) {
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
fn difference(
    key: &VerifierKey,
    compiled: &VerifierKey,
    blinding_key: &BlindingKey,
) -> Option<String> {
    if key.digest() == compiled.digest() {
        return None;
    }
    let (theirs, ours) = (
        constants(key, blinding_key),
        constants(compiled, blinding_key),
    );
    let all_differ = || theirs.iter().zip(&ours).all(|((_, a), (_, b))| a != b);
    for ((their_column, their_rows), (column, rows)) in theirs.iter().zip(&ours) {
        if their_column.name != column.name || their_column.shape != column.shape {
            return Some(format!(
                "the key has a tensor `{}` of shape {:?} where the model has `{}` of shape {:?}",
                their_column.name, their_column.shape, column.name, column.shape
            ));
        }
        if their_rows != rows {
            let hidden = key.model().weights != Visibility::Public;
            let doubt = if hidden && theirs.len() > 1 && all_differ() {
                ", as all have: is it the right blinding key?"
            } else {
                ""
            };
            return Some(format!(
                "the tensor `{}` has other values{doubt}",
                column.name
            ));
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
        None => {
            "ports, tables or witness columns differ: was the key made with other options?".into()
        }
    })
}

/// Constant tensors, and commitments to their rows without blinding.
fn constants(key: &VerifierKey, blinding_key: &BlindingKey) -> Vec<(Column, Vec<[u8; 32]>)> {
    let rows = key.without_blinding(blinding_key);
    let columns = key.model().columns.iter().zip(&key.schedule().rows);
    columns
        .filter(|(column, _)| column.kind == ColumnKind::Constant)
        .map(|(column, range)| {
            let rows = &rows[range.first..range.first + range.len];
            (column.clone(), rows.to_vec())
        })
        .collect()
}
