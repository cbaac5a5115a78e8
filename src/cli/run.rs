//! `zkiln run`: quantized inference without proofs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::args::ModelArgs;
use super::engine::{self, Program};
use super::error::CliError;
use super::terminal::{Progress, milliseconds, say, say_json};
use zkiln_compiler::Port;
use zkiln_compiler::tensors::{self, Finite, Line as InputLine, OutTensor, Side};

/// Run the quantized model on many inputs: exactly what would be proved, without proving it
#[derive(clap::Args)]
#[command(after_help = "\
One JSON object a line: {\"inputs\":[{\"name\",\"dtype\",\"shape\",\"data\"}]} in, {\"outputs\":[...]} out, in the same order. An input that is
refused gets the line {\"error\":\"...\"}; the others are run, and the exit code is 2.

Example:
  zkiln run models/tiny_mlp.onnx --inputs models/tiny_mlp.samples.jsonl --out outputs.jsonl")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The inputs, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    inputs: PathBuf,
    /// Where the outputs go, one JSON object a line
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// One line of the results: the outputs, or why the input is refused.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Outputs(Vec<OutTensor>),
    Error(String),
}

/// Compiles once, then one line after the other.
pub fn run(args: &Args) -> Result<(), CliError> {
    let progress = Progress::new(args.json);
    progress.step("compiling");
    let open = |ports: &[Port]| Ok((ports.to_vec(), tensors::lines(&args.inputs, Side::Inputs)?));
    let (program, (ports, lines)) =
        args.model
            .program(Some(&args.inputs), ModelArgs::passing_blinding_key, open)?;
    let failed = |source| CliError::Write {
        file: args.out.display().to_string(),
        source,
    };
    let mut out = BufWriter::new(File::create(&args.out).map_err(failed)?);
    let started = Instant::now();
    let (mut runs, mut refusals) = (0u64, Vec::new());
    for line in lines {
        let line = line?;
        progress.step(format!("running {}", line.place));
        let line = match answer(&program, &ports, line) {
            Ok(outputs) => Line::Outputs(outputs),
            Err(error) => {
                let line = Line::Error(error.to_string());
                refusals.push(error);
                line
            }
        };
        serde_json::to_writer(&mut out, &line).map_err(|e| failed(e.into()))?;
        out.write_all(b"\n").map_err(failed)?;
        runs += 1;
    }
    out.flush().map_err(failed)?;
    drop(progress);
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let refused = refusals.len();
    if args.json {
        say_json(
            &json!({"model": program.origin(), "ranges": program.ranges(), "runs": runs, "refused": refused, "run_ms": ms}),
        );
    } else {
        say(&format!(
            "{runs} runs in {}, outputs in {}",
            milliseconds(ms),
            args.out.display()
        ));
    }
    match refusals.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(CliError::Inputs {
            refused,
            runs,
            first: Box::new(first),
        }),
    }
}

/// The outputs of one input.
fn answer(program: &Program, ports: &[Port], line: InputLine) -> Result<Vec<OutTensor>, CliError> {
    let InputLine { place, tensors, .. } = line;
    let data = tensors::fit(tensors, ports, &place, Finite::Required)?;
    let outputs = program
        .to_integers(&data)
        .and_then(|integers| program.run(&integers))
        .map_err(|e| CliError::Input {
            place,
            source: Box::new(e),
        })?;
    Ok(engine::tensors(program.outputs(), &outputs))
}
