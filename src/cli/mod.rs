//! The command line: one file a command, `engine` the only one that knows how a model is compiled and proved.

mod args;
mod audit;
mod calibrate;
mod check;
mod compare;
mod compile;
mod conformance;
mod engine;
mod error;
mod inspect;
mod openings;
mod oracle;
mod prove;
mod public;
mod run;
mod security;
mod stages;
mod terminal;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;

/// Proves that an ONNX model was run: compile it, run it, prove it, verify it.
#[derive(Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "\
Exit codes: 0 fine; 1 failed (a proof rejected, a comparison failed); 2 the model, an input or the command line refused.
Start with: zkiln check models/nanoGPT.onnx --input models/nanoGPT.input.json"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Calibrate(calibrate::Args),
    Run(run::Args),
    Compile(compile::Args),
    Inspect(inspect::Args),
    Prove(prove::Args),
    Verify(verify::Args),
    Open(openings::Args),
    Audit(audit::Args),
    Conformance(conformance::Args),
}

impl Command {
    fn run(&self) -> Result<(), CliError> {
        match self {
            Self::Check(args) => check::run(args),
            Self::Calibrate(args) => calibrate::run(args),
            Self::Run(args) => run::run(args),
            Self::Compile(args) => compile::run(args),
            Self::Inspect(args) => inspect::run(args),
            Self::Prove(args) => prove::run(args),
            Self::Verify(args) => verify::run(args),
            Self::Open(args) => openings::run(args),
            Self::Audit(args) => audit::run(args),
            Self::Conformance(args) => conformance::run(args),
        }
    }

    fn json(&self) -> bool {
        match self {
            Self::Check(args) => args.json,
            Self::Calibrate(args) => args.json,
            Self::Run(args) => args.json,
            Self::Compile(args) => args.json,
            Self::Inspect(args) => args.json,
            Self::Prove(args) => args.json,
            Self::Verify(args) => args.json,
            Self::Open(args) => args.json,
            Self::Audit(args) => args.json,
            Self::Conformance(args) => args.json,
        }
    }
}

/// Runs what the process was asked for.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    match command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zkiln: {error}");
            // `check`, `conformance` and `run` have said their figures already when only some of it failed.
            if command.json() && !matches!(error, CliError::Comparison(_) | CliError::Inputs { .. })
            {
                terminal::say_json(&error.json());
            }
            ExitCode::from(error.exit_code())
        }
    }
}
