//! `zkiln conformance`: a folder of cases, each a model with an input and the output that is right.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;
use zkiln_compiler::compile::{Request, Source};
use zkiln_compiler::tensors::{self, Finite, Line, OutTensor, Side, TensorError};
use zkiln_compiler::{CompileError, Options, Port, blinding_key};

use super::args;
use super::compare::{Comparison, compare};
use super::engine::{self, Program, ProveOptions};
use super::error::CliError;
use super::terminal::{Progress, milliseconds, say, say_json, table};

/// The file that a case is calibrated on.
const SAMPLES: &str = "samples.jsonl";

/// Run a folder of cases and count which are right, refused and wrong
#[derive(clap::Args)]
#[command(after_help = "\
A case is a folder with `model.onnx`, `input.json` and `expected.json`; or, for several inputs, `tests.jsonl` and `tests.expected.jsonl`.
It is calibrated on its `samples.jsonl`, or where there is none on its inputs themselves.
right: every output is within --tolerance of the expected output's range (and, with --prove, the proofs verify);
refused: the compiler says what it cannot compile, or cannot compile faithfully, or an input leaves the range of the samples;
wrong: anything else. Exit code 1 if any case is wrong.

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
    /// Length of a symbolic dimension (those of the inputs unless given); may be repeated
    #[arg(long = "dim", value_name = "NAME=N", value_parser = args::dimension)]
    dimensions: Vec<(String, usize)>,
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
            "there is no case in it: a folder with `model.onnx`, inputs and expected outputs",
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
    let has_samples = folder.join(SAMPLES).is_file();
    let attempted = attempt(folder, args);
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let (verdict, reason) = match &attempted {
        Ok(ran) if ran.comparison.within(args.tolerance).is_err() => {
            (Verdict::Wrong, ran.comparison.within(args.tolerance).err())
        }
        Ok(Ran { fault: None, .. }) => (Verdict::Right, None),
        Ok(Ran { fault: Some(e), .. }) | Err(e) => match is_refusal(e, has_samples) {
            true => (Verdict::Refused, Some(e.to_string())),
            false => (Verdict::Wrong, Some(e.to_string())),
        },
    };
    let ran = attempted.ok();
    let error = ran.as_ref().map(|ran| ran.comparison.max_rel);
    Case {
        name: name(folder),
        verdict,
        operators: engine::operators(&folder.join("model.onnx")),
        proved_by: ran.map(|ran| ran.proved_by),
        error,
        reason,
        ms,
    }
}

/// Whether the compiler refused the model, or an input left the range of samples that are not the input itself: neither is a fault.
fn is_refusal(error: &CliError, has_samples: bool) -> bool {
    match error {
        CliError::Compile(CompileError::Nodes(_) | CompileError::Unfaithful(_)) => true,
        CliError::Compile(CompileError::Load { reason, .. }) => !reason.contains("panicked"),
        CliError::Prove(_) => has_samples,
        _ => false,
    }
}

/// What a case is run on, and what is right for it, in the order of the ports.
struct Test {
    input: Vec<Vec<f64>>,
    expected: Vec<Vec<f64>>,
}

/// The tests of a case: those of `tests.jsonl`, or the one of `input.json`.
fn tests(folder: &Path, source: &Source) -> Result<Vec<Test>, CliError> {
    let many = folder.join("tests.jsonl");
    if !many.is_file() {
        return Ok(vec![Test {
            input: args::read_inputs(&folder.join("input.json"), source.inputs())?,
            expected: args::read_outputs(&folder.join("expected.json"), source.outputs())?,
        }]);
    }
    let expected = folder.join("tests.expected.jsonl");
    let inputs = fitted(&many, Side::Inputs, source.inputs(), Finite::Required)?;
    let outputs = fitted(&expected, Side::Outputs, source.outputs(), Finite::Any)?;
    if inputs.len() != outputs.len() {
        let reason = format!("it has {} lines for {} inputs", outputs.len(), inputs.len());
        return Err(CliError::file(&expected, reason));
    }
    let pairs = inputs.into_iter().zip(outputs);
    Ok(pairs
        .map(|(input, expected)| Test { input, expected })
        .collect())
}

/// The elements of every line of a file.
fn fitted(
    path: &Path,
    side: Side,
    ports: &[Port],
    finite: Finite,
) -> Result<Vec<Vec<Vec<f64>>>, CliError> {
    let fitted = |line: Result<Line, TensorError>| {
        let line = line?;
        Ok(tensors::fit(line.tensors, ports, &line.place, finite)?)
    };
    tensors::lines(path, side)?.map(fitted).collect()
}

/// What came of a case that was compiled.
struct Ran {
    proved_by: ProvedBy,
    /// How far all inputs with an answer are from what is right.
    comparison: Comparison,
    /// Why the first input that has no answer has none.
    fault: Option<CliError>,
}

/// Compiles a case, runs its inputs and, if asked, proves and verifies them.
fn attempt(folder: &Path, args: &Args) -> Result<Ran, CliError> {
    let samples = folder.join(SAMPLES);
    let has_samples = samples.is_file();
    let given = ["input.json", "tests.jsonl"].map(|name| folder.join(name));
    let given = given.iter().find(|path| path.is_file());
    let request = Request {
        options: Options {
            dimensions: args.dimensions.clone(),
            shapes: given.map_or_else(Vec::new, |path| tensors::shapes(path).unwrap_or_default()),
            ..Options::default()
        },
        samples: has_samples.then_some(samples).into_iter().collect(),
        ..Request::new(folder.join("model.onnx"))
    };
    let mut source = request.read()?;
    let tests = tests(folder, &source)?;
    if !has_samples {
        for test in &tests {
            source.add_sample(&test.input);
        }
    }
    let compiled = source.prepare()?.compile(&blinding_key::ephemeral())?;
    let program = Program::new(compiled, "model.onnx")?;
    let (mut comparison, mut fault) = (Comparison::default(), None);
    for test in &tests {
        match outputs(&program, &test.input, args.prove) {
            Ok(outputs) => comparison = comparison.and(compare(&outputs, &test.expected)),
            Err(e) => fault = fault.or(Some(e)),
        }
    }
    Ok(Ran {
        proved_by: proved_by(&program),
        comparison,
        fault,
    })
}

fn outputs(program: &Program, input: &[Vec<f64>], prove: bool) -> Result<Vec<OutTensor>, CliError> {
    let integers = program.to_integers(input)?;
    let outputs = match prove {
        false => program.run(&integers)?,
        true => {
            let proven = program.prove(&integers, &ProveOptions::default())?;
            engine::verify(program.verifier_key(), &proven.statement, &proven.proof)?;
            proven.outputs
        }
    };
    Ok(engine::tensors(program.outputs(), &outputs))
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
