//! Lints about what a rule watches: its paths, its scope, its events.

use std::path::Path;

use super::Subject;
use super::facts::{Account, FileKind, FileSystem, Seen};
use crate::config::keys::KeyId;
use crate::diagnostic::{Diagnostic, Severity};
use crate::escape;
use crate::event::EventMask;
use crate::matcher::{Decision, decide};
use crate::rule::{Identity, Scope};

/// What everything that only reads causes.
const READING: EventMask = EventMask::ACCESS.union(EventMask::OPEN).union(EventMask::CLOSE_NOWRITE);

/// What is about the rule's path itself, never about an entry of it.
const OF_ITSELF: EventMask = EventMask::DELETE_SELF.union(EventMask::MOVE_SELF);

pub(super) fn never_fires(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let watch = &subject.rule.watch;
    let filter = &watch.filter;
    let everything = filter.exclude.iter().find(|glob| matches!(glob.as_str(), "*" | "**"));
    let is_all_shut =
        !filter.include.is_empty() && filter.include.iter().all(|glob| filter.exclude.contains(glob));
    if let Some(glob) = everything.or(filter.include.first().filter(|_| is_all_shut)) {
        let message = format!("`exclude` has `{}`, so nothing is left of what is included", glob.as_str());
        return vec![subject.at(KeyId::Exclude, message)];
    }
    let is_directory =
        |path: &Path| matches!(subject.facts.seen(path), Seen::Present { kind: FileKind::Directory, .. });
    let asks_for_itself = watch.on.wanted().without(OF_ITSELF).is_empty();
    if !watch.dirs
        && (watch.scope == Scope::Itself || asks_for_itself)
        && watch.paths.iter().all(|path| is_directory(path))
    {
        let why = if watch.scope == Scope::Itself { "`scope = \"self\"`" } else { "these events" };
        let message = format!("{why} means a directory here, and `dirs` is false");
        let key = if watch.scope == Scope::Itself { KeyId::Scope } else { KeyId::On };
        return vec![subject.at(key, message).with_help("add `dirs = true`")];
    }
    let is_filtered = |path: &Path| {
        [false, true].into_iter().all(|is_dir| {
            let wanted = watch.on.wanted_for(is_dir);
            matches!(
                decide(watch, path, b"", is_dir, wanted),
                Decision::Excluded { .. } | Decision::NotIncluded | Decision::Directory
            )
        })
    };
    if watch.scope == Scope::Itself && watch.paths.iter().all(|path| is_filtered(path)) {
        let message = "`scope = \"self\"` means the path itself, and its file name is filtered out";
        return vec![subject.at(KeyId::Scope, message)];
    }
    let both = watch.by.exe.iter().any(|exe| watch.by.not_exe.contains(exe));
    if both && watch.by.exe.iter().all(|exe| watch.by.not_exe.contains(exe)) {
        return vec![subject.at(KeyId::NotByExe, "`by-exe` and `not-by-exe` name the same programs")];
    }
    let both = watch.by.user.iter().any(|user| watch.by.not_user.contains(user));
    if both && watch.by.user.iter().all(|user| watch.by.not_user.contains(user)) {
        return vec![subject.at(KeyId::NotByUser, "`by-user` and `not-by-user` name the same users")];
    }
    Vec::new()
}

pub(super) fn frequent(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let watch = &subject.rule.watch;
    let reading = watch.on.wanted().intersection(READING);
    if watch.scope != Scope::Tree || reading.is_empty() {
        return Vec::new();
    }
    vec![subject.at(KeyId::On, format!("everything that reads below the tree causes `{reading}`"))]
}

pub(super) fn unclean_path(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let Some(place) = subject.written.own(KeyId::Path) else { return Vec::new() };
    let paths = &subject.rule.watch.paths;
    let mut findings = Vec::new();
    for (span, path) in place.items().zip(paths) {
        let raw = subject.raw(&span);
        let Some(quote) = raw.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else { continue };
        let (Some(clean), Some(written)) =
            (path.to_str(), raw.strip_prefix(quote).and_then(|raw| raw.strip_suffix(quote)))
        else {
            continue;
        };
        if written != clean && !written.contains(['\\', '\n', quote]) {
            let message = format!("the path is used as `{}`", escape::line(clean));
            let finding = subject.code.at(subject.written.source, span.clone(), message);
            findings.push(finding.with_fix(span, format!("{quote}{clean}{quote}"), true));
        }
    }
    findings
}

