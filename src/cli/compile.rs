//! `zkiln compile`: the generated module as files.

use std::path::PathBuf;

use serde_json::json;

use super::args::{self, ModelArgs};
use super::engine::{self, FloatNetwork};
use super::error::CliError;
use super::terminal::{Progress, bytes, say, say_json};

/// Write the generated Rust module, its weights and its verifier key
#[derive(clap::Args)]
#[command(after_help = "\
Writes NAME.rs (the module), NAME.weights (the quantised weights that it includes, with what hides them: secret) and NAME.vk (the
verifier key). The key comes out the same again for the same model, options and salt.
Inside a crate, `zkiln::include_model!(\"model.onnx\")` does the same at compile time.

Example:
  zkiln compile models/nanoGPT.onnx --out generated")]
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
    let float = FloatNetwork::load(&args.model.model, &args.model.dimensions)?;
    let options = args.model.options(float.inputs())?;
    drop(float);
    let salt = args.model.kept_salt(&options)?;
    let files = engine::emit(&args.model.model, &options, &salt)?;
    drop(progress);
    std::fs::create_dir_all(&args.out).map_err(|source| CliError::Write {
        file: args.out.display().to_string(),
        source,
    })?;
    let mut written = Vec::new();
    for (name, content) in files {
        let path = args.out.join(name);
        match path.extension() {
            Some(secret) if secret == "weights" => args::write_secret(&path, &content)?,
            _ => args::write(&path, &content)?,
        }
        written.push((path.display().to_string(), content.len()));
    }
    if args.json {
        let files = written.iter();
        let files: Vec<_> = files
            .map(|(file, len)| json!({"file": file, "bytes": len}))
            .collect();
        say_json(&json!({"model": args.model.file_name(), "files": files}));
    } else {
        for (file, len) in written {
            say(&format!("{file}: {}", bytes(len as u64)));
        }
    }
    Ok(())
}
