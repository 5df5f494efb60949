//! The command line as written.

use clap::{Parser, Subcommand};

use super::{check, completions, control, events, explain, guard, import, run, schema, status};

/// A filesystem cron: when these files change, run this command, reliably.
#[derive(Debug, Parser)]
#[command(name = "facron", version, about, max_term_width = 100)]
pub struct Cli {
    /// What holds for every subcommand.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every subcommand.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// When to colour messages
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: clap::ColorChoice,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch, and run commands, until SIGTERM or SIGINT
    Run(run::Args),
    /// Translate classic facron.conf or incrontabs to a rule file
    Import(import::Args),
    /// Lint rules, touching nothing
    Check(check::Args),
    /// Say, rule by rule, whether an event on a path fires it, and which setting decides
    Explain(explain::Args),
    /// Print the live event stream
    Events(events::Args),
    /// Ask the running daemon
    Status(status::Args),
    /// Tell the running daemon
    #[command(flatten)]
    Control(control::Args),
    /// Print the JSON Schema of the rule file
    Schema(schema::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Answer permission events: started by the daemon alone
    #[command(name = "__guard", hide = true)]
    Guard(guard::Args),
    /// Hold a place among the processes; started by the daemon
    #[command(name = crate::supervisor::HOLDER_SUBCOMMAND, hide = true)]
    Hold,
    /// Print the names of the daemon's rules, for completion
    #[command(name = super::rule_names::SUBCOMMAND, hide = true)]
    RuleNames(super::rule_names::Args),
    /// Tell a desktop; started by the daemon
    #[cfg(feature = "desktop")]
    #[command(name = crate::desktop::SUBCOMMAND, hide = true)]
    Notify(super::notify::Args),
}
