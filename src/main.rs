//! The command line of zkiln.

mod cli;
mod tensors;

fn main() -> std::process::ExitCode {
    cli::main()
}
