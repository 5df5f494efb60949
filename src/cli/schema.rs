//! `facron schema`: prints the JSON Schema of the rule file.

use super::output::print_and_end;
use super::{ExitStatus, Global};
use crate::config;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub fn run(_args: &Args, global: &Global) -> ExitStatus {
    print_and_end(&config::schema(), ExitStatus::Ok, global)
}
