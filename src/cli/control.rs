//! `facron trigger`, `pause`, `resume`, `reload`: tell the running daemon.

use std::path::PathBuf;

use super::output::{print_and_end, say};
use super::rule_files::RuleFiles;
use super::{ExitStatus, Global, directories};
use crate::control::{Caller, Response, Verb};
use crate::escape;

/// The subcommands that tell the daemon.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Fire a rule as if PATH had just changed
    Trigger {
        /// Which rule
        rule: String,
        /// What changed [default: the rule's own path]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Which daemon
        #[command(flatten)]
        rule_files: RuleFiles,
    },
    /// Let what arrives for a rule wait
    Pause {
        /// Which rule
        rule: String,
        /// Which daemon
        #[command(flatten)]
        rule_files: RuleFiles,
    },
    /// Let a paused rule run again, for what waits too
    Resume {
        /// Which rule
        rule: String,
        /// Which daemon
        #[command(flatten)]
        rule_files: RuleFiles,
    },
    /// Read the rule files again; says nothing when all went well, else what is wrong
    Reload {
        /// Which daemon
        #[command(flatten)]
        rule_files: RuleFiles,
    },
}

/// Carries one out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    let (name, rule_files, verb) = match asked(args) {
        Ok(asked) => asked,
        Err(message) => {
            say(&format!("facron trigger: {message}\n"), global);
            return ExitStatus::Usage;
        }
    };
    let answer = directories::of_running_daemon(rule_files)
        .and_then(|runtime_dir| Caller::ask(&runtime_dir, &verb).map_err(|error| error.to_string()))
        .and_then(|mut caller| caller.answer().map_err(|error| error.to_string()));
    match answer {
        Ok(Some(Response::Done { messages })) => print_and_end(&shown(&messages), ExitStatus::Ok, global),
        Ok(answer) => refused(name, answer, global),
        Err(message) => {
            say(&format!("facron {name}: {message}\n"), global);
            ExitStatus::Failed
        }
    }
}

/// Says why the daemon did not do what it was asked for.
pub(super) fn refused(name: &str, answer: Option<Response>, global: &Global) -> ExitStatus {
    let (error, messages) = match answer {
        Some(Response::Refused { error, messages }) => (error, messages),
        Some(_) => ("the daemon answers something else: is it of another version?".to_owned(), Vec::new()),
        None => ("the daemon has closed the connection".to_owned(), Vec::new()),
    };
    say(&format!("{}facron {name}: {}\n", shown(&messages), escape::line(&error)), global);
    ExitStatus::Failed
}

fn asked(args: &Args) -> Result<(&'static str, &RuleFiles, Verb), String> {
    Ok(match args {
        Args::Trigger { rule, paths, rule_files } => {
            let absolute = |path: &PathBuf| match std::path::absolute(path) {
                Ok(path) => Ok((&*path).into()),
                Err(error) => Err(format!("{}: {error}", escape::path(path))),
            };
            let paths = paths.iter().map(absolute).collect::<Result<_, _>>()?;
            ("trigger", rule_files, Verb::Trigger { rule: rule.clone(), paths })
        }
        Args::Pause { rule, rule_files } => ("pause", rule_files, Verb::Pause { rule: rule.clone() }),
        Args::Resume { rule, rule_files } => ("resume", rule_files, Verb::Resume { rule: rule.clone() }),
        Args::Reload { rule_files } => ("reload", rule_files, Verb::Reload {}),
    })
}

/// Messages of the daemon may have several lines, each of which is made fit to be shown.
fn shown(messages: &[String]) -> String {
    messages
        .iter()
        .flat_map(|message| message.lines())
        .map(|line| format!("{}\n", escape::line(line)))
        .collect()
}
