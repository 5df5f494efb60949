//! The doorway: parse, call, exit code.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    facron::cli::run(&facron::cli::Cli::parse()).into()
}
