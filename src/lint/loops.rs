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

/// Rules that start each other in a circle; each rule is in one of them at most.
fn circles<'t>(code: &'static Code, suspects: &[(&'t WrittenRule, Vec<Write>)]) -> Vec<Found<'t>> {
    let mut by_path: HashMap<&Path, Vec<usize>> = HashMap::new();
    for (index, (written, _)) in suspects.iter().enumerate() {
        written.rule.watch.paths.iter().for_each(|path| by_path.entry(path).or_default().push(index));
    }
    let started_by = |index: usize| -> Vec<Start> {
        let starts = suspects[index].1.iter().flat_map(|write| {
            let near = write.path.ancestors().filter_map(|ancestor| by_path.get(ancestor)).flatten().copied();
            let others = near.take(NEIGHBOURS_MAX).filter(move |other| *other != index);
            let fed = others.filter(|other| feeds(write, &suspects[*other].0.rule));
            fed.map(|rule| Start { by: write.key, rule })
        });
        starts.collect()
    };
    let mut findings = Vec::new();
    let mut is_known = vec![false; suspects.len()];
    let mut is_said = vec![false; suspects.len()];
    let mut place: Vec<Option<usize>> = vec![None; suspects.len()];
    for first in 0..suspects.len() {
        // The way on which we are: rules, each with what it starts and is still to be followed.
        let mut way: Vec<(usize, Vec<Start>)> = Vec::new();
        let mut next = (!is_known[first]).then_some(first);
        loop {
            if let Some(rule) = next.take() {
                is_known[rule] = true;
                place[rule] = Some(way.len());
                way.push((rule, started_by(rule)));
            }
            let Some((rule, starts)) = way.last_mut() else { break };
            let Some(start) = starts.pop() else {
                place[*rule] = None;
                way.pop();
                continue;
            };
            if !is_known[start.rule] {
                next = Some(start.rule);
            } else if let Some(begin) = place[start.rule]
                && !way[begin..].iter().any(|(rule, _)| is_said[*rule])
            {
                way[begin..].iter().for_each(|(rule, _)| is_said[*rule] = true);
                let circle: Vec<&'t WrittenRule> =
                    way[begin..].iter().map(|(rule, _)| suspects[*rule].0).collect();
                findings.push(circle_finding(code, &circle, start.by));
            }
        }
    }
    findings
}

/// A rule that a run of another one starts, by what a key says.
struct Start {
    by: KeyId,
    rule: usize,
}

/// The circle is said at the rule that closes it.
fn circle_finding<'t>(code: &'static Code, circle: &[&'t WrittenRule], key: KeyId) -> Found<'t> {
    let (last, others) = circle.split_last().expect("two rules at least");
    let names: Vec<String> = others.iter().map(|other| format!("`{}`", other.rule.name)).collect();
    let message = format!("{} and `{}` start each other", names.join(", "), last.rule.name);
    let mut finding = code.at(last.source, last.span(key), message);
    for other in others {
        finding = finding.with_related(other.source, other.span(KeyId::Name), "this one too");
    }
    (Some(last), finding)
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
