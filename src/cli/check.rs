//! `zkiln check`: everything at once, in one process.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::{self, ModelArgs};
use super::compare::{Comparison, compare};
use super::engine::{self, Program, ProveOptions, Proven};
use super::error::CliError;
use super::oracle;
use super::security::Security;
use super::stages::{Stage, Stages};
use super::terminal::{
    Progress, bytes, grouped, milliseconds, note_guesses, note_quiet, percent, say, say_json, table,
};
use zkiln_compiler::tensors::OutTensor;
use zkiln_compiler::{Fidelity, Port, PortInfo, Ranges};

/// Compile a model, run it, prove it, verify it, and compare its outputs
#[derive(clap::Args)]
#[command(after_help = "\
The input is --input, which is a calibration sample as well; else the first of --samples; else random, from a fixed seed.
Outputs are compared with the float model, with --expect if it is given, and with onnxruntime itself if --oracle names its library
(libonnxruntime.so: its Python wheel has one in onnxruntime/capi). An error beyond --tolerance, relative to the range of the expected
output, or an integer that is not equal, is exit code 1. Beside it stand the greatest errors of all --samples, relative to what outputs
span, and of copies of some that are 4 and 10 times quieter: max_rel_error is the greatest of all. Times are wall time; prove_ms includes witness_ms. Proofs hide inputs and weights
unless --visibility says otherwise.

Examples:
  zkiln check models/nanoGPT.onnx
  zkiln check models/nanoGPT.onnx --input models/nanoGPT.input.json --expect models/nanoGPT.expected.json --runs 5
  zkiln check model.onnx --dim batch=1 --dim sequence=16 --samples calibration.jsonl --json")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The input: JSON, .npy or .npz
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The expected outputs: JSON, .npy or .npz
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Prove and verify this often, and report medians
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Greatest error that passes, relative to the range of the expected output
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    tolerance: f64,
    /// Compare with onnxruntime as well: its shared library, which is loaded, never downloaded
    #[arg(long, value_name = "LIBRARY")]
    oracle: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is reported; the names are those of the JSON object.
#[derive(Serialize)]
struct Report {
    model: String,
    nodes: u64,
    params: u64,
    boundaries: u64,
    lookups: u64,
    outputs: Vec<OutTensor>,
    max_abs_error: f64,
    /// Relative to what the output spans: of this input, of the samples, and of quiet copies of these.
    max_rel_error: f64,
    fidelity: Option<Fidelity>,
    unequal_integers: usize,
    /// Relative to the range of the float model's output; none for a model that was compiled before.
    float_rel_error: Option<f64>,
    /// With onnxruntime, one an output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    oracle: Vec<oracle::Difference>,
    ranges: Ranges,
    argmax_agreement: Option<f64>,
    compile_ms: f64,
    witness_ms: f64,
    prove_ms: f64,
    verify_ms: f64,
    proof_bytes: usize,
    verifier_key_bytes: usize,
    peak_rss_bytes: u64,
    security: Security,
    verified: bool,
}

/// The whole way of one input.
pub fn run(args: &Args) -> Result<(), CliError> {
    let (progress, stages) = Progress::timed(args.json);
    progress.step("compiling");
    let ready = match args.model.compiled()? {
        Some(program) => of_folder(args, program)?,
        None => of_model(args)?,
    };
    let program = &ready.program;
    note_guesses(program.ranges());
    note_quiet(program.fidelity());
    let integers = program.to_integers(&ready.input)?;

    let runs = measure(program, &integers, args.runs, &stages, &progress)?;
    let outputs = engine::tensors(program.outputs(), &runs.proven.outputs);
    let oracle = match &args.oracle {
        Some(library) => {
            progress.step("asking onnxruntime");
            let right = oracle::run(library, &args.model.model, &ready.inputs, &ready.input)?;
            oracle::differences(&ready.outputs, &outputs, ready.float.as_deref(), &right)
        }
        None => Vec::new(),
    };
    drop(progress);
    let (counts, key) = (program.counts(), program.verifier_key());
    let with = |expected: &Vec<Vec<f64>>| compare(&outputs, expected);
    let with_float = ready.float.as_ref().map(with);
    let comparison = ready.expected.as_ref().map(with).or(with_float);
    let comparison = comparison.unwrap_or_default();
    let stated = program.fidelity();
    let report = Report {
        model: program.origin().to_owned(),
        nodes: counts.onnx_nodes,
        params: counts.params,
        boundaries: counts.boundaries,
        lookups: counts.lookups,
        outputs,
        max_abs_error: comparison.max_abs,
        max_rel_error: stated
            .map_or(0.0, Fidelity::greatest)
            .max(comparison.max_rel),
        fidelity: stated,
        unequal_integers: comparison.unequal,
        float_rel_error: with_float.map(|comparison| comparison.max_rel),
        oracle,
        ranges: program.ranges(),
        argmax_agreement: comparison.argmax_agreement,
        compile_ms: ms(ready.compile),
        witness_ms: runs.witness_ms,
        prove_ms: median(runs.prove_ms),
        verify_ms: median(runs.verify_ms),
        proof_bytes: runs.proven.proof.as_bytes().len(),
        verifier_key_bytes: key.to_bytes().len(),
        peak_rss_bytes: peak_rss_bytes(),
        security: Security::of(key),
        verified: true,
    };
    match args.json {
        true => say_json(&report),
        false => say_report(&report, &comparison, &runs.stages),
    }
    judge("what is expected", &comparison, args.tolerance)?;
    if let Some(comparison) = &with_float {
        judge("the float model", comparison, args.tolerance)?;
    }
    oracle::judge(&report.oracle, args.tolerance)
}

