//! `facron explain`: says, rule by rule, whether an event on a path fires it, and which setting decides.

use super::{ExitStatus, Global};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub fn run(_args: &Args, _global: &Global) -> ExitStatus {
    ExitStatus::Failed
}
