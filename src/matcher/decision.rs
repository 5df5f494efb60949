//! What one rule makes of something that happened at or below its path, and which of its settings decides.
//!
//! The daemon asks for the mask, `facron explain` for the reason: one function, so that they cannot differ.

use std::path::Path;

use crate::event::EventMask;
use crate::glob::Glob;
use crate::rule::{Filter, Scope, Watch};

/// What a rule makes of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision<'w> {
    /// It asks for these of what happened.
    Wanted(EventMask),
    /// `scope` does not reach there.
    OutOfScope,
    /// The subject is a directory, and `dirs` is false.
    Directory,
    /// `on` asks for nothing of what happened.
    NotAsked,
    /// A glob of `exclude` matches the subject, or a directory above it.
    Excluded {
        /// Which.
        glob: &'w Glob,
        /// How many bytes of the path below the rule's path it matches.
        len: usize,
    },
    /// No glob of `include` matches.
    NotIncluded,
}

impl Decision<'_> {
    /// What the rule asks for of what happened; empty: the event does not concern it.
    pub fn wanted(self) -> EventMask {
        match self {
            Decision::Wanted(mask) => mask,
            Decision::OutOfScope
            | Decision::Directory
            | Decision::NotAsked
            | Decision::Excluded { .. }
            | Decision::NotIncluded => EventMask::EMPTY,
        }
    }
}

/// Decides about a subject by its path below `root`, one of the rule's paths; empty for that path itself, which
/// the filter knows by its file name.
///
/// The cheap questions come first: in a busy directory most events end there.
pub fn decide<'w>(
    watch: &'w Watch,
    root: &Path,
    below: &[u8],
    is_dir: bool,
    happened: EventMask,
) -> Decision<'w> {
    if !is_in_scope(watch.scope, below) {
        return Decision::OutOfScope;
    }
    if is_dir && !watch.dirs {
        return Decision::Directory;
    }
    let wanted = happened.intersection(watch.on.wanted_for(is_dir));
    if wanted.is_empty() {
        return Decision::NotAsked;
    }
    let root_name = || root.file_name().unwrap_or_default().as_encoded_bytes();
    let subject = if below.is_empty() { root_name() } else { below };
    filtered(&watch.filter, subject, is_dir).unwrap_or(Decision::Wanted(wanted))
}

/// Whether something in this directory below a rule's path, or deeper, could concern the rule; empty for that path
/// itself, which no glob shuts.
pub fn is_entered(watch: &Watch, below: &[u8]) -> bool {
    match watch.scope {
        Scope::Itself => false,
        Scope::Children => below.is_empty(),
        Scope::Tree => below.is_empty() || excluded(&watch.filter.exclude, below, true).is_none(),
    }
}

fn is_in_scope(scope: Scope, below: &[u8]) -> bool {
    match scope {
        Scope::Itself => below.is_empty(),
        Scope::Children => !below.contains(&b'/'),
        Scope::Tree => true,
    }
}

/// What speaks against a subject; none: nothing.
fn filtered<'w>(filter: &'w Filter, subject: &[u8], is_dir: bool) -> Option<Decision<'w>> {
    if let Some((glob, len)) = excluded(&filter.exclude, subject, is_dir) {
        return Some(Decision::Excluded { glob, len });
    }
    let is_included =
        filter.include.is_empty() || filter.include.iter().any(|glob| glob.matches(subject, is_dir));
    (!is_included).then_some(Decision::NotIncluded)
}

