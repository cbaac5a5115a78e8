//! `zkiln inspect`: what a model becomes.

use serde_json::json;

use zkiln_compiler::text::hex;
use zkiln_runtime::model::{Model, Port};

use super::args::ModelArgs;
use super::error::CliError;
use super::terminal::{Progress, bytes, grouped, say, say_json, table};

/// Show what a model is compiled to: nodes, lookups, cost, sizes, security
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  zkiln inspect models/nanoGPT.onnx")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Compiles and tells.
pub fn run(args: &Args) -> Result<(), CliError> {
    let progress = Progress::new(args.json);
    progress.step("compiling");
    let (program, ()) = args
        .model
        .program(ModelArgs::passing_blinding_key, |_| Ok(()))?;
    drop(progress);
    let (report, counts, key) = (program.report(), program.counts(), program.verifier_key());
    let verifier_key_bytes = key.to_bytes().len();
    if args.json {
        say_json(&json!({
            "model": args.model.file_name(),
            "model_digest": hex(&key.digest()),
            "nodes": counts.onnx_nodes,
            "params": counts.params,
            "boundaries": counts.boundaries,
            "lookups": counts.lookups,
            "constants": counts.constants,
            "witness": counts.witness,
            "inputs": program.inputs(),
            "outputs": program.outputs(),
            "visibility": seen(key.model()),
            "error_budget": key.security_terms().iter().map(|term| {
                json!({"what": term.name, "log2_error": term.log2()})
            }).collect::<Vec<_>>(),
            "report": report,
            "proof_bytes": key.proof_bytes(),
            "verifier_key_bytes": verifier_key_bytes,
            "security_bits": key.security_bits(),
        }));
        return Ok(());
    }
    let heading = [
        "node", "relation", "shape", "scale", "bits", "lookups", "cost",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(report.iter().map(|line| {
        vec![
            line.node.clone(),
            line.relation.clone(),
            line.shape.clone(),
            format!("2^{:.1}", line.scale_log2),
            line.bits.to_string(),
            grouped(line.lookups),
            grouped(line.cost),
        ]
    }));
    say(&table(&rows));
    let row = |name: &str, figure: String| vec![name.to_owned(), figure];
    let mut totals = vec![row("total", String::new())];
    totals.push(row("ONNX nodes", grouped(counts.onnx_nodes)));
    totals.push(row("parameters", grouped(counts.params)));
    totals.push(row("boundaries", grouped(counts.boundaries)));
    totals.push(row("lookups", grouped(counts.lookups)));
    totals.push(row("committed constants", grouped(counts.constants)));
    totals.push(row("committed witness values", grouped(counts.witness)));
    totals.push(row("proof", bytes(key.proof_bytes() as u64)));
    totals.push(row("verifier key", bytes(verifier_key_bytes as u64)));
    totals.push(row("security", format!("{} bits", key.security_bits())));
    say(&format!("\n{}", table(&totals)));
    let mut rows = vec![row("who sees", "what".into())];
    rows.extend(
        seen(key.model())
            .into_iter()
            .map(|(name, seen)| row(&name, seen)),
    );
    say(&format!("\n{}", table(&rows)));
    let mut rows = vec![row("soundness error of the argument", "at most".into())];
    let budget = key.security_terms();
    rows.extend(
        budget
            .iter()
            .map(|term| row(term.name, format!("2^{:.0}", term.log2()))),
    );
    say(&format!("\n{}", table(&rows)));
    Ok(())
}

/// Ports and weights, and who sees them.
fn seen(model: &Model) -> Vec<(String, String)> {
    let word = |visibility| format!("{visibility:?}").to_lowercase();
    let port = |port: &Port| (port.name.to_string(), word(port.visibility));
    let weights = ("weights".to_owned(), word(model.weights));
    model.ports().map(port).chain([weights]).collect()
}
