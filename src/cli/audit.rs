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
    let (theirs, ours) = (constants(key.model()), constants(compiled.model()));
    for (their, our) in theirs.iter().zip(&ours) {
        if their.name != our.name || their.shape != our.shape {
            return Some(format!(
                "the key has a tensor `{}` of shape {:?} where the model has `{}` of shape {:?}",
                their.name, their.shape, our.name, our.shape
            ));
        }
    }
    if theirs.len() != ours.len() {
        let (theirs, ours) = (theirs.len(), ours.len());
        return Some(format!(
            "the key has {theirs} constant tensors, the model {ours}"
        ));
    }
    if let Some(difference) = other_values(key, compiled, blinding_key) {
        return Some(difference);
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

/// The constant tensors.
fn constants(model: &Model) -> Vec<&Column> {
    let columns = model.columns.iter();
    columns
        .filter(|column| column.kind == ColumnKind::Constant)
        .collect()
}

/// The first rows of constants, laid out alike, that differ, for people: by the tensors in them.
fn other_values(
    key: &VerifierKey,
    compiled: &VerifierKey,
    blinding_key: &BlindingKey,
) -> Option<String> {
    let layout = &key.schedule().rows;
    if *layout != compiled.schedule().rows {
        return Some("the weights lie in rows of other lengths".into());
    }
    let [theirs, ours] = [key, compiled].map(|key| key.without_blinding(blinding_key));
    let first = (0..layout.constants).find(|&row| theirs[row] != ours[row])?;
    let mut spans = layout.spans.iter().filter(|span| span.is_constant);
    let span = spans.find(|span| (span.first..span.first + span.len).contains(&first))?;
    let mut names: Vec<String> = layout.tiles[span.tiles.clone()]
        .iter()
        .map(|tile| format!("`{}`", key.model().columns[tile.column.0 as usize].name))
        .collect();
    names.dedup();
    let hidden = key.model().weights != Visibility::Public;
    let all_differ = theirs
        .iter()
        .zip(&ours)
        .all(|(theirs, ours)| theirs != ours);
    let doubt = if hidden && layout.constants > 1 && all_differ {
        ", as all have: is it the right blinding key?"
    } else {
        ""
    };
    Some(match names.as_slice() {
        [name] => format!("the tensor {name} has other values{doubt}"),
        _ => format!(
            "one of the tensors {}, which share a row, has other values{doubt}",
            names.join(", ")
        ),
    })
}
