//! `facron check`: lints rules, touching nothing.

use super::{ExitStatus, Global};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub fn run(_args: &Args, _global: &Global) -> ExitStatus {
    ExitStatus::Failed
}
