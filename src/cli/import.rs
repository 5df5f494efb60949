//! `facron import`: translates classic tables to a rule file.

mod machine;
mod output;
mod tables;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::output::say;
use super::{ExitStatus, Global};
use crate::config;
use crate::diagnostic::{Diagnostic, Severity};
use crate::escape;
use crate::import::{self, Code, Concurrency, Dialect, Options};
use crate::report::{self, Report};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Classic tables, or folders of them; `-` is standard input [default: where the classic daemon keeps them]
    #[arg(value_name = "FILE")]
    files: Vec<OsString>,
    /// Which daemon the tables were written for
    #[arg(long, value_name = "DAEMON", default_value = "facron")]
    from: From,
    /// Whose tables of incron these are [default: the user a file in /var/spool/incron is named after, else root's]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Write the rules to this file, which must not exist; `-` is standard output [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file of --output
    #[arg(long, requires = "output")]
    force: bool,
    /// Put this debounce on every rule, such as 500ms
    #[arg(long, value_name = "DURATION", value_parser = |text: &str| config::duration(text, true))]
    debounce: Option<Duration>,
    /// Put this timeout on every rule, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = |text: &str| config::duration(text, false))]
    timeout: Option<Duration>,
    /// Let every rule run its command this often at once, with one more run for what came meanwhile [default:
    /// without a limit, every event its own run, as the classic daemons did]
    #[arg(long, value_name = "N|unlimited", value_parser = concurrency)]
    concurrency: Option<Concurrency>,
    /// How findings are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Print what every line said, did and does, instead of the rules (with --output: beside them)
    #[arg(long)]
    explain: bool,
}

/// A classic daemon by its name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum From {
    /// facron.conf of classic facron 1.x
    Facron,
    /// Tables of incron 0.5
    Incron,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// For people: the line, a caret, what the classic daemon did, and the way out
    Text,
    /// One line a finding, for editors
    Short,
}

/// Carries it out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    match carry_out(args, global) {
        Ok(true) => ExitStatus::Ok,
        Ok(false) => ExitStatus::Failed,
        Err(message) => {
            say(&format!("facron import: {}\n", escape::line(&message)), global);
            ExitStatus::Usage
        }
    }
}

/// Whether every line was translated as it was.
///
/// # Errors
/// What kept the rules from being written, as a sentence.
fn carry_out(args: &Args, global: &Global) -> Result<bool, String> {
    let tables = tables::read(args)?;
    let options = Options { debounce: args.debounce, timeout: args.timeout, concurrency: args.concurrency };
    let import = import::import(&tables.tables, &options, &machine::Machine::default());
    // `-` is standard output, as among the files it is standard input.
    let output = args.output.as_ref().filter(|path| path.as_os_str() != "-");
    match output {
        Some(path) => output::write(path, import.toml.as_bytes(), tables.mode, args.force)?,
        None if args.explain && args.output.is_none() => {}
        None => output::print(&import.toml)?,
    }
    if args.explain {
        output::print(&import::explain(&import))?;
    }
    let destination = output.map(|path| escape::path(path));
    let summary = import::summary(&import, destination.as_deref());
    let mut findings = tables.findings;
    findings.extend(import.findings);
    explain_once(&mut findings);
    let report = Report::new(&import.sources, &findings);
    // Every finding is told, even where nobody would read so many of the long ones.
    let told = match args.format {
        Format::Text if findings.len() <= report::FINDINGS_MAX => report::text(&report),
        Format::Text | Format::Short => report::short(&report),
    };
    say(&format!("{told}facron import: {summary}"), global);
    Ok(findings.iter().all(|finding| finding.severity == Severity::Note))
}

/// The first finding of each kind says at length what it means.
fn explain_once(findings: &mut [Diagnostic]) {
    let mut told = BTreeSet::new();
    for finding in findings {
        if let Some(code) = Code::from_name(finding.code).filter(|code| told.insert(code.name)) {
            finding.notes = vec![code.did.to_owned(), code.now.to_owned()];
        }
    }
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    if text == "unlimited" {
        return Ok(Concurrency::Unlimited);
    }
    let limit = text.parse().ok().and_then(NonZeroU32::new).filter(|limit| limit.get() <= 1024);
    limit.map(Concurrency::Limit).ok_or_else(|| "a number from 1 to 1024, or `unlimited`".to_owned())
}

impl From {
    fn dialect(self) -> Dialect {
        match self {
            From::Facron => Dialect::Facron,
            From::Incron => Dialect::Incron,
        }
    }
}
