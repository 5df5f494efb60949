//! Lints about rules together, and about the rule files themselves.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use super::Texts;
use super::facts::{FileKind, Seen};
use super::table::Found;
use crate::codes::Code;
use crate::config::WrittenRule;
use crate::config::keys::KeyId;
use crate::diagnostic::Severity;
use crate::rule::{Command, Rule, Scope};
use crate::template::{Part, Placeholder, Template};

/// Rules near one another that are compared; thousands of them on one path are no accident.
pub(super) const NEIGHBOURS_MAX: usize = 100;

pub(super) fn no_rules<'t>(code: &'static Code, texts: &Texts<'t>) -> Vec<Found<'t>> {
    // Where a file could not be read or understood, its rules may be there all the same.
    let has_error = texts.findings.iter().any(|finding| finding.severity == Severity::Error);
    if !texts.parsed.written.is_empty() || has_error {
        return Vec::new();
    }
    let message = "there is no rule, so a daemon with these files does nothing";
    // Of several files none is the one that it is about.
    let mut finding = if texts.sources.len() == 1 { code.at(0, 0..0, message) } else { code.about(message) };
    // Whoever wrote settings or comments, as the importer does where it refuses every line, knows it.
    if texts.sources.iter().any(|source| !source.text.trim().is_empty()) {
        finding.severity = Severity::Note;
    }
    vec![(None, finding)]
}

pub(super) fn hard_links<'t>(code: &'static Code, texts: &Texts<'t>) -> Vec<Found<'t>> {
    let mut findings = Vec::new();
    for (source, path) in texts.paths.iter().enumerate() {
        if let Seen::Present { links, kind: FileKind::Regular, .. } = texts.facts.seen(path)
            && links > 1
        {
            findings.push((None, code.at(source, 0..0, format!("the file has {links} names"))));
        }
    }
    findings
}

/// Rules that run the same for the same, or for a part of it.
pub(super) fn same_rules<'t>(code: &'static Code, texts: &Texts<'t>) -> Vec<Found<'t>> {
    let used = texts.parsed.written.iter().filter(|written| written.is_enabled);
    let mut by_command: BTreeMap<u64, Vec<&WrittenRule>> = BTreeMap::new();
    for written in used {
        by_command.entry(hash_of(&written.rule.command)).or_default().push(written);
    }
    // Most commands are those of one rule.
    by_command
        .into_values()
        .filter(|rules| rules.len() > 1)
        .flat_map(|rules| same_runs(code, &rules))
        .collect()
}

/// Rules that seem to run the same.
fn same_runs<'t>(code: &'static Code, rules: &[&'t WrittenRule]) -> Vec<Found<'t>> {
    let mut by_path: HashMap<&Path, Vec<&WrittenRule>> = HashMap::new();
    for written in rules {
        for path in &written.rule.watch.paths {
            by_path.entry(path).or_default().push(written);
        }
    }
    let mut findings = Vec::new();
    for written in rules {
        let rule = &written.rule;
        let near = rule.watch.paths[0].ancestors().filter_map(|ancestor| by_path.get(ancestor)).flatten();
        let mut near = near.take(NEIGHBOURS_MAX).filter(|other| !std::ptr::eq(**other, *written));
        // Of two that are the same the later one is said.
        let is_first =
            |other: &WrittenRule| (other.source, other.header.start) < (written.source, written.header.start);
        let Some(other) =
            near.find(|other| covers(&other.rule, rule) && (is_first(other) || !covers(rule, &other.rule)))
        else {
            continue;
        };
        let message = match rule.watch == other.rule.watch {
            true => format!("`{}` does the same as `{}`", rule.name, other.rule.name),
            false => format!("for all that `{}` runs for, `{}` runs the same", rule.name, other.rule.name),
        };
        let mut finding = code.at(written.source, written.span(KeyId::Name), message);
        finding.severity = Severity::Note;
        let finding = finding.with_related(other.source, other.span(KeyId::Name), "this one");
        findings.push((Some(*written), finding));
    }
    findings
}

/// Whether one rule runs the same, for everything that the other runs for.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    let is_same_run =
        wide.setting == narrow.setting && wide.command == narrow.command && wide.verdict == narrow.verdict;
    if !is_same_run || tells(&wide.command, &[Placeholder::Rule]) {
        return false;
    }
    let tells_root = tells(&wide.command, &[Placeholder::Root, Placeholder::Rel]);
    let (wide, narrow) = (&wide.watch, &narrow.watch);
    if wide == narrow {
        return true;
    }
    if tells_root && wide.paths != narrow.paths {
        return false;
    }
    let events = wide.on.any.contains(narrow.on.any)
        && wide.on.any_directory.contains(narrow.on.any_directory)
        && wide.on.all_of == narrow.on.all_of;
    let is_everything = wide.filter.include.is_empty() && wide.filter.exclude.is_empty();
    // Globs are about what is below a path: equal ones mean the same only below equal paths.
    let filter = is_everything || (wide.filter == narrow.filter && wide.paths == narrow.paths);
    let reaches = |path: &PathBuf| {
        wide.paths.iter().take(NEIGHBOURS_MAX).any(|root| match wide.scope {
            Scope::Itself => root == path && narrow.scope == Scope::Itself,
            Scope::Children => root == path && narrow.scope != Scope::Tree,
            Scope::Tree => path.starts_with(root),
        })
    };
    let causes = wide.by == narrow.by && (narrow.ignore_self || !wide.ignore_self);
    events
        && filter
        && causes
        && (wide.dirs || !narrow.dirs)
        && narrow.paths.iter().take(NEIGHBOURS_MAX).all(reaches)
}

/// Whether a command is told one of these.
fn tells(command: &Command, placeholders: &[Placeholder]) -> bool {
    let Command::Argv(arguments) = command else { return false };
    let is_told = |part: &Part| match part {
        Part::Placeholder(placeholder) => placeholders.contains(placeholder),
        Part::Text(_) => false,
    };
    arguments.iter().any(|argument| match argument {
        Template::Parts(parts) => parts.iter().any(is_told),
        Template::Classic(_) | Template::Paths => false,
    })
}

/// A command as a key to compare by: equal ones have the same.
fn hash_of(command: &Command) -> u64 {
    let mut hasher = DefaultHasher::new();
    command.hash(&mut hasher);
    hasher.finish()
}
