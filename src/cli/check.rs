//! `facron check`: lints rules, touching nothing unless it is asked to mend them.

mod explanation;
mod mend;

use nix::unistd::Uid;

use super::output::{print_and_end, say};
use super::rule_files::RuleFiles;
use super::{ExitStatus, Global};
use crate::config::sort;
use crate::daemon::load::{Loaded, Trust, read};
use crate::diagnostic::Severity;
use crate::lint::{System, Texts, lint};
use crate::report::{self, Report};
use crate::sys::trust::Owner;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    rule_files: RuleFiles,
    /// How findings are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Warnings fail too
    #[arg(long)]
    strict: bool,
    /// Apply the fixes that are safe
    #[arg(long)]
    fix: bool,
    /// Explain a code such as F012, or a key such as debounce
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// For people: the line, a caret, why, and the way out
    Text,
    /// One line a finding, for editors
    Short,
    /// One JSON object a finding, a line each
    Json,
    /// Annotations for GitHub Actions
    Github,
    /// One SARIF 2.1.0 document
    Sarif,
}

/// Carries it out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    if let Some(word) = &args.explain {
        return match explanation::explanation(word) {
            Some(text) => print_and_end(&text, ExitStatus::Ok, global),
            None => {
                say("facron check: there is no such code or key\n", global);
                ExitStatus::Usage
            }
        };
    }
    let places = match args.rule_files.places() {
        Ok(places) => places,
        Err(message) => {
            say(&format!("facron check: {message}\n"), global);
            return ExitStatus::Usage;
        }
    };
    let look = || {
        // The facts are asked anew: mending a file changes what is known of it.
        let facts = System::new();
        let mut loaded = read(&places, Trust::Judged(Owner::of_daemon(Uid::effective().as_raw())));
        let Loaded { parsed, sources, paths, findings } = &loaded;
        let found = lint(&Texts { parsed, findings, sources, paths, facts: &facts });
        loaded.findings.extend(found);
        if loaded.has_error() {
            // What is merely worth knowing can wait until the rules are right.
            loaded.findings.retain(|finding| finding.severity > Severity::Note);
        }
        sort(&mut loaded.findings);
        loaded
    };
    let (loaded, is_written) = if args.fix { mend::mend(look, global) } else { (look(), true) };
    let text = written(&loaded, args.format);
    let least = if args.strict { Severity::Warning } else { Severity::Error };
    let fails = loaded.findings.iter().any(|finding| finding.severity >= least);
    // The process ends: giving ten thousand rules back piece by piece would be a good part of its work.
    std::mem::forget(loaded);
    let end = if fails || !is_written { ExitStatus::Failed } else { ExitStatus::Ok };
    print_and_end(&text, end, global)
}

fn written(loaded: &Loaded, format: Format) -> String {
    let report = Report::new(&loaded.sources, &loaded.findings);
    match format {
        Format::Text => format!("{}facron check: {}\n", report::text(&report), summary(loaded)),
        Format::Short => report::short(&report),
        Format::Json => report::json(&report),
        Format::Github => report::github(&report),
        Format::Sarif => report::sarif(&report),
    }
}

/// `2 rules in 1 file: no mistakes`.
fn summary(loaded: &Loaded) -> String {
    let number = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let rules = number(loaded.parsed.written.len() + loaded.parsed.flawed.len(), "rule");
    let files = number(loaded.sources.len(), "file");
    format!("{rules} in {files}: {}", report::count(&loaded.findings))
}
