//! Lints about `include`, `exclude` and other lists.

use super::Subject;
use crate::config::keys::KeyId;
use crate::diagnostic::Diagnostic;
use crate::glob::TEMPORARY_NAME;
use crate::rule::Scope;

/// The globs of the rule itself, as they are written, each with its place; those of `[defaults]` are for many rules.
fn written_globs(subject: &Subject<'_>, key: KeyId) -> Vec<(std::ops::Range<usize>, String)> {
    let Some(place) = subject.written.own(key) else { return Vec::new() };
    place
        .items()
        .map(|span| {
            let raw = subject.raw(&span);
            let text = raw.trim_matches(['"', '\'']).to_owned();
            (span, text)
        })
        .collect()
}

pub(super) fn dead_glob(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for key in [KeyId::Include, KeyId::Exclude] {
        for (span, text) in written_globs(subject, key) {
            if let Some((why, help)) = why_dead(subject, key, &text) {
                let message = format!("`{}` never matches: {why}", crate::escape::line(&text));
                let finding = subject.code.at(subject.written.source, span, message);
                findings.push(finding.with_help(help));
            }
        }
    }
    findings
}

fn why_dead(subject: &Subject<'_>, key: KeyId, text: &str) -> Option<(String, String)> {
    let watch = &subject.rule.watch;
    if text == TEMPORARY_NAME {
        return None;
    }
    if text.starts_with('@') && strsim::damerau_levenshtein(text, TEMPORARY_NAME) <= 3 {
        return Some((
            "it is a name like any other".to_owned(),
            format!("did you mean `\"{TEMPORARY_NAME}\"`?"),
        ));
    }
    let is_own_path = |path: &&std::path::PathBuf| {
        path.to_str().is_some_and(|path| {
            path.len() > 1 && text.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    if let Some(path) = watch.paths.iter().find(is_own_path) {
        let rest = &text[path.as_os_str().len()..];
        let why = format!("globs are matched below {}", crate::escape::path(path));
        return Some((why, format!("write `\"{rest}\"`")));
    }
    if text.starts_with('!') {
        let help = "what is not meant goes to `exclude`".to_owned();
        return Some(("a leading `!` is part of the name".to_owned(), help));
    }
    if has_braces(text) {
        return Some((
            "braces mean nothing in a glob".to_owned(),
            "write one glob for each alternative".to_owned(),
        ));
    }
    if key == KeyId::Include && text.ends_with('/') && !watch.dirs {
        let help =
            "for what is below a directory, write `DIR/**`; for directories themselves, add `dirs = true`";
        return Some(("it means directories only, and `dirs` is false".to_owned(), help.to_owned()));
    }
    let body = text.trim_start_matches('/').trim_end_matches('/');
    let first = body.split('/').next().unwrap_or_default();
    let is_deep = body.contains('/') && !first.contains("**");
    if watch.scope == Scope::Children && is_deep {
        let why = "`scope = \"children\"` ends at the direct entries".to_owned();
        return Some((why, "take `scope = \"tree\"`, or a glob without `/`".to_owned()));
    }
    None
}

/// `{a,b}`, unescaped.
fn has_braces(text: &str) -> bool {
    text.find('{').is_some_and(|open| {
        let is_escaped = text[..open].ends_with('\\');
        let close = text[open..].find('}');
        !is_escaped && close.is_some_and(|close| text[open..open + close].contains(','))
    })
}

pub(super) fn twice(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for key in [
        KeyId::Path,
        KeyId::Include,
        KeyId::Exclude,
        KeyId::On,
        KeyId::ByExe,
        KeyId::NotByExe,
        KeyId::ByUser,
        KeyId::NotByUser,
        KeyId::InheritEnv,
    ] {
        let Some(place) = subject.written.own(key) else { continue };
        let items: Vec<_> = place.items().collect();
        let mut seen = std::collections::HashMap::new();
        for span in items {
            let raw = subject.raw(&span);
            match seen.get(raw) {
                None => {
                    seen.insert(raw.to_owned(), span);
                }
                Some(first) => {
                    let source = subject.written.source;
                    let message = format!("{} is there already", crate::escape::line(raw));
                    let finding = subject.code.at(source, span, message);
                    findings.push(finding.with_related(source, first.clone(), "first here"));
                }
            }
        }
    }
    findings
}
