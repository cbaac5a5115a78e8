//! `zkiln run`: quantized inference without proofs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::args::ModelArgs;
use super::engine;
use super::error::CliError;
use super::terminal::{Progress, milliseconds, say, say_json};
use zkiln_compiler::Port;
use zkiln_compiler::tensors::{self, Finite, Line as InputLine, OutTensor, Side};

/// Run the quantized model on many inputs: exactly what would be proved, without proving it
#[derive(clap::Args)]
#[command(after_help = "\
One JSON object a line: {\"inputs\":[{\"name\",\"dtype\",\"shape\",\"data\"}]} in, {\"outputs\":[...]} out, in the same order.

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

/// One line of the results.
#[derive(Serialize)]
struct Line {
    outputs: Vec<OutTensor>,
}

/// Compiles once, then one line after the other.
pub fn run(args: &Args) -> Result<(), CliError> {
    let progress = Progress::new(args.json);
    progress.step("compiling");
    let open = |ports: &[Port]| Ok((ports.to_vec(), tensors::lines(&args.inputs, Side::Inputs)?));
    let (program, (ports, lines)) = args.model.program(ModelArgs::passing_blinding_key, open)?;
    let failed = |source| CliError::Write {
        file: args.out.display().to_string(),
        source,
    };
    let mut out = BufWriter::new(File::create(&args.out).map_err(failed)?);
    let started = Instant::now();
    let mut runs = 0u64;
    for line in lines {
        let InputLine { place, tensors, .. } = line?;
        progress.step(format!("running {place}"));
        let data = tensors::fit(tensors, &ports, &place, Finite::Required)?;
        let outputs = program
            .to_integers(&data)
            .and_then(|integers| program.run(&integers))
            .map_err(|e| CliError::Input {
                place,
                source: Box::new(e),
            })?;
        let line = Line {
            outputs: engine::tensors(program.outputs(), &outputs),
        };
        serde_json::to_writer(&mut out, &line).map_err(|e| failed(e.into()))?;
        out.write_all(b"\n").map_err(failed)?;
        runs += 1;
    }
    out.flush().map_err(failed)?;
    drop(progress);
    let ms = started.elapsed().as_secs_f64() * 1e3;
    if args.json {
        say_json(&json!({"model": program.origin(), "runs": runs, "run_ms": ms}));
    } else {
        say(&format!(
            "{runs} runs in {}, outputs in {}",
            milliseconds(ms),
            args.out.display()
        ));
    }
    Ok(())
}
