//! `zkiln conformance`: a folder of cases, each a model with an input and the output that is right.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;
use zkiln_compiler::compile::Request;
use zkiln_compiler::{CompileError, blinding_key};

use super::args;
use super::compare::compare;
use super::engine::{self, Program};
use super::error::CliError;
use super::terminal::{Progress, milliseconds, say, say_json, table};

/// Run a folder of cases and count which are right, refused and wrong
#[derive(clap::Args)]
#[command(after_help = "\
A case is a folder with `model.onnx`, `input.json` and `expected.json`; the input is its calibration sample.
right: every output is within --tolerance of the expected output's range (and, with --prove, the proof verifies);
refused: the compiler says what it cannot compile, or cannot compile faithfully; wrong: anything else. Exit code 1 if any case is wrong.

Examples:
  zkiln conformance cases/
  zkiln conformance cases/ --prove --only resize --json")]
pub struct Args {
    /// The folder of cases
    folder: PathBuf,
    /// Prove and verify every case
    #[arg(long)]
    prove: bool,
    /// Only cases with this in their names
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Greatest error that is right, relative to the range of the expected output
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    tolerance: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Right,
    Refused,
    Wrong,
}

/// One case; the names are those of the JSON object.
#[derive(Debug, Serialize)]
struct Case {
    name: String,
    verdict: Verdict,
    /// Types of the model's nodes.
    operators: Vec<String>,
    /// What proves it, and how many lookups an output element takes.
    proved_by: Option<ProvedBy>,
    /// Greatest error relative to the output's range, where there is an output.
    error: Option<f64>,
    /// Why it is refused or wrong.
    reason: Option<String>,
    ms: f64,
}

/// How a compiled case is proved.
#[derive(Debug, Serialize)]
struct ProvedBy {
    relations: BTreeSet<String>,
    lookups_per_element: f64,
}

/// All cases.
#[derive(Serialize)]
struct Report {
    cases: usize,
    right: usize,
    refused: usize,
    wrong: usize,
    proved: bool,
    results: Vec<Case>,
}

/// Runs the cases, several at a time.
pub fn run(args: &Args) -> Result<(), CliError> {
    let folders = folders(&args.folder, args.only.as_deref())?;
    let progress = Progress::new(args.json);
    let done = AtomicUsize::new(0);
    let case = |folder: &PathBuf| {
        let case = judge(folder, args);
        let count = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress.step(format!("{count} of {} cases: {}", folders.len(), case.name));
        case
    };
    let results: Vec<Case> = folders.par_iter().map(case).collect();
    drop(progress);
    let count = |verdict| {
        results
            .iter()
            .filter(|case| case.verdict == verdict)
            .count()
    };
    let report = Report {
        cases: results.len(),
        right: count(Verdict::Right),
        refused: count(Verdict::Refused),
        wrong: count(Verdict::Wrong),
        proved: args.prove,
        results,
    };
    match args.json {
        true => say_json(&report),
        false => say_report(&report),
    }
    match report.wrong {
        0 => Ok(()),
        wrong => Err(CliError::Comparison(format!("{wrong} case(s) are wrong"))),
    }
}

/// The folders with a model, in the order of their names.
fn folders(folder: &Path, only: Option<&str>) -> Result<Vec<PathBuf>, CliError> {
    let entries = fs::read_dir(folder).map_err(|e| CliError::file(folder, e))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| CliError::file(folder, e))?.path();
        let wanted = only.is_none_or(|text| name(&path).contains(text));
        if wanted && path.join("model.onnx").is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    match folders.is_empty() {
        true => Err(CliError::file(
            folder,
            "there is no case in it: a folder with `model.onnx`, `input.json` and `expected.json`",
        )),
        false => Ok(folders),
    }
}

fn name(folder: &Path) -> String {
    folder
        .file_name()
        .unwrap_or(folder.as_os_str())
        .to_string_lossy()
        .into_owned()
}

fn judge(folder: &Path, args: &Args) -> Case {
    let started = Instant::now();
    let attempted = attempt(folder, args.prove);
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let (verdict, reason) = match &attempted {
        Ok((_, error)) if *error <= args.tolerance => (Verdict::Right, None),
        Ok((_, error)) => (
            Verdict::Wrong,
            Some(format!(
                "the greatest error is {error:.4} of the output's range"
            )),
        ),
        Err(e) if is_refusal(e) => (Verdict::Refused, Some(e.to_string())),
        Err(e) => (Verdict::Wrong, Some(e.to_string())),
    };
    let (proved_by, error) = attempted.ok().unzip();
    Case {
        name: name(folder),
        verdict,
        operators: engine::operators(&folder.join("model.onnx")),
        proved_by,
        error,
        reason,
        ms,
    }
}

/// Whether the compiler refused the model, which is not a fault.
fn is_refusal(error: &CliError) -> bool {
    match error {
        CliError::Compile(CompileError::Nodes(_) | CompileError::Unfaithful { .. }) => true,
        CliError::Compile(CompileError::Load { reason, .. }) => !reason.contains("panicked"),
        _ => false,
    }
}

/// Compiles, runs and, if asked, proves and verifies a case: how, and the greatest error relative to the output's range.
fn attempt(folder: &Path, prove: bool) -> Result<(ProvedBy, f64), CliError> {
    let model = folder.join("model.onnx");
    let mut source = Request::new(&model).read()?;
    let input = args::read_inputs(&folder.join("input.json"), source.inputs())?;
    let expected = args::read_outputs(&folder.join("expected.json"), source.outputs())?;
    source.add_sample(&input);
    let compiled = source.prepare()?.compile(&blinding_key::ephemeral())?;
    let program = Program::new(compiled, "model.onnx")?;
    let integers = program.to_integers(&input)?;
    let outputs = match prove {
        false => program.run(&integers)?,
        true => {
            let proven = program.prove(&integers, &[])?;
            engine::verify(program.verifier_key(), &proven.statement, &proven.proof)?;
            proven.outputs
        }
    };
    let outputs = engine::tensors(program.outputs(), &outputs);
    Ok((proved_by(&program), compare(&outputs, &expected).max_rel))
}

fn proved_by(program: &Program) -> ProvedBy {
    let elements = program
        .outputs()
        .iter()
        .map(|port| port.shape.iter().product::<usize>());
    ProvedBy {
        relations: program
            .report()
            .iter()
            .map(|line| line.relation.clone())
            .collect(),
        lookups_per_element: program.counts().lookups as f64 / elements.sum::<usize>() as f64,
    }
}

fn say_report(report: &Report) {
    let cells = |case: &Case| {
        let reason = case.reason.clone().unwrap_or_default();
        let verdict = format!("{:?}", case.verdict).to_lowercase();
        let first = reason.lines().last().unwrap_or_default().trim().to_owned();
        vec![case.name.clone(), verdict, milliseconds(case.ms), first]
    };
    let heading = ["case", "verdict", "time", "reason"]
        .map(str::to_owned)
        .to_vec();
    let others = report
        .results
        .iter()
        .filter(|case| case.verdict != Verdict::Right);
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(others.map(cells)).collect();
    if rows.len() > 1 {
        say(&table(&rows));
    }
    let proved = if report.proved { " and proved" } else { "" };
    say(&format!(
        "{} cases: {} right{proved}, {} refused, {} wrong",
        report.cases, report.right, report.refused, report.wrong
    ));
}
