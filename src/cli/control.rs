//! `facron trigger`, `pause`, `resume`, `reload`: tell the running daemon.

use super::{ExitStatus, Global};

/// The subcommands that tell the daemon.
#[derive(Debug, clap::Subcommand)]
pub enum Args {}

/// Carries one out.
pub fn run(command: &Args, _global: &Global) -> ExitStatus {
    match *command {}
}
