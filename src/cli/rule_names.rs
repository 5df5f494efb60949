//! `facron __rules`: prints the names of the running daemon's rules, for completion (hidden; silent without a daemon).

use super::output::print_and_end;
use super::rule_files::RuleFiles;
use super::{ExitStatus, Global, directories};
use crate::control::{Caller, Response, Verb};
use crate::escape;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__rules";

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    rule_files: RuleFiles,
}

/// Carries it out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    let verb = Verb::Status { rule: None, follow: false };
    let status = directories::of_running_daemon(&args.rule_files)
        .ok()
        .and_then(|runtime_dir| Caller::ask(&runtime_dir, &verb).ok()?.answer().ok()?);
    let Some(Response::Status(status)) = status else { return ExitStatus::Failed };
    let names: String = status.rules.iter().map(|rule| format!("{}\n", escape::line(&rule.name))).collect();
    print_and_end(&names, ExitStatus::Ok, global)
}
