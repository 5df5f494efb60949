//! `facron __notify`: the child that tells a desktop (hidden; started by the daemon, with the identity of its user).

use super::{ExitStatus, Global};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub fn run(_args: &Args, _global: &Global) -> ExitStatus {
    match crate::desktop::helper::run(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitStatus::Ok,
        Err(_) => ExitStatus::Failed,
    }
}
