//! The command line: one file a subcommand; nothing is decided here.

pub mod args;
pub mod check;
pub mod completions;
pub mod control;
pub mod directories;
pub mod events;
pub mod explain;
pub mod guard;
pub mod import;
#[cfg(feature = "desktop")]
pub mod notify;
pub mod output;
pub mod rule_files;
pub mod rule_names;
pub mod run;
pub mod schema;
pub mod status;

use crate::sys::process;

pub use args::{Cli, Command, Global};

/// The exit statuses: the one table (SPEC 1, sysexits(3) where there is one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It did what was asked.
    Ok = 0,
    /// It failed, or found what it was asked to look for.
    Failed = 1,
    /// It was asked wrongly.
    Usage = 2,
    /// Another instance runs.
    AlreadyRunning = 3,
    /// A privilege is missing.
    NoPermission = 77,
    /// The rules are bad; nothing was armed.
    BadRules = 78,
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        std::process::ExitCode::from(status as u8)
    }
}

/// Carries out a command line.
pub fn run(cli: &Cli) -> ExitStatus {
    match &cli.command {
        Command::Run(args) => run::run(args, &cli.global),
        Command::Import(args) => import::run(args, &cli.global),
        Command::Check(args) => check::run(args, &cli.global),
        Command::Explain(args) => explain::run(args, &cli.global),
        Command::Events(args) => events::run(args, &cli.global),
        Command::Status(args) => status::run(args, &cli.global),
        Command::Control(command) => control::run(command, &cli.global),
        Command::Schema(args) => schema::run(args, &cli.global),
        Command::Completions(args) => completions::run(args, &cli.global),
        Command::Guard(args) => guard::run(args, &cli.global),
        Command::Hold => process::wait_for_ever(),
        Command::RuleNames(args) => rule_names::run(args, &cli.global),
        #[cfg(feature = "desktop")]
        Command::Notify(args) => notify::run(args, &cli.global),
    }
}
