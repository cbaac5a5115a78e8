//! The command line of zkiln.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
