//! Lints about `include`, `exclude` and other lists.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use super::{Subject, bounded};
use crate::config::keys::KeyId;
use crate::config::{Place, shown, shown_path};
use crate::diagnostic::Diagnostic;
use crate::glob::{Glob, TEMPORARY, TEMPORARY_NAME};
use crate::matcher::excluded;
use crate::rule::{Filter, Scope};

/// Paths of a rule that a glob is compared with; a rule may have thousands of both.
const PATHS_MAX: usize = 100;

/// Globs of a rule that are compared with one another; a list may have a hundred thousand.
const GLOBS_MAX: usize = 100;

/// The keys whose items have no order and no number.
const LISTS: &[KeyId] = &[
    KeyId::Path,
    KeyId::Include,
    KeyId::Exclude,
    KeyId::On,
    KeyId::ByExe,
    KeyId::NotByExe,
    KeyId::ByUser,
    KeyId::NotByUser,
    KeyId::InheritEnv,
    KeyId::Allow,
];

pub(super) fn dead_glob(subject: &Subject<'_>) -> Vec<Diagnostic> {
    bounded([KeyId::Include, KeyId::Exclude].into_iter().flat_map(|key| {
        // Those of [defaults] are for many rules.
        let spans = subject.written.own(key).into_iter().flat_map(Place::items);
        spans.filter_map(move |span| {
            let text = unquoted(subject.raw(&span));
            let (why, help) = why_dead(subject, key, text)?;
            let message = format!("{} never matches: {why}", shown(text));
            Some(subject.code.at(subject.written.source, span, message).with_help(help))
        })
    }))
}

