//! `zkiln compile`: the generated module as files.

use std::path::PathBuf;

use serde_json::json;
use zkiln_compiler::artefact;

use super::args::ModelArgs;
use super::error::CliError;
use super::terminal::{Progress, bytes, note_guesses, note_quiet, say, say_json};

/// Compile a model to a folder that proves without compiling again
#[derive(clap::Args)]
#[command(after_help = "\
Writes NAME.vk (the verifier key), NAME.weights (the quantized weights, with what hides them: secret), NAME.json (ports, scales and
nodes, for people and programs), NAME.rs and NAME.commitments (the generated module and what it includes). `zkiln prove`, `run`,
`check` and `inspect` take the folder in place of the model. The key comes out the same again for the same model, options and blinding key.
Inside a crate, `zkiln::include_model!(\"model.onnx\")` does the same at compile time.

Example:
  zkiln compile models/nanoGPT.onnx --samples models/nanoGPT.samples.jsonl --out compiled
  zkiln prove compiled --input models/nanoGPT.input.json --proof proof.bin --public public.json")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The folder to write to; made if it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Compiles and writes.
pub fn run(args: &Args) -> Result<(), CliError> {
    let progress = Progress::new(args.json);
    progress.step("compiling");
    let compiled = args.model.request().compile()?;
    drop(progress);
    let ranges = compiled.lowered.ranges;
    note_guesses(ranges);
    note_quiet(compiled.lowered.fidelity);
    let written = artefact::write(&args.out, &compiled, &args.model.file_name())?;
    if args.json {
        let files = written.iter();
        let files: Vec<_> = files
            .map(|(file, len)| json!({"file": file.display().to_string(), "bytes": len}))
            .collect();
        let fidelity = compiled.lowered.fidelity;
        say_json(
            &json!({"model": args.model.file_name(), "ranges": ranges, "fidelity": fidelity, "files": files}),
        );
    } else {
        for (file, len) in written {
            say(&format!("{}: {}", file.display(), bytes(len as u64)));
        }
    }
    Ok(())
}
