//! Lints about settings that work against each other, or against the run.

use std::path::Path;
use std::time::Duration;

use super::Subject;
use super::facts::{FileKind, Seen};
use crate::config::interpreter::is_dangerous_variable;
use crate::config::keys::KeyId;
use crate::config::shown_path;
use crate::diagnostic::{Diagnostic, Severity};
use crate::escape;
use crate::event::EventMask;
use crate::rule::{Contain, Edge, Output, Resource, Stdin};

/// Parts of the names of variables that hold secrets.
const SECRETS: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
];

/// What leaves no file behind that could be opened.
const WITHOUT_FILE: EventMask =
    EventMask::DELETE.union(EventMask::MOVED_FROM).union(EventMask::DELETE_SELF).union(EventMask::Q_OVERFLOW);

/// Less than this, and no program starts.
const LEAST: &[(Resource, u64, &str)] = &[
    (Resource::As, 4 << 20, "4M"),
    (Resource::Cpu, 1, "1"),
    (Resource::Data, 1 << 20, "1M"),
    (Resource::Nofile, 8, "8"),
    (Resource::Pids, 1, "1"),
    (Resource::Stack, 128 << 10, "128K"),
];

pub(super) fn long_debounce(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let gather = &subject.rule.gather;
    let is_used = |max_wait: &Duration| *max_wait < gather.debounce && gather.edge == Edge::Trailing;
    let Some(max_wait) = gather.max_wait.filter(is_used) else {
        return Vec::new();
    };
    let message = format!(
        "`max-wait` ends every burst after {}, before `debounce` could",
        humantime::format_duration(max_wait)
    );
    vec![subject.at(KeyId::MaxWait, message).with_help("`max-wait` is the longer of the two")]
}

pub(super) fn no_timeout(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let rule = subject.rule;
    let is_one = rule.schedule.concurrency.is_some_and(|concurrency| concurrency.get() == 1);
    // Who writes `timeout = "none"` has thought about it.
    if rule.ending.timeout.is_some() || !is_one || subject.written.place(KeyId::Timeout).is_some() {
        return Vec::new();
    }
    let message = format!("a command of `{}` that hangs keeps it from running ever again", rule.name);
    let finding = subject.code.at(subject.written.source, subject.written.header.clone(), message);
    vec![finding.with_help("how long may it run? for example `timeout = \"10m\"`")]
}

pub(super) fn no_effect(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let rule = subject.rule;
    let (gather, ending, on) = (&rule.gather, &rule.ending, &rule.watch.on);
    let is_guard = on.wanted().intersects(EventMask::ALL_PERMISSION);
    let has_window = !gather.debounce.is_zero() || !on.all_of.is_empty();
    let no_guard = "`on` asks for no permission event";
    let cases = [
        (
            KeyId::MaxWait,
            gather.max_wait.is_some() && !has_window,
            "there is no `debounce` that it could end",
        ),
        (
            KeyId::MaxWait,
            gather.max_wait.is_some() && has_window && gather.edge == Edge::Leading,
            "`edge = \"leading\"` waits for nothing",
        ),
        (KeyId::Edge, gather.edge == Edge::Leading && gather.debounce.is_zero(), "there is no `debounce`"),
        (KeyId::RetryDelay, ending.retries == 0, "`retries` is 0"),
        (KeyId::RetryMaxDelay, ending.retries == 0, "`retries` is 0"),
        (KeyId::KillAfter, ending.stop_signal == libc::SIGKILL, "`stop-signal` is KILL already"),
        (
            KeyId::Leftover,
            rule.setting.contain == Contain::PidNamespace,
            "`contain = \"pid-namespace\"` leaves nothing",
        ),
        (KeyId::Verdict, !is_guard, no_guard),
        (KeyId::VerdictDefault, !is_guard, no_guard),
        (KeyId::VerdictCache, !is_guard, no_guard),
        (KeyId::DenyErrno, !is_guard, no_guard),
        (KeyId::Audit, !is_guard, no_guard),
        (KeyId::VerdictDefault, is_guard && !rule.verdict.command, "`verdict = \"allow\"` decides already"),
        (KeyId::VerdictCache, is_guard && !rule.verdict.command, "`verdict = \"allow\"` decides already"),
        (KeyId::DenyErrno, is_guard && !rule.verdict.command, "`verdict = \"allow\"` denies nobody"),
        (KeyId::CatchUp, is_guard && rule.watch.catch_up, "nobody waits for what is past"),
        (KeyId::Rescan, is_guard && rule.watch.rescan.is_some(), "a walk finds nobody who waits"),
        (
            KeyId::Retries,
            is_guard && rule.verdict.command && ending.retries > 0,
            "the opener has its answer after the first try",
        ),
    ];
    let mut findings = Vec::new();
    for (key, has_none, why) in cases {
        // What comes from [defaults] is meant for other rules.
        let Some(place) = subject.written.own(key).filter(|_| has_none) else { continue };
        let message = format!("`{}` has no effect: {why}", key.key().name);
        let finding = subject.code.at(subject.written.source, place.key_span(), message);
        findings.push(match subject.whole_line(place.key_span().start..place.span().end) {
            Some(line) => finding.with_help("take it out").with_fix(line, "", true),
            None => finding,
        });
    }
    if ending.retries > 0
        && ending.retry_delay > ending.retry_max_delay
        && subject.written.own(KeyId::RetryDelay).is_some()
    {
        findings.push(
            subject
                .at(KeyId::RetryDelay, "`retry-delay` is longer than `retry-max-delay`, which holds at once"),
        );
    }
    findings.extend(no_file(subject));
    findings
}

