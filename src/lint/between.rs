//! Lints about rules together, and about the rule files themselves.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Texts;
use super::facts::Seen;
use super::table::Found;
use super::words::commands;
use crate::codes::Code;
use crate::config::keys::KeyId;
use crate::config::misread::program_name;
use crate::config::{WrittenRule, shown_path};
use crate::diagnostic::Severity;
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

/// Rules on one path that are looked at for one that writes back; thousands of them are no accident.
const NEIGHBOURS_MAX: usize = 100;

/// Programs whose last argument is where they write.
const WRITES_LAST: &[&str] = &["cp", "mv", "install", "rsync", "ln", "tee", "touch"];

pub(super) fn no_rules<'t>(code: &'static Code, texts: &Texts<'t>) -> Vec<Found<'t>> {
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
    vec![(None, finding)]
}

pub(super) fn hard_links<'t>(code: &'static Code, texts: &Texts<'t>) -> Vec<Found<'t>> {
    let mut findings = Vec::new();
    for (source, path) in texts.paths.iter().enumerate() {
        if let Seen::Present { links, .. } = texts.facts.seen(path)
            && links > 1
        {
            findings.push((None, code.at(source, 0..0, format!("the file has {links} names"))));
        }
    }
    findings
}

/// Rules that run the same for the same.
pub(super) fn same_rules<'t>(code: &'static Code, texts: &Texts<'t>) -> Vec<Found<'t>> {
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
            let finding = finding.with_related(other.source, other.span(KeyId::Name), "this one");
            findings.push((Some(written), finding));
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
pub(super) fn loops<'t>(code: &'static Code, texts: &Texts<'t>) -> Vec<Found<'t>> {
    let used = texts.parsed.written.iter().filter(|written| written.is_enabled);
    let mut findings = Vec::new();
    // A rule that passes over its own events ends every circle that it is in.
    let mut suspects = Vec::new();
    for written in used {
        let writes = writes(&written.rule);
        let is_suspect = |write: &&Write| write.is_output || !written.rule.watch.ignore_self;
        if let Some(write) = writes.iter().filter(is_suspect).find(|write| feeds(write, &written.rule)) {
            let path = shown_path(&write.path);
            let message = format!("a run writes to {path}, where the rule itself watches");
            findings.push((Some(written), code.at(written.source, written.span(write.key), message)));
        } else if !written.rule.watch.ignore_self && !writes.is_empty() {
            suspects.push((written, writes));
        }
    }
    findings.extend(circles(code, &suspects));
    findings
}

/// Pairs of rules that start each other; each rule is in one of them at most.
fn circles<'t>(code: &'static Code, suspects: &[(&'t WrittenRule, Vec<Write>)]) -> Vec<Found<'t>> {
    let mut by_path: HashMap<&Path, Vec<usize>> = HashMap::new();
    let mut findings = Vec::new();
    for (index, (written, writes)) in suspects.iter().enumerate() {
        let back =
            |other: &(&WrittenRule, Vec<Write>)| other.1.iter().any(|write| feeds(write, &written.rule));
        // The pair is said at the later of the two, so only rules before this one are looked at.
        let pair = writes.iter().find_map(|write| {
            let near = write.path.ancestors().filter_map(|ancestor| by_path.get(ancestor)).flatten();
            let mut near = near.take(NEIGHBOURS_MAX).map(|other| &suspects[*other]);
            near.find(|other| feeds(write, &other.0.rule) && back(other)).map(|other| (write, other.0))
        });
        if let Some((write, other)) = pair {
            let message = format!("`{}` and `{}` start each other", written.rule.name, other.rule.name);
            let finding = code.at(written.source, written.span(write.key), message);
            let finding = finding.with_related(other.source, other.span(KeyId::Name), "the other one");
            findings.push((Some(*written), finding));
        }
        for path in &written.rule.watch.paths {
            by_path.entry(path).or_default().push(index);
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

/// Whether writing there is something that a rule asks for.
fn feeds(write: &Write, rule: &Rule) -> bool {
    rule.watch.paths.iter().any(|root| {
        let Ok(below) = write.path.strip_prefix(root) else { return false };
        let below = below.as_os_str().as_encoded_bytes();
        // A copy to the watched directory itself makes an entry of it.
        let entry = if below.is_empty() && !write.is_output { b"x".as_slice() } else { below };
        !decide(&rule.watch, root, entry, false, WRITING).wanted().is_empty()
    })
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
