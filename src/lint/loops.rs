//! Lints about rules whose runs start rules again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Texts;
use super::between::NEIGHBOURS_MAX;
use super::table::Found;
use super::words::commands;
use crate::codes::Code;
use crate::config::keys::KeyId;
use crate::config::misread::program_name;
use crate::config::{WrittenRule, shown_path};
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
            let finding = code.at(written.source, written.span(write.key), message);
            let help = match write.is_output {
                true => "put the output elsewhere, or leave it to the log",
                false => "write elsewhere, or leave `ignore-self` at true",
            };
            findings.push((Some(written), finding.with_help(help)));
        } else if let Some(finding) = works_where_it_watches(code, written) {
            findings.push((Some(written), finding));
        } else if !written.rule.watch.ignore_self && !writes.is_empty() {
            suspects.push((written, writes));
        }
    }
    findings.extend(circles(code, &suspects));
    findings
}

/// A rule whose `cwd` is where it watches: whatever its command writes by a relative name concerns it.
fn works_where_it_watches(code: &'static Code, written: &WrittenRule) -> Option<Diagnostic> {
    let rule = &written.rule;
    let place = written.own(KeyId::Cwd)?;
    let entry = Write { path: rule.setting.cwd.join("x"), key: KeyId::Cwd, is_output: false };
    if !feeds(&entry, rule) {
        return None;
    }
    let message = format!("a run works in {}, where the rule itself watches", shown_path(&rule.setting.cwd));
    let mut finding = code.at(written.source, place.span(), message);
    if rule.watch.ignore_self {
        // It is what most builds do, and the rule is right.
        finding.severity = Severity::Note;
        return Some(finding.with_help("what a run changes there is passed over (`ignore-self`)"));
    }
    Some(finding.with_help("leave `ignore-self` at true, or work elsewhere"))
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
