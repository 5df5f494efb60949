//! `facron explain`: says, rule by rule, whether an event on a path fires it, and which setting decides.

mod reason;

use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::output::{print_and_end, say};
use super::rule_files::RuleFiles;
use super::{ExitStatus, Global};
use crate::config;
use crate::daemon::load::{Trust, read};
use crate::diagnostic::Severity;
use crate::escape;
use crate::event::{EventMask, EventSet};
use crate::report::{self, Report};
use crate::sys::trust::Owner;
use reason::{Subject, reason};

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The path; it need not exist
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    rule_files: RuleFiles,
    /// What happens to it: an event or a set of events; several happen together
    #[arg(long, value_name = "EVENT", value_delimiter = ',', default_value = "arrived")]
    on: Vec<String>,
    /// The path is a directory
    #[arg(long)]
    dir: bool,
}

/// Carries it out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    match explain(args, global) {
        Ok((text, some_fires)) => {
            let status = if some_fires { ExitStatus::Ok } else { ExitStatus::Failed };
            print_and_end(&text, status, global)
        }
        Err(message) => {
            say(&format!("facron explain: {message}\n"), global);
            ExitStatus::Usage
        }
    }
}

/// What is to be said of each rule, and whether some rule fires.
///
/// # Errors
/// It was asked wrongly.
fn explain(args: &Args, global: &Global) -> Result<(String, bool), String> {
    let places = args.rule_files.places()?;
    let subject = subject(args)?;
    let loaded = read(&places, Trust::Judged(Owner::of_daemon(Uid::effective().as_raw())));
    let errors: Vec<_> =
        loaded.findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect();
    say(&report::text(&Report::new(&loaded.sources, &errors)), global);
    let mut text = String::new();
    let mut some_fires = false;
    for written in &loaded.parsed.written {
        let reason = reason(written, &subject);
        some_fires |= reason.fires;
        let verdict = if reason.fires { "fires" } else { "does not fire" };
        text.push_str(&format!("{}: {verdict}: {}\n", written.rule.name, escape::line(&reason.sentence)));
    }
    // Where something could not be read, nobody knows which rules there are.
    if loaded.parsed.written.is_empty() && errors.is_empty() {
        say("facron explain: there is no rule\n", global);
    }
    Ok((text, some_fires))
}

fn subject(args: &Args) -> Result<Subject, String> {
    let failed = |error| format!("cannot make {} absolute: {error}", escape::path(&args.path));
    let path: PathBuf = std::path::absolute(&args.path).map_err(failed)?.components().collect();
    if path.components().any(|component| component == std::path::Component::ParentDir) {
        return Err(format!("{} has a `..`; name the path without it", escape::path(&path)));
    }
    let is_dir = args.dir || is_directory(&args.path);
    let mut happened = EventMask::EMPTY;
    for name in &args.on {
        happened |= event(name, is_dir)?;
    }
    Ok(Subject { resolved: resolved(&path), path, is_dir, happened })
}

/// Whether a path is written as a directory, or is one.
fn is_directory(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
        || std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// The path behind the links on the way to it; its last component need not exist, and is followed nowhere.
fn resolved(path: &Path) -> Option<PathBuf> {
    let parent = std::fs::canonicalize(path.parent()?).ok()?;
    Some(parent.join(path.file_name()?))
}

/// An event or a set by its name, for a subject of this kind.
///
/// # Errors
/// There is none of that name.
pub(super) fn event(name: &str, is_dir: bool) -> Result<EventMask, String> {
    if let Some(event) = EventMask::from_name(name) {
        return Ok(event);
    }
    if let Some(set) = EventSet::from_name(name) {
        return Ok(if is_dir { set.members | set.directory_members } else { set.members });
    }
    let near = config::nearest_event(name).map_or_else(
        || "; the events are listed in facron.toml(5)".to_owned(),
        |near| format!("; did you mean `{near}`?"),
    );
    Err(format!("unknown event `{}`{near}", escape::line(name)))
}