/// A program with an input, and what it should give.
struct Ready {
    program: Program,
    /// As the ONNX file declares them.
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    input: Vec<Vec<f64>>,
    /// If they are given.
    expected: Option<Vec<Vec<f64>>>,
    /// What the float model makes of the input, if there is one.
    float: Option<Vec<Vec<f64>>>,
    /// Time to read, calibrate, lower and commit.
    compile: Duration,
}

/// Compiles the model, on the input as well as on the samples.
fn of_model(args: &Args) -> Result<Ready, CliError> {
    let mut compile = Duration::ZERO;
    let started = Instant::now();
    let request = match &args.input {
        Some(input) => args.model.request_for(input),
        None => args.model.request(),
    };
    let mut source = request.read()?;
    compile += started.elapsed();
    let given = args.input.as_ref();
    let given = given.map(|path| args::read_inputs(path, source.inputs()));
    let given = given.transpose()?;
    let expected = args.expect.as_ref();
    let expected = expected.map(|path| args::read_outputs(path, source.outputs()));
    let expected = expected.transpose()?;
    if let Some(input) = &given {
        source.add_sample(input);
    }
    let (inputs, outputs) = (source.inputs().to_vec(), source.outputs().to_vec());
    let first = source.samples().first();
    let first = first.map(|sample| sample.iter().map(|tensor| tensor.data.clone()).collect());
    let started = Instant::now();
    let float = source.prepare()?;
    compile += started.elapsed();
    let input = given.or(first).unwrap_or_else(|| float.synthetic_input());
    let outputs_of_floats = float.run(&input)?;
    let started = Instant::now();
    let compiled = float.compile(&args.model.passing_blinding_key()?)?;
    let program = Program::new(compiled, &args.model.file_name())?;
    compile += started.elapsed();
    Ok(Ready {
        program,
        inputs,
        outputs,
        input,
        expected,
        float: Some(outputs_of_floats),
        compile,
    })
}

/// A model that is compiled already has no floats to compare with, and no samples.
fn of_folder(args: &Args, program: Program) -> Result<Ready, CliError> {
    if args.oracle.is_some() {
        return Err(CliError::file(
            &args.model.model,
            "it is a compiled model, and --oracle runs the ONNX file: give that one",
        ));
    }
    let (Some(input), Some(expected)) = (&args.input, &args.expect) else {
        return Err(CliError::file(
            &args.model.model,
            "it is a compiled model, which has no floats to compare with: give --input and --expect",
        ));
    };
    let inputs: Vec<_> = program.inputs().iter().map(PortInfo::port).collect();
    let outputs: Vec<_> = program.outputs().iter().map(PortInfo::port).collect();
    Ok(Ready {
        input: args::read_inputs(input, &inputs)?,
        expected: Some(args::read_outputs(expected, &outputs)?),
        inputs,
        outputs,
        float: None,
        program,
        compile: Duration::ZERO,
    })
}

/// What proving and verifying gave, and how long it took each time.
struct Runs {
    proven: Proven,
    witness_ms: f64,
    prove_ms: Vec<f64>,
    verify_ms: Vec<f64>,
    /// Of the average run.
    stages: Vec<Stage>,
}

