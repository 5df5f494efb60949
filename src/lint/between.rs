//! Lints about rules together, and about the rule files themselves.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Texts;
use super::facts::Seen;
use super::words::{commands, program_name};
use crate::codes::Code;
use crate::config::WrittenRule;
use crate::config::keys::KeyId;
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::EventMask;
use crate::matcher::decide;
use crate::rule::{Command, Output, Rule};
use crate::template::Template;

/// What writing to a file causes.
const WRITING: EventMask = EventMask::MODIFY
    .union(EventMask::CLOSE_WRITE)
    .union(EventMask::ARRIVED)
    .union(EventMask::OPEN)
    .union(EventMask::CREATE);

/// Programs whose last argument is where they write.
const WRITES_LAST: &[&str] = &["cp", "mv", "install", "rsync", "ln", "tee", "touch"];

pub(super) fn no_rules(code: &'static Code, texts: &Texts<'_>) -> Vec<Diagnostic> {
    // Where a file could not be read or understood, its rules may be there all the same.
    let has_error = texts.findings.iter().any(|finding| finding.severity == Severity::Error);
    if !texts.parsed.written.is_empty() || has_error {
        return Vec::new();
    }
    let message = "there is no rule, so a daemon with these files does nothing";
    let mut finding = if texts.sources.is_empty() { code.about(message) } else { code.at(0, 0..0, message) };
    // Whoever wrote settings or comments, as the importer does where it refuses every line, knows it.
    if texts.sources.iter().any(|source| !source.text.trim().is_empty()) {
        finding.severity = Severity::Note;
    }
    vec![finding]
}

pub(super) fn hard_links(code: &'static Code, texts: &Texts<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (source, path) in texts.paths.iter().enumerate() {
        if let Seen::Present { links, .. } = texts.facts.seen(path)
            && links > 1
        {
            findings.push(code.at(source, 0..0, format!("the file has {links} names")));
        }
    }
    findings
}

/// Rules that run the same for the same.
pub(super) fn same_rules(code: &'static Code, texts: &Texts<'_>) -> Vec<Diagnostic> {
    let mut first: HashMap<(&[PathBuf], String), Vec<&WrittenRule>> = HashMap::new();
    let mut findings = Vec::new();
    for written in texts.parsed.written.iter().filter(|written| written.is_enabled) {
        let rule = &written.rule;
        let others = first.entry((&rule.watch.paths, text_of(&rule.command))).or_default();
        let same =
            others.iter().find(|other| other.rule.watch == rule.watch && other.rule.setting == rule.setting);
        if let Some(other) = same {
            let message = format!("`{}` does the same as `{}`", rule.name, other.rule.name);
            let mut finding = code.at(written.source, written.span(KeyId::Name), message);
            finding.severity = Severity::Note;
            findings.push(finding.with_related(other.source, other.span(KeyId::Name), "this one"));
        }
        others.push(written);
    }
    findings
}

/// A command as a key to compare by.
fn text_of(command: &Command) -> String {
    match command {
        Command::Argv(arguments) => format!("{arguments:?}"),
        Command::Shell(text) => text.clone(),
    }
}

/// Rules whose runs write where they, or each other, watch.
pub(super) fn loops(code: &'static Code, texts: &Texts<'_>) -> Vec<Diagnostic> {
    let written = &texts.parsed.written;
    let mut by_path: HashMap<&Path, Vec<usize>> = HashMap::new();
    for (index, rule) in written.iter().enumerate().filter(|(_, rule)| rule.is_enabled) {
        for path in &rule.rule.watch.paths {
            by_path.entry(path).or_default().push(index);
        }
    }
    let fed_by = |index: usize| -> Vec<(usize, Write)> {
        let mut fed = Vec::new();
        for write in writes(&written[index].rule) {
            for ancestor in write.path.ancestors() {
                for other in by_path.get(ancestor).into_iter().flatten() {
                    if feeds(&write, ancestor, &written[*other].rule) {
                        fed.push((*other, write.clone()));
                    }
                }
            }
        }
        fed
    };
    let mut findings = Vec::new();
    for (index, rule) in written.iter().enumerate().filter(|(_, rule)| rule.is_enabled) {
        for (other, write) in fed_by(index) {
            let path = crate::escape::path(&write.path);
            if other == index && (write.is_output || !rule.rule.watch.ignore_self) {
                let message = format!("a run writes to {path}, where the rule itself watches");
                findings.push(code.at(rule.source, rule.span(write.key), message));
            }
            // Each pair is said once, at the later rule; one of them that passes over its own events ends the circle.
            let is_circle = other < index
                && !rule.rule.watch.ignore_self
                && !written[other].rule.watch.ignore_self
                && fed_by(other).iter().any(|(back, _)| *back == index);
            if is_circle {
                let other = &written[other];
                let message = format!("`{}` and `{}` start each other", rule.rule.name, other.rule.name);
                let finding = code.at(rule.source, rule.span(write.key), message);
                findings.push(finding.with_related(other.source, other.span(KeyId::Name), "the other one"));
            }
        }
    }
    findings
}

/// A place that a run of a rule writes to.
#[derive(Clone, Debug)]
struct Write {
    path: PathBuf,
    key: KeyId,
    /// Whether it is the file of `output`, which facron itself opens.
    is_output: bool,
}

fn feeds(write: &Write, root: &Path, rule: &Rule) -> bool {
    let Ok(below) = write.path.strip_prefix(root) else { return false };
    let below = below.as_os_str().as_encoded_bytes();
    // A copy to the watched directory itself makes an entry of it.
    let entry = if below.is_empty() && !write.is_output { b"x".as_slice() } else { below };
    !decide(&rule.watch, root, entry, false, WRITING).wanted().is_empty()
}

/// Where a run writes, as far as its rule shows it.
fn writes(rule: &Rule) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Output::File(file) = &rule.setting.output {
        writes.push(Write { path: file.clone(), key: KeyId::Output, is_output: true });
    }
    if let Command::Shell(text) = &rule.command {
        let redirected = redirections(text).map(|path| Write { path, key: KeyId::Shell, is_output: false });
        writes.extend(redirected);
    }
    for (key, arguments) in commands(rule) {
        let text = arguments.iter().filter_map(Template::as_literal).collect::<Vec<_>>().join(" ");
        writes.extend(redirections(&text).map(|path| Write { path, key, is_output: false }));
        let last = arguments.last().and_then(Template::as_literal).filter(|last| last.starts_with('/'));
        if let Some(last) =
            last.filter(|_| arguments.len() > 1 && WRITES_LAST.contains(&program_name(arguments)))
        {
            writes.push(Write { path: Path::new(last).components().collect(), key, is_output: false });
        }
    }
    writes
}

/// The absolute paths behind `>` and `>>`.
fn redirections(text: &str) -> impl Iterator<Item = PathBuf> {
    text.split('>').skip(1).filter_map(|behind| {
        let word = behind.trim_start().split(|c: char| c.is_whitespace() || ";|&)\"'".contains(c)).next()?;
        (word.starts_with('/') && !word.starts_with("/dev/")).then(|| Path::new(word).components().collect())
    })
}
