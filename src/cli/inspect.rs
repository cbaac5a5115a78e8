//! `zkiln inspect`: what a model becomes.

use serde_json::json;

use zkiln_compiler::text::hex;
use zkiln_compiler::{Objective, Ranges, rows};
use zkiln_runtime::model::{Model, Port};
use zkiln_runtime::security::SecurityTerm;

use super::args::ModelArgs;
use super::engine::{Program, VerifierKey};
use super::error::CliError;
use super::security::Security;
use super::terminal::{GUESSED, Progress, bytes, grouped, percent, say, say_json, table};

/// What proofs may be good for.
const OBJECTIVES: [(&str, Objective); 2] = [("time", Objective::Time), ("size", Objective::Size)];

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
        .program(None, ModelArgs::passing_blinding_key, |_| Ok(()))?;
    drop(progress);
    if args.json {
        say_json(&machine_form(&program));
    } else {
        say_nodes(&program);
        say_ports(&program);
        say_totals(&program);
        if program.ranges() == Ranges::Guessed {
            say(&format!("\n{GUESSED}"));
        }
        say_visibility(program.verifier_key());
        say_budget(program.verifier_key());
    }
    Ok(())
}

fn machine_form(program: &Program) -> serde_json::Value {
    let (counts, key) = (program.counts(), program.verifier_key());
    let terms = key.security_terms();
    let term = |term: &SecurityTerm| json!({"what": term.name, "log2_error": term.log2()});
    json!({
        "model": program.origin(),
        "model_digest": hex(&key.digest()),
        "nodes": counts.onnx_nodes,
        "params": counts.params,
        "boundaries": counts.boundaries,
        "lookups": counts.lookups,
        "constants": counts.constants,
        "witness": counts.witness,
        "ranges": program.ranges(),
        "fidelity": program.fidelity(),
        "inputs": program.inputs(),
        "outputs": program.outputs(),
        "visibility": seen(key.model()),
        "error_budget": terms.iter().map(term).collect::<Vec<_>>(),
        "report": program.report(),
        "proof_bytes": key.proof_bytes(),
        "row_log2": key.model().row_log2,
        "answer_log2": key.model().answer_log2,
        "proof_bytes_by_objective": OBJECTIVES
            .into_iter()
            .filter_map(|(name, objective)| Some((name, rows::best(key.model(), objective)?)))
            .map(|(name, layout)| (name.to_owned(), layout.proof_bytes.into()))
            .collect::<serde_json::Map<_, _>>(),
        "verifier_key_bytes": key.to_bytes().len(),
        "security": Security::of(key),
    })
}

fn say_nodes(program: &Program) {
    let heading = [
        "node", "relation", "shape", "scale", "bits", "lookups", "cost",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(program.report().iter().map(|line| {
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
}

/// Ranges and steps; of each run of an axis's indices where these differ.
fn say_ports(program: &Program) {
    let heading = ["port", "index", "from", "to", "step"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for port in program.inputs().iter().chain(program.outputs()) {
        rows.extend(port.scale.runs().iter().map(|run| {
            let [low, high] = run.ends(port.range);
            let numbers = [low, high, run.step].map(|x| x.to_string());
            [vec![port.name.clone(), run.to_string()], numbers.to_vec()].concat()
        }));
    }
    say(&format!("\n{}", table(&rows)));
}

fn row(name: &str, figure: String) -> Vec<String> {
    vec![name.to_owned(), figure]
}

fn say_totals(program: &Program) {
    let (counts, key) = (program.counts(), program.verifier_key());
    let fidelity = program.fidelity();
    let on = |share: Option<f64>| share.map_or("-".into(), percent);
    let mut totals = vec![
        row("total", String::new()),
        row("ONNX nodes", grouped(counts.onnx_nodes)),
        row("parameters", grouped(counts.params)),
        row("boundaries", grouped(counts.boundaries)),
        row("lookups", grouped(counts.lookups)),
        row("committed constants", grouped(counts.constants)),
        row("committed witness values", grouped(counts.witness)),
        row("value ranges from", program.ranges().word().into()),
        row("error on samples", on(fidelity.map(|f| f.samples))),
        row(
            "error on quiet copies of them",
            on(fidelity.and_then(|f| f.quiet)),
        ),
        row("values in a row", grouped(1 << key.model().row_log2)),
        row(
            "elements of an answer",
            grouped(1 << key.model().answer_log2),
        ),
        row("proof", bytes(key.proof_bytes() as u64)),
        row("verifier key", bytes(key.to_bytes().len() as u64)),
    ];
    for (name, objective) in OBJECTIVES {
        if let Some(layout) = rows::best(key.model(), objective) {
            let proof = bytes(layout.proof_bytes as u64);
            totals.push(row(&format!("proof, for objective {name}"), proof));
        }
    }
    totals.extend(Security::of(key).rows().map(Vec::from));
    say(&format!("\n{}", table(&totals)));
}

fn say_visibility(key: &VerifierKey) {
    let mut rows = vec![row("who sees", "what".into())];
    let seen = seen(key.model()).into_iter();
    rows.extend(seen.map(|(name, seen)| row(&name, seen)));
    say(&format!("\n{}", table(&rows)));
}

fn say_budget(key: &VerifierKey) {
    let mut rows = vec![row("soundness error of the argument", "at most".into())];
    let terms = key.security_terms();
    let term = |term: &SecurityTerm| row(term.name, format!("2^{}", term.log2().ceil()));
    rows.extend(terms.iter().map(term));
    say(&format!("\n{}", table(&rows)));
    say(&format!("\n{}", Security::of(key).sources()));
}

/// Ports and weights, and who sees them.
fn seen(model: &Model) -> Vec<(String, String)> {
    let word = |visibility| format!("{visibility:?}").to_lowercase();
    let port = |port: &Port| (port.name.to_string(), word(port.visibility));
    let weights = ("weights".to_owned(), word(model.weights));
    model.ports().map(port).chain([weights]).collect()
}