fn measure(
    program: &Program,
    integers: &[Vec<i64>],
    count: u32,
    stages: &Stages,
    progress: &Progress,
) -> Result<Runs, CliError> {
    let (mut prove_ms, mut verify_ms) = (Vec::new(), Vec::new());
    let mut last = None;
    stages.take();
    for run in 1..=count {
        progress.step(format!("proving, run {run} of {count}"));
        let proving = Instant::now();
        let proven = program.prove(integers, &ProveOptions::default())?;
        prove_ms.push(ms(proving.elapsed()));
        progress.step(format!("verifying, run {run} of {count}"));
        let verifying = Instant::now();
        engine::verify(program.verifier_key(), &proven.statement, &proven.proof)?;
        verify_ms.push(ms(verifying.elapsed()));
        last = Some(proven);
    }
    let Some(proven) = last else {
        return Err(CliError::Statement("nothing was proved".into()));
    };
    let mut stages = stages.take();
    stages.retain(|stage| !stage.name.starts_with("verify"));
    for stage in &mut stages {
        stage.time /= count;
    }
    let witness = stages.iter().find(|stage| stage.name == "witness");
    let witness_ms = witness.map_or(0.0, |stage| ms(stage.time));
    Ok(Runs {
        proven,
        witness_ms,
        prove_ms,
        verify_ms,
        stages,
    })
}

fn judge(other: &str, comparison: &Comparison, tolerance: f64) -> Result<(), CliError> {
    comparison.within(tolerance).map_err(|reason| {
        CliError::Comparison(format!(
            "beside {other}, {reason}; give --samples or more bits"
        ))
    })
}

fn say_report(report: &Report, comparison: &Comparison, stages: &[Stage]) {
    let row = |name: &str, figure: String| vec![name.to_owned(), figure];
    let agreement = report.argmax_agreement;
    let on = |share: Option<f64>| share.map_or("-".into(), percent);
    let mut figures = vec![
        row("model", report.model.clone()),
        row("ONNX nodes", grouped(report.nodes)),
        row("parameters", grouped(report.params)),
        row("boundaries", grouped(report.boundaries)),
        row("lookups", grouped(report.lookups)),
        row("greatest error", format!("{:.3e}", report.max_abs_error)),
        row("of the range", percent(comparison.max_rel)),
        row("on all samples", on(report.fidelity.map(|f| f.samples))),
        row(
            "on quiet copies of them",
            on(report.fidelity.and_then(|f| f.quiet)),
        ),
        row("value ranges from", report.ranges.word().into()),
        row(
            "argmax agreement",
            agreement.map_or("-".into(), |a| format!("{:.1} %", 100.0 * a)),
        ),
        row("compile", milliseconds(report.compile_ms)),
        row("prove", milliseconds(report.prove_ms)),
        row("verify", milliseconds(report.verify_ms)),
        row("proof", bytes(report.proof_bytes as u64)),
        row("verifier key", bytes(report.verifier_key_bytes as u64)),
        row("peak memory", bytes(report.peak_rss_bytes)),
    ];
    figures.extend(report.security.rows().map(Vec::from));
    let verified = if report.verified { "yes" } else { "no" };
    figures.push(row("verified", verified.into()));
    say(&table(&figures));
    let mut rows = vec![
        ["stage of proving", "time", "share"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(stages.iter().map(|stage| {
        let time = ms(stage.time);
        vec![
            format!("{}{}", "  ".repeat(stage.depth), stage.name),
            milliseconds(time),
            format!("{:.0} %", 100.0 * time / report.prove_ms),
        ]
    }));
    say(&format!("\n{}", table(&rows)));
    oracle::say(&report.oracle);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Zero for none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(a), Some(b)) => (a + b) / 2.0,
        _ => 0.0,
    }
}

/// Greatest memory of this process so far; zero where the system does not say.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn judges_by_the_range() {
        let comparison = |max_rel| Comparison {
            max_abs: 1.0,
            max_rel,
            unequal: 0,
            argmax_agreement: None,
        };
        assert!(judge("y", &comparison(0.01), 0.1).is_ok());
        assert_eq!(
            judge("y", &comparison(0.2), 0.1).unwrap_err().exit_code(),
            1
        );
        assert!(judge("y", &comparison(f64::NAN), 0.1).is_err());
    }
}