/// A string as it is written, without its own quotes.
fn unquoted(raw: &str) -> &str {
    let quotes = [r#"""""#, "'''", "\"", "'"];
    quotes.iter().find_map(|quote| raw.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(raw)
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
    let is_own_path = |path: &&PathBuf| {
        path.to_str().is_some_and(|path| {
            path.len() > 1 && text.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    if let Some(path) = watch.paths.iter().take(PATHS_MAX).find(is_own_path) {
        let rest = &text[path.as_os_str().len()..];
        let why = format!("globs are matched below {}", shown_path(path));
        return Some((why, format!("write {}", shown(rest))));
    }
    if let Some(glob) = excluded_by(subject, key, text) {
        let why = format!("`exclude` has {}, which wins", shown_glob(subject, glob));
        return Some((why, "take out one of the two".to_owned()));
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

/// A glob of `exclude` as it is written there: it may be one of those that `@temporary` stands for.
pub(super) fn shown_glob(subject: &Subject<'_>, glob: &str) -> String {
    let spans = subject.written.place(KeyId::Exclude).into_iter().flat_map(Place::items);
    let texts: Vec<&str> = spans.map(|span| unquoted(subject.raw(&span))).collect();
    let is_expanded = TEMPORARY.contains(&glob) && texts.contains(&TEMPORARY_NAME) && !texts.contains(&glob);
    shown(if is_expanded { TEMPORARY_NAME } else { glob })
}

/// The glob of `exclude` that shuts everything that a glob of `include` takes, where others are left.
fn excluded_by<'s>(subject: &'s Subject<'_>, key: KeyId, text: &str) -> Option<&'s str> {
    let filter = &subject.rule.watch.filter;
    if key != KeyId::Include || filter.include.len() > GLOBS_MAX {
        return None;
    }
    // Where nothing at all is left, the rule is said to be dead.
    shut(filter, text).filter(|_| shut_by(filter).is_none())
}

/// The glob of `exclude` that shuts all that a filter includes, or the first of several that do.
pub(super) fn shut_by(filter: &Filter) -> Option<&str> {
    let everything = filter.exclude.iter().find(|glob| matches!(glob.as_str(), "*" | "**"));
    if everything.is_some() || filter.include.is_empty() || filter.include.len() > GLOBS_MAX {
        return everything.map(Glob::as_str);
    }
    let mut shut = filter.include.iter().map(|glob| shut(filter, glob.as_str()));
    let first = shut.next()??;
    shut.all(|glob| glob.is_some()).then_some(first)
}

/// The glob of `exclude` that shuts whatever a glob takes, by samples of it: in them, what a star stands for is made
/// of characters that no other glob names.
fn shut<'f>(filter: &'f Filter, text: &str) -> Option<&'f str> {
    if filter.exclude.is_empty() || filter.exclude.len() > GLOBS_MAX {
        return None;
    }
    let Some(samples) = samples(text) else {
        return filter.exclude.iter().map(Glob::as_str).find(|glob| *glob == text);
    };
    let is_dir = text.ends_with('/');
    let mut first = None;
    for sample in samples {
        let glob = excluded(&filter.exclude, sample.as_bytes(), is_dir)?;
        first = first.or(Some(glob.0.as_str()));
    }
    first
}

/// Paths that a glob takes; none: it has more than stars, or too many of them.
fn samples(text: &str) -> Option<impl Iterator<Item = String>> {
    if text.contains(['[', '?', '\\']) || text.contains("***") || text.matches("**").count() > 1 {
        return None;
    }
    let body = text.trim_end_matches('/');
    let (body, is_anchored) = (body.trim_start_matches('/'), body.contains('/'));
    // A glob without a slash takes entries at any depth.
    let depths = if is_anchored { &[""] } else { &["", "\u{1}\u{2}\u{1}/", "\u{1}\u{2}/\u{2}\u{1}/"][..] };
    let stars = ["\u{1}\u{2}\u{1}", "\u{1}", ""];
    let many = ["\u{1}\u{2}\u{1}/\u{2}\u{1}\u{2}", "\u{1}\u{2}\u{1}", "\u{1}", ""];
    let choices = depths.iter().flat_map(move |depth| {
        stars.into_iter().flat_map(move |star| many.into_iter().map(move |many| (depth, star, many)))
    });
    let samples = choices.map(move |(depth, star, many)| {
        let sample = body.replace("**", many).replace('*', star);
        format!("{depth}{}", sample.trim_start_matches('/'))
    });
    Some(samples.filter(|sample| !sample.is_empty() && !sample.ends_with('/') && !sample.contains("//")))
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
    bounded(LISTS.iter().filter_map(|key| subject.written.own(*key)).flat_map(|place| {
        let mut seen: HashMap<&str, Range<usize>> = HashMap::new();
        place.items().filter_map(move |span| {
            let raw = subject.raw(&span);
            let Some(first) = seen.get(raw) else {
                seen.insert(raw, span);
                return None;
            };
            let source = subject.written.source;
            let finding = subject.code.at(source, span, format!("{} is there already", shown(raw)));
            Some(finding.with_related(source, first.clone(), "first here"))
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::parse(text).expect("a glob")).collect();
        Filter { include: globs(include), exclude: globs(exclude) }
    }

    #[test]
    fn a_string_loses_its_own_quotes_only() {
        let cases =
            [(r#""'a'""#, "'a'"), (r#"'"'"#, "\""), (r#""""a""""#, "a"), (r#""""#, ""), (r#""'!*""#, "'!*")];
        for (raw, text) in cases {
            assert_eq!(unquoted(raw), text, "{raw}");
        }
    }

    #[test]
    fn what_exclude_shuts_is_found() {
        for (include, exclude, expected) in [
            (&["*.conf"][..], &["*.conf"][..], Some("*.conf")),
            (&["a.conf", "b.conf"], &["*.conf"], Some("*.conf")),
            (&["a.conf", "b.txt"], &["*.conf"], None),
            (&["*.conf"], &["a*"], None),
            (&["*.conf"], &["?.conf"], None),
            (&["a/*.conf"], &["a/"], Some("a/")),
            (&["a/**"], &["a"], Some("a")),
            (&["a"], &["/a"], None),
            (&["/a"], &["a"], Some("a")),
            (&["a"], &["a/"], None),
            (&["a/"], &["a"], Some("a")),
            (&["[ab].conf"], &["*.conf"], None),
            (&[], &["**"], Some("**")),
            (&[], &["*.conf"], None),
        ] {
            assert_eq!(shut_by(&filter(include, exclude)), expected, "{include:?} {exclude:?}");
        }
    }

    /// Every text of at most three of these pieces that is a glob.
    fn every_glob() -> Vec<String> {
        let pieces = ["", "a", "*", "**", "/", "?"];
        let mut texts = Vec::new();
        for (one, two, three) in (0..216).map(|n| (pieces[n / 36], pieces[n / 6 % 6], pieces[n % 6])) {
            texts.push([one, two, three].concat());
        }
        texts.retain(|text| Glob::parse(text).is_ok());
        texts.sort();
        texts.dedup();
        texts
    }

    #[test]
    fn nothing_that_is_left_is_said_to_be_shut() {
        let names = ["a", "aa", "b", "ab", "a/a", "a/b", "b/a", "ab/a", "a/b/a", "b/a/b", "bbb", "b/b/b"];
        let globs = every_glob();
        let mut shut = 0;
        for include in &globs {
            for exclude in &globs {
                let filter = filter(&[include], &[exclude]);
                if shut_by(&filter).is_none() {
                    continue;
                }
                shut += 1;
                for (name, is_dir) in names.iter().flat_map(|name| [(name, false), (name, true)]) {
                    let is_left = filter.include[0].matches(name.as_bytes(), is_dir)
                        && excluded(&filter.exclude, name.as_bytes(), is_dir).is_none();
                    assert!(!is_left, "{name} is left of {include}, excluded {exclude}");
                }
            }
        }
        assert!(shut > globs.len(), "{shut} of {}", globs.len());
    }
}
