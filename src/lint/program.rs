//! Lints about the programs of a rule: whether they are there, can be run, and could have been written by others.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::Subject;
use super::facts::{Account, FileKind, Seen};
use super::words::commands;
use crate::config::keys::KeyId;
use crate::config::misread::program_name;
use crate::config::shown_path;
use crate::diagnostic::{Diagnostic, Severity};
use crate::escape;
use crate::rule::Setting;
use crate::template::Template;

const EXECUTABLE: u32 = 0o111;
const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// The programs of a rule, each with its key.
pub(super) fn programs<'s>(subject: &'s Subject<'_>) -> impl Iterator<Item = (KeyId, &'s Path)> {
    commands(subject.rule).filter_map(|(key, arguments)| {
        Some((key, Path::new(arguments.first().and_then(Template::as_literal)?)))
    })
}

pub(super) fn notify_send(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let by_hand = commands(subject.rule).filter(|(_, arguments)| program_name(arguments) == "notify-send");
    by_hand
        .map(|(key, _)| {
            let mut finding = subject.at_item(key, 0, "`notify` tells the desktop of failures already");
            if key == KeyId::Command {
                finding.message = "notify-send may take a file name for an option or for markup".to_owned();
                finding.severity = Severity::Note;
            }
            finding.with_help("for a notification of every run: `notify = \"always\"`")
        })
        .collect()
}

pub(super) fn missing(subject: &Subject<'_>) -> Vec<Diagnostic> {
    programs(subject)
        .filter(|(_, program)| subject.facts.seen(program) == Seen::Missing)
        .map(|(key, program)| {
            let name = program.file_name().unwrap_or_default();
            let help = format!(
                "install it, or write the path that `command -v {}` prints",
                escape::text(name.as_bytes())
            );
            subject.at_item(key, 0, format!("{} does not exist", shown_path(program))).with_help(help)
        })
        .collect()
}

pub(super) fn unrunnable(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (key, program) in programs(subject) {
        let Seen::Present { kind, mode, .. } = subject.facts.seen(program) else { continue };
        let why = match kind {
            FileKind::Directory => Some("is a directory".to_owned()),
            FileKind::Special => Some("is no regular file".to_owned()),
            FileKind::Regular if mode & EXECUTABLE == 0 => Some("may be executed by nobody".to_owned()),
            FileKind::Regular => why_no_program(subject, program),
        };
        if let Some(why) = why {
            let path = shown_path(program);
            let finding = subject.at_item(key, 0, format!("{path} {why}"));
            findings.push(if mode & EXECUTABLE == 0 && kind == FileKind::Regular {
                finding.with_help(format!("chmod +x {}", shell_words::quote(&path)))
            } else {
                finding
            });
        }
    }
    findings
}

/// What keeps the kernel from running a file, from its first bytes.
fn why_no_program(subject: &Subject<'_>, program: &Path) -> Option<String> {
    let head = subject.facts.head(program)?;
    if head.is_empty() {
        return Some("is empty".to_owned());
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        return (!head.starts_with(b"\x7fELF"))
            .then(|| "begins with neither `#!` nor a machine's code".to_owned());
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.trim_ascii_start();
    if line.ends_with(b"\r") {
        return Some(
            "has a `#!` line that ends in a carriage return, which becomes part of the interpreter"
                .to_owned(),
        );
    }
    let interpreter = line.split(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or_default();
    if interpreter.is_empty() {
        return Some("has a `#!` line without an interpreter".to_owned());
    }
    let interpreter = Path::new(OsStr::from_bytes(interpreter));
    let is_missing = subject.facts.seen(interpreter) == Seen::Missing;
    is_missing.then(|| format!("needs {}, which does not exist", shown_path(interpreter)))
}

pub(super) fn foreign(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    if !runs_as_daemon(subject) {
        return findings;
    }
    for (key, program) in programs(subject) {
        if !matches!(subject.facts.seen(program), Seen::Present { .. }) {
            continue;
        }
        for distrust in subject.facts.distrusted(program) {
            let finding = subject.at_item(key, 0, escape::line(&distrust.to_string()).into_owned());
            findings.push(finding.with_help_if(distrust.help()));
        }
    }
    findings
}

/// Whether the command has the rights of the daemon, so that whoever writes its program has them too.
fn runs_as_daemon(subject: &Subject<'_>) -> bool {
    let (own_user, _) = subject.facts.own_ids();
    match &subject.rule.setting.user {
        None => true,
        Some(user) => subject.facts.user(user) == Account::Known(own_user),
    }
}

pub(super) fn setuid(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let Setting { no_new_privs, .. } = subject.rule.setting;
    let (own_user, _) = subject.facts.own_ids();
    let mut findings = Vec::new();
    for (key, program) in programs(subject) {
        let Seen::Present { kind: FileKind::Regular, mode, .. } = subject.facts.seen(program) else {
            continue;
        };
        let bits = mode & (SETUID | SETGID);
        let why = match bits {
            0 => continue,
            _ if no_new_privs => "`no-new-privs` keeps it from taking its rights",
            SETGID => continue,
            _ if own_user != 0 => "a daemon that is not root cannot stop it at its `timeout`",
            _ => continue,
        };
        let noun = if bits & SETUID == 0 { "setgid" } else { "setuid" };
        findings.push(subject.at_item(key, 0, format!("{} is {noun}, and {why}", shown_path(program))));
    }
    findings
}