/// `stdin = "file"` after events that leave no file.
fn no_file(subject: &Subject<'_>) -> Option<Diagnostic> {
    let wanted = subject.rule.watch.on.wanted_for(false);
    let without = wanted.intersection(WITHOUT_FILE);
    if subject.rule.setting.stdin != Stdin::File || without.is_empty() {
        return None;
    }
    subject.written.own(KeyId::Stdin)?;
    let left = wanted.without(WITHOUT_FILE);
    let message = format!("after `{without}` there is no file that `stdin = \"file\"` could give");
    let mut finding = subject.at(KeyId::Stdin, message);
    if left.is_empty() {
        return Some(finding.with_help("ask for events that leave a file, such as `on = \"arrived\"`"));
    }
    finding.severity = Severity::Note;
    let events: Vec<String> = left.kinds().map(|kind| format!("\"{}\"", kind.name)).collect();
    Some(finding.with_help(format!("write `on = [{}]`", events.join(", "))))
}

pub(super) fn secret(subject: &Subject<'_>) -> Vec<Diagnostic> {
    if subject.written.own(KeyId::Env).is_none() {
        return Vec::new();
    }
    let is_secret = |name: &str, value: &str| {
        let name = name.to_ascii_uppercase();
        !value.is_empty() && !value.starts_with('/') && SECRETS.iter().any(|secret| name.contains(secret))
    };
    let names = subject.rule.setting.env.iter().filter(|(name, value)| is_secret(name, value));
    names
        .map(|(name, _)| {
            let message =
                format!("`{}` looks like a secret, and whoever reads this file has it", escape::line(name));
            subject
                .at(KeyId::Env, message)
                .with_help("give the command the path of a file that only its user may read")
        })
        .collect()
}

pub(super) fn dangerous_variable(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let setting = &subject.rule.setting;
    let is_dangerous = |name: &&String| is_dangerous_variable(name);
    let set = setting.env.keys().filter(is_dangerous).map(|name| (KeyId::Env, name));
    let inherited = setting.inherit_env.iter().filter(is_dangerous).map(|name| (KeyId::InheritEnv, name));
    set.chain(inherited)
        .filter(|(key, _)| subject.written.own(*key).is_some())
        .map(|(key, name)| {
            let message =
                format!("`{}` makes programs run something before their first line", escape::line(name));
            subject.at(key, message)
        })
        .collect()
}

pub(super) fn low_limit(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let limits = &subject.rule.setting.limits;
    let mut findings = Vec::new();
    for (resource, least, text) in LEAST {
        if limits.get(resource).is_some_and(|limit| limit.is_some_and(|limit| limit < *least)) {
            let message =
                format!("with so little of `{}` no program starts; {text} is the least", resource.name());
            findings.push(subject.at(KeyId::Limits, message));
        }
    }
    findings
}

pub(super) fn over_daemon(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let daemon = subject.texts.parsed.rules.daemon.concurrency;
    let over = subject.rule.schedule.concurrency.filter(|own| own.get() > daemon);
    let is_own = subject.written.own(KeyId::Concurrency).is_some();
    over.filter(|_| is_own)
        .map(|_| {
            subject
                .at(KeyId::Concurrency, format!("`[daemon] concurrency` is {daemon}, for all rules together"))
        })
        .into_iter()
        .collect()
}

pub(super) fn missing_directory(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let setting = &subject.rule.setting;
    let output = match &setting.output {
        Output::File(file) => file.parent().map(|directory| (KeyId::Output, directory)),
        Output::Log | Output::Discard => None,
    };
    let mut findings = Vec::new();
    for (key, directory) in [(KeyId::Cwd, &*setting.cwd)].into_iter().chain(output) {
        if let Some(what) = missing_or_no_directory(subject, directory) {
            findings.push(subject.at(key, format!("{} {what}", shown_path(directory))));
        }
    }
    findings
}

pub(super) fn foreign_output(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let Output::File(file) = &subject.rule.setting.output else { return Vec::new() };
    let Some(directory) = file.parent().filter(|directory| subject.facts.seen(directory) != Seen::Missing)
    else {
        return Vec::new();
    };
    let distrusted = subject.facts.distrusted(directory);
    let found = distrusted.into_iter().map(|distrust| {
        let finding = subject.at(KeyId::Output, escape::line(&distrust.to_string()).into_owned());
        finding.with_help_if(distrust.help())
    });
    found.collect()
}

fn missing_or_no_directory(subject: &Subject<'_>, path: &Path) -> Option<&'static str> {
    match subject.facts.seen(path) {
        Seen::Missing => Some("does not exist"),
        Seen::Present { kind: FileKind::Directory, .. } | Seen::Unclear => None,
        Seen::Present { kind: FileKind::Regular | FileKind::Special, .. } => Some("is no directory"),
    }
}