pub(super) fn control_character(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let has_control = |path: &Path| path.to_str().is_some_and(|path| path.contains(char::is_control));
    each_path(subject, |subject, index, path| {
        let message = format!("the path has a control character: `{}`", escape::path(path));
        has_control(path).then(|| subject.at_item(KeyId::Path, index, message))
    })
}

pub(super) fn whole_system(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let watch = &subject.rule.watch;
    each_path(subject, |subject, index, path| {
        if path != Path::new("/") || watch.scope == Scope::Itself {
            return None;
        }
        let mut finding = subject.at_item(KeyId::Path, index, "this is the root of the file system");
        let is_much = watch.scope == Scope::Tree || watch.on.wanted().contains(EventMask::ALL_KERNEL);
        if !is_much {
            finding.severity = Severity::Note;
        }
        Some(finding.with_help("name the directories that are meant"))
    })
}

pub(super) fn missing_path(subject: &Subject<'_>) -> Vec<Diagnostic> {
    each_path(subject, |subject, index, path| {
        let is_missing = subject.facts.seen(path) == Seen::Missing;
        is_missing.then(|| {
            subject.at_item(KeyId::Path, index, format!("{} does not exist yet", escape::path(path)))
        })
    })
}

pub(super) fn foreign_link(subject: &Subject<'_>) -> Vec<Diagnostic> {
    each_path(subject, |subject, index, path| {
        let link = subject.facts.foreign_link(path)?;
        let message = format!("{} is a link that others could change", escape::path(&link));
        Some(subject.at_item(KeyId::Path, index, message).with_help("name the place that it points to"))
    })
}

pub(super) fn foreign_file_system(subject: &Subject<'_>) -> Vec<Diagnostic> {
    // Permission events there are refused altogether.
    if subject.rule.watch.on.wanted().intersects(EventMask::ALL_PERMISSION) {
        return Vec::new();
    }
    each_path(subject, |subject, index, path| match subject.facts.file_system(path) {
        FileSystem::Local => None,
        FileSystem::Foreign(kind) if subject.rule.watch.rescan.is_none() => {
            let message = format!("on {kind} the kernel sees only what this machine changes");
            let finding = subject.at_item(KeyId::Path, index, message);
            Some(finding.with_help(
                "add `rescan`, for example `rescan = \"5m\"`, or `rescan = \"1h\"` for large trees",
            ))
        }
        FileSystem::Foreign(_) => None,
        FileSystem::Pseudo(kind) => {
            let message = format!("on {kind} the kernel does not report what it changes itself");
            Some(subject.at_item(KeyId::Path, index, message))
        }
    })
}

pub(super) fn wrong_scope(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let watch = &subject.rule.watch;
    each_path(subject, |subject, index, path| {
        let is_file = matches!(
            subject.facts.seen(path),
            Seen::Present { kind: FileKind::Regular | FileKind::Special, .. }
        );
        if !is_file {
            return None;
        }
        if watch.scope == Scope::Tree {
            let message = format!("{} is a file and has nothing below it", escape::path(path));
            return Some(subject.at_item(KeyId::Path, index, message).with_help("leave `scope` out"));
        }
        None
    })
}

pub(super) fn unknown_cause(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let by = &subject.rule.watch.by;
    let mut findings = Vec::new();
    for (key, programs) in [(KeyId::ByExe, &by.exe), (KeyId::NotByExe, &by.not_exe)] {
        for (index, program) in programs.iter().enumerate() {
            if subject.facts.seen(program) == Seen::Missing {
                let message = format!("there is no program {}", escape::path(program));
                findings.push(subject.at_item(key, index, message));
            }
        }
    }
    for (key, users) in [(KeyId::ByUser, &by.user), (KeyId::NotByUser, &by.not_user)] {
        for (index, user) in users.iter().enumerate() {
            // A number needs no name.
            if let Identity::Name(name) = user
                && subject.facts.user(user) == Account::Unknown
            {
                findings.push(subject.at_item(
                    key,
                    index,
                    format!("there is no user `{}`", escape::line(name)),
                ));
            }
        }
    }
    findings
}

/// A look at each path of a rule.
fn each_path(
    subject: &Subject<'_>,
    look: impl Fn(&Subject<'_>, usize, &Path) -> Option<Diagnostic>,
) -> Vec<Diagnostic> {
    let paths = subject.rule.watch.paths.iter().enumerate();
    paths.filter_map(|(index, path)| look(subject, index, path)).collect()
}