/// The first glob that matches a subject or a directory above it, the uppermost first, with what it matches.
pub fn excluded<'g>(globs: &'g [Glob], subject: &[u8], is_dir: bool) -> Option<(&'g Glob, usize)> {
    if globs.is_empty() {
        return None;
    }
    let slashes = subject.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(len, _)| (len, true));
    let mut prefixes = slashes.chain([(subject.len(), is_dir)]);
    prefixes.find_map(|(len, is_dir)| {
        let glob = globs.iter().find(|glob| glob.matches(&subject[..len], is_dir))?;
        Some((glob, len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{CauseFilter, MarkChoice, On, OnOverflow};

    fn watch(scope: Scope, dirs: bool, include: &[&str], exclude: &[&str]) -> Watch {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::parse(text).expect("a glob")).collect();
        Watch {
            paths: vec!["/srv/in".into()],
            scope,
            filter: Filter { include: globs(include), exclude: globs(exclude) },
            dirs,
            on: On {
                any: EventMask::ARRIVED,
                any_directory: EventMask::CREATE,
                all_of: vec![EventMask::OPEN],
            },
            by: CauseFilter::default(),
            ignore_self: true,
            catch_up: false,
            rescan: None,
            on_overflow: OnOverflow::Rescan,
            mark: MarkChoice::Auto,
        }
    }

    /// The decision in a word: what is wanted, or what speaks against it.
    fn word(watch: &Watch, below: &str, happened: EventMask) -> String {
        let is_dir = below.ends_with('/') || below.is_empty();
        let below = below.trim_end_matches('/');
        match decide(watch, Path::new("/srv/in"), below.as_bytes(), is_dir, happened) {
            Decision::Wanted(mask) => mask.to_string(),
            Decision::OutOfScope => "scope".to_owned(),
            Decision::Directory => "dirs".to_owned(),
            Decision::NotAsked => "on".to_owned(),
            Decision::Excluded { glob, len } => {
                format!("{}@{}", glob.as_str(), below.get(..len).unwrap_or_default())
            }
            Decision::NotIncluded => "include".to_owned(),
        }
    }

    #[test]
    fn the_scope_decides_first() {
        let arrived = EventMask::ARRIVED;
        let subjects = ["", "a", "a/b", "a/"];
        for (scope, dirs, expected) in [
            (Scope::Itself, true, ["arrived", "scope", "scope", "scope"]),
            (Scope::Itself, false, ["dirs", "scope", "scope", "scope"]),
            (Scope::Children, false, ["dirs", "arrived", "scope", "dirs"]),
            (Scope::Children, true, ["arrived", "arrived", "scope", "arrived"]),
            (Scope::Tree, false, ["dirs", "arrived", "arrived", "dirs"]),
        ] {
            let watch = watch(scope, dirs, &[], &[]);
            assert_eq!(subjects.map(|below| word(&watch, below, arrived)), expected, "{scope:?} {dirs}");
        }
    }

    #[test]
    fn directories_have_events_of_their_own() {
        let watch = watch(Scope::Tree, true, &[], &[]);
        assert_eq!(word(&watch, "a/", EventMask::CREATE), "create");
        assert_eq!(word(&watch, "a", EventMask::CREATE), "on");
        assert_eq!(
            word(&watch, "a", EventMask::OPEN | EventMask::MODIFY),
            "open",
            "a part of an inner array"
        );
    }

    #[test]
    fn exclude_wins_and_shuts_what_is_below() {
        let watch = watch(Scope::Tree, false, &["*.conf"], &["build/", "a/x.conf"]);
        for (below, expected) in [
            ("a.conf", "arrived"),
            ("a.txt", "include"),
            ("build/a.conf", "build/@build"),
            ("x/build/y/a.conf", "build/@x/build"),
            ("build", "include"),
            ("a/x.conf", "a/x.conf@a/x.conf"),
            ("b/x.conf", "arrived"),
        ] {
            assert_eq!(word(&watch, below, EventMask::ARRIVED), expected, "{below}");
        }
        assert!(is_entered(&watch, b"x") && !is_entered(&watch, b"x/build/y"));
    }

    #[test]
    fn the_path_itself_is_filtered_by_its_file_name() {
        let by_name = watch(Scope::Itself, true, &["in"], &[]);
        assert_eq!(word(&by_name, "", EventMask::ARRIVED), "arrived");
        let other = watch(Scope::Itself, true, &["*.conf"], &[]);
        assert_eq!(word(&other, "", EventMask::ARRIVED), "include");
        let shut = watch(Scope::Tree, true, &[], &["in"]);
        assert_eq!(word(&shut, "", EventMask::ARRIVED), "in@");
        assert!(is_entered(&shut, b""), "no glob shuts the path itself");
    }
}
