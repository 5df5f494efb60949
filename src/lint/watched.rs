//! Lints about what a rule watches: its paths, its scope, its events.

use std::collections::BTreeSet;
use std::path::Path;

use super::facts::{Account, FileKind, FileSystem, Seen};
use super::globs::{shown_glob, shut_by};
use super::refusals::with_nearest;
use super::{Subject, bounded};
use crate::config::keys::KeyId;
use crate::config::{shown, shown_path};
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::EventMask;
use crate::matcher::{Decision, decide};
use crate::rule::{Identity, Scope};

/// What everything that only reads causes.
const READING: EventMask = EventMask::ACCESS.union(EventMask::OPEN).union(EventMask::CLOSE_NOWRITE);

/// What is about the rule's path itself, never about an entry of it.
const OF_ITSELF: EventMask = EventMask::DELETE_SELF.union(EventMask::MOVE_SELF);

pub(super) fn never_fires(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let watch = &subject.rule.watch;
    if let Some(glob) = shut_by(&watch.filter) {
        let message =
            format!("`exclude` has {}, so nothing is left of what is included", shown_glob(subject, glob));
        // `exclude` may come from [defaults], which are for other rules too.
        let is_own = subject.written.own(KeyId::Exclude).is_some();
        let key = if is_own { KeyId::Exclude } else { KeyId::Include };
        return vec![subject.at(key, message).with_help("take out one of the two")];
    }
    if subject.facts.own_ids().0 != 0 && watch.on.wanted().intersects(EventMask::ALL_PERMISSION) {
        let mut finding = subject.at(KeyId::On, "permission events are root's alone");
        // Whoever checks need not be who runs the daemon.
        finding.severity = Severity::Note;
        return vec![finding];
    }
    let by = [(KeyId::ByExe, watch.by.exe.is_empty()), (KeyId::ByUser, watch.by.user.is_empty())];
    if let Some((key, _)) = by.into_iter().find(|(_, is_empty)| !is_empty && subject.facts.own_ids().0 != 0) {
        let message = format!(
            "to a user's own daemon the kernel names no process, so `{}` never matches",
            key.key().name
        );
        let mut finding = subject.at(key, message);
        finding.severity = Severity::Note;
        return vec![finding];
    }
    let is_directory =
        |path: &Path| matches!(subject.facts.seen(path), Seen::Present { kind: FileKind::Directory, .. });
    let asks_for_itself = watch.on.wanted().without(OF_ITSELF).is_empty();
    if !watch.dirs
        && (watch.scope == Scope::Itself || asks_for_itself)
        && watch.paths.iter().all(|path| is_directory(path))
    {
        let why = match watch.scope {
            Scope::Itself => "`scope = \"self\"` means",
            Scope::Children | Scope::Tree => "these events mean",
        };
        let message = format!("{why} a directory here, and `dirs` is false");
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
    let is_subject = |path: &Path| watch.scope == Scope::Itself || is_file(subject, path);
    if watch.paths.iter().all(|path| is_subject(path) && is_filtered(path)) {
        let (key, why) = match watch.scope {
            Scope::Itself => (KeyId::Scope, "`scope = \"self\"` means the path itself"),
            Scope::Children | Scope::Tree => (KeyId::Path, "this is a file"),
        };
        let message = format!("{why}, and its file name is filtered out");
        return vec![subject.at(key, message).with_help("globs are for what is below a directory")];
    }
    if is_all_of(&watch.by.exe, &watch.by.not_exe) {
        return vec![subject.at(KeyId::NotByExe, "`by-exe` and `not-by-exe` name the same programs")];
    }
    if is_all_of(&watch.by.user, &watch.by.not_user) {
        return vec![subject.at(KeyId::NotByUser, "`by-user` and `not-by-user` name the same users")];
    }
    Vec::new()
}

/// Whether there is a file that is no directory.
fn is_file(subject: &Subject<'_>, path: &Path) -> bool {
    matches!(subject.facts.seen(path), Seen::Present { kind: FileKind::Regular | FileKind::Special, .. })
}

/// Whether there are some, and the others have them all.
fn is_all_of<T: Ord>(some: &[T], others: &[T]) -> bool {
    if some.is_empty() {
        return false;
    }
    let others: BTreeSet<&T> = others.iter().collect();
    some.iter().all(|one| others.contains(one))
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
    bounded(place.items().zip(&subject.rule.watch.paths).filter_map(|(span, path)| {
        let raw = subject.raw(&span);
        let quote = raw.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let clean = path.to_str()?;
        let written = raw.strip_prefix(quote)?.strip_suffix(quote)?;
        if written == clean || written.contains(['\\', '\n', quote]) {
            return None;
        }
        let message = format!("the path is used as `{}`", shown_path(path));
        let finding = subject.code.at(subject.written.source, span.clone(), message);
        Some(finding.with_fix(span, format!("{quote}{clean}{quote}"), true))
    }))
}

pub(super) fn control_character(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let has_control = |path: &Path| path.to_str().is_some_and(|path| path.contains(char::is_control));
    each_path(subject, |subject, index, path| {
        let message = format!("the path has a control character: `{}`", shown_path(path));
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
        is_missing
            .then(|| subject.at_item(KeyId::Path, index, format!("{} does not exist yet", shown_path(path))))
    })
}

pub(super) fn foreign_link(subject: &Subject<'_>) -> Vec<Diagnostic> {
    each_path(subject, |subject, index, path| {
        let link = subject.facts.foreign_link(path)?;
        let message = format!("{} is a link that others could change", shown_path(&link));
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
    if subject.rule.watch.scope != Scope::Tree {
        return Vec::new();
    }
    each_path(subject, |subject, index, path| {
        let message = format!("{} is a file and has nothing below it", shown_path(path));
        let finding = || subject.at_item(KeyId::Path, index, message).with_help("leave `scope` out");
        is_file(subject, path).then(finding)
    })
}

pub(super) fn unknown_cause(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let by = &subject.rule.watch.by;
    let programs =
        [(KeyId::ByExe, &by.exe), (KeyId::NotByExe, &by.not_exe)].into_iter().flat_map(|(key, programs)| {
            programs.iter().enumerate().filter_map(move |(index, program)| {
                let is_missing = subject.facts.seen(program) == Seen::Missing;
                let message = || format!("there is no program {}", shown_path(program));
                is_missing.then(|| subject.at_item(key, index, message()))
            })
        });
    let users =
        [(KeyId::ByUser, &by.user), (KeyId::NotByUser, &by.not_user)].into_iter().flat_map(|(key, users)| {
            users.iter().enumerate().filter_map(move |(index, user)| {
                // A number needs no name.
                let Identity::Name(name) = user else { return None };
                let is_unknown = subject.facts.user(user) == Account::Unknown;
                let finding = || subject.at_item(key, index, format!("there is no user {}", shown(name)));
                is_unknown.then(|| with_nearest(finding(), user, &subject.facts.user_names()))
            })
        });
    bounded(programs.chain(users))
}

/// A look at each path of a rule.
fn each_path(
    subject: &Subject<'_>,
    look: impl Fn(&Subject<'_>, usize, &Path) -> Option<Diagnostic>,
) -> Vec<Diagnostic> {
    let paths = subject.rule.watch.paths.iter().enumerate();
    bounded(paths.filter_map(|(index, path)| look(subject, index, path)))
}
