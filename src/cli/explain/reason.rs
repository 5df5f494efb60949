//! Why a rule fires or does not, as a person would say it: the first setting that decides.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::config::WrittenRule;
use crate::escape;
use crate::event::EventMask;
use crate::guardable;
use crate::matcher::{Decision, decide};
use crate::rule::{CauseFilter, Identity, Rule, Scope, Watch};

/// What happens to which path.
#[derive(Debug)]
pub struct Subject {
    /// Absolute and clean.
    pub path: PathBuf,
    /// The same behind the links on the way, where that can be told.
    pub resolved: Option<PathBuf>,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// What happens.
    pub happened: EventMask,
}

/// Whether a rule fires, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Reason {
    /// Whether.
    pub fires: bool,
    /// Why.
    pub sentence: String,
}

impl Reason {
    fn fires(sentence: String) -> Reason {
        Reason { fires: true, sentence }
    }

    fn not(sentence: String) -> Reason {
        Reason { fires: false, sentence }
    }
}

/// Looks at one rule.
pub fn reason(written: &WrittenRule, subject: &Subject) -> Reason {
    if !written.is_enabled {
        return Reason::not("`enabled = false`".to_owned());
    }
    let watch = &written.rule.watch;
    let mut best: Option<Reason> = None;
    for root in &watch.paths {
        let Some(below) = below(root, subject) else { continue };
        let decision = decide(watch, root, below.as_os_str().as_bytes(), subject.is_dir, subject.happened);
        let mut reason = of_decision(watch, root, &below, subject, decision);
        if reason.fires {
            reason.sentence.push_str(&opener(&written.rule));
            return reason;
        }
        best = Some(reason);
    }
    best.unwrap_or_else(|| {
        let paths: Vec<_> = watch.paths.iter().map(|path| escape::path(path)).collect();
        let path = escape::path(&subject.path);
        Reason::not(format!("`path`: {path} is neither {} nor below", paths.join(" or ")))
    })
}

/// The subject's path below a rule's path, as written or behind the links of both.
fn below(root: &Path, subject: &Subject) -> Option<PathBuf> {
    if let Ok(below) = subject.path.strip_prefix(root) {
        return Some(below.to_owned());
    }
    let root = std::fs::canonicalize(root).ok()?;
    subject.resolved.as_ref()?.strip_prefix(root).ok().map(Path::to_owned)
}

fn of_decision(
    watch: &Watch,
    root: &Path,
    below: &Path,
    subject: &Subject,
    decision: Decision<'_>,
) -> Reason {
    let name = if below.as_os_str().is_empty() { subject.path.as_path() } else { below };
    let name = escape::path(name);
    match decision {
        Decision::Wanted(mask) => asked(watch, subject, mask),
        Decision::OutOfScope => {
            let root = escape::path(root);
            Reason::not(match watch.scope {
                Scope::Itself => format!("`scope = \"self\"` means {root} itself, and nothing below it"),
                Scope::Children | Scope::Tree => {
                    format!("`scope = \"children\"` ends at the direct entries of {root}")
                }
            })
        }
        Decision::Directory => Reason::not(format!("`dirs = false`, and {name} is a directory")),
        Decision::NotAsked => {
            let wanted = watch.on.wanted_for(subject.is_dir);
            Reason::not(format!("`on` asks for {wanted}, not for {}", subject.happened))
        }
        Decision::Excluded { glob, len } => {
            let bytes = below.as_os_str().as_bytes();
            let glob = glob.as_str();
            Reason::not(if len < bytes.len() {
                let above = escape::text(&bytes[..len]);
                format!("`exclude` has `{glob}`, which matches the directory {above} above it")
            } else {
                format!("`exclude` has `{glob}`, which matches {name}")
            })
        }
        Decision::NotIncluded => {
            let globs: Vec<&str> = watch.filter.include.iter().map(|glob| glob.as_str()).collect();
            Reason::not(format!("`include` has {}, and none of it matches {name}", listed(&globs)))
        }
    }
}

/// The rule asks for something of it: at once, or only together with what has not happened.
fn asked(watch: &Watch, subject: &Subject, mask: EventMask) -> Reason {
    let on = &watch.on;
    let any = if subject.is_dir { on.any | on.any_directory } else { on.any };
    let at_once = mask.intersection(any);
    let together = on.all_of.iter().find(|group| subject.happened.contains(**group));
    let answered = match together {
        _ if !at_once.is_empty() => at_once,
        Some(group) => *group,
        None => {
            let group = on.all_of.iter().find(|group| group.intersects(mask)).copied().unwrap_or(mask);
            let missing = group.without(subject.happened);
            return Reason::not(format!("`on` asks for all of {group}, and {missing} has not happened"));
        }
    };
    Reason::fires(format!("`on` asks for {answered}{}", conditions(&watch.by)))
}

/// What whoever opens the file gets, where the rule asks for permission events.
fn opener(rule: &Rule) -> String {
    if !guardable::wants_permission(&rule.watch) {
        return String::new();
    }
    match (rule.verdict.command, rule.ending.timeout) {
        (true, Some(timeout)) => format!(
            "; the opener waits for the command's exit status, and gets {} after {}",
            if rule.verdict.default_allow { "allow" } else { "deny" },
            humantime::format_duration(timeout)
        ),
        _ => "; the opener is let through at once".to_owned(),
    }
}

/// What else must hold, and cannot be told here: who causes it.
fn conditions(by: &CauseFilter) -> String {
    let paths =
        |paths: &[PathBuf]| paths.iter().map(|path| escape::path(path)).collect::<Vec<_>>().join(" or ");
    let users = |users: &[Identity]| users.iter().map(shown).collect::<Vec<_>>().join(" or ");
    let mut conditions = Vec::new();
    if !by.exe.is_empty() {
        conditions.push(format!("caused by {}", paths(&by.exe)));
    }
    if !by.not_exe.is_empty() {
        conditions.push(format!("not caused by {}", paths(&by.not_exe)));
    }
    if !by.user.is_empty() {
        conditions.push(format!("caused by user {}", users(&by.user)));
    }
    if !by.not_user.is_empty() {
        conditions.push(format!("not caused by user {}", users(&by.not_user)));
    }
    if conditions.is_empty() { String::new() } else { format!(", if it is {}", conditions.join(" and ")) }
}

fn shown(identity: &Identity) -> String {
    match identity {
        Identity::Name(name) => name.clone(),
        Identity::Id(id) => id.to_string(),
    }
}

fn listed(texts: &[&str]) -> String {
    let shown: Vec<String> = texts.iter().take(5).map(|text| format!("`{text}`")).collect();
    let more = if texts.len() > 5 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
