//! `facron import`: translates classic tables to a rule file.

mod machine;
mod output;
mod tables;

use std::ffi::OsString;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{ExitStatus, Global};
use crate::diagnostic::{Diagnostic, Severity};
use crate::escape;
use crate::import::{self, Concurrency, Dialect, Import, Options, TranslatedLine};

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
    /// Write the rules to this file, which must not exist [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file of --output
    #[arg(long, requires = "output")]
    force: bool,
    /// Put this debounce on every rule, such as 500ms
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    debounce: Option<Duration>,
    /// Put this timeout on every rule, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Let every rule run its command this often at once, with one more run for what came meanwhile [default:
    /// without a limit, every event its own run, as the classic daemons did]
    #[arg(long, value_name = "N|unlimited", value_parser = concurrency)]
    concurrency: Option<Concurrency>,
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

/// Carries it out.
pub fn run(args: &Args, _global: &Global) -> ExitStatus {
    match carry_out(args) {
        Ok(true) => ExitStatus::Ok,
        Ok(false) => ExitStatus::Failed,
        Err(message) => {
            say(&format!("facron import: {}\n", escape::line(&message)));
            ExitStatus::Usage
        }
    }
}

/// Whether every line was translated as it was.
///
/// # Errors
/// What kept the rules from being written, as a sentence.
fn carry_out(args: &Args) -> Result<bool, String> {
    let tables = tables::read(args)?;
    let options = Options { debounce: args.debounce, timeout: args.timeout, concurrency: args.concurrency };
    let import = import::import(&tables.tables, &options, &machine::Machine);
    match &args.output {
        Some(path) => output::write(path, import.toml.as_bytes(), tables.mode, args.force)?,
        None if args.explain => {}
        None => output::print(&import.toml)?,
    }
    if args.explain {
        output::print(&import::explain(&import))?;
    }
    for line in &import.lines {
        for finding in import.findings_of(line) {
            say(&render(&import, line, finding));
        }
    }
    let destination = args.output.as_ref().map(|path| escape::path(path));
    say(&format!("facron import: {}", import::summary(&import, destination.as_deref())));
    Ok(import.is_faithful() && !tables.has_lost)
}

/// One finding for people and editors: `file:line: warning[I025]: message`.
fn render(import: &Import, line: &TranslatedLine, finding: &Diagnostic) -> String {
    let severity = match finding.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let source = &import.sources[line.source].name;
    let message = escape::line(&finding.message);
    let mut text = format!("{source}:{}: {severity}[{}]: {message}\n", line.number, finding.code);
    if let Some(help) = &finding.help {
        text.push_str(&format!("  help: {}\n", escape::line(help)));
    }
    text
}

/// A closed standard error is nobody's mistake.
fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(1)..=LONGEST).contains(&span) {
        Ok(span)
    } else {
        Err("a duration is between 1ms and 366 days".to_owned())
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
