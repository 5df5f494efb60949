//! Every line of the corpus of incron: the rule that it becomes, against what incron was recorded to make of it.
//! Where the two differ is listed in `../classic/DIFFERENCES.md`.

use crate::corpus::{self, Row};
use facron::event::EventMask;
use facron::import::{Dialect, Import, Owner};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// A rule, word for word: exit status 0.
    Translated,
    /// A rule that says something else: exit status 1.
    Changed,
    /// No rule: exit status 1.
    Refused,
    /// A comment, which never was more: exit status 0.
    Comment,
}

/// A code of the corpus, our codes, and what becomes of the line.
const EXPECTED: &[(&str, &[&str], Outcome)] = &[
    ("E_BAD_NUMBER", &["I087"], Outcome::Refused),
    ("E_NO_COMMAND", &["I073"], Outcome::Refused),
    ("E_NO_EQUIVALENT", &["I086"], Outcome::Refused),
    ("E_NO_EVENT", &["I086"], Outcome::Refused),
    ("E_NO_MASK", &["I073"], Outcome::Refused),
    ("E_QUOTED_PATH", &["I074", "I085", "I086"], Outcome::Refused),
    ("E_SPACED_SEPARATOR", &["I022"], Outcome::Refused),
    ("E_UNKNOWN_MASK", &["I085", "I086"], Outcome::Refused),
    ("W_ALL_EVENTS", &["I093"], Outcome::Translated),
    ("W_BOM", &["I001"], Outcome::Changed),
    ("W_DOLLAR", &["I105"], Outcome::Changed),
    ("W_DROPPED_MASK", &["I089"], Outcome::Changed),
    ("W_DUPLICATE_PATH", &["I081"], Outcome::Translated),
    ("W_GLOB_PATH", &["I080"], Outcome::Changed),
    ("W_HASH_LINE", &["I070"], Outcome::Comment),
    ("W_IGNORED_TAIL", &["I088"], Outcome::Changed),
    ("W_ISDIR_NO_FILTER", &["I091"], Outcome::Changed),
    ("W_LONG_LINE", &["I071"], Outcome::Changed),
    ("W_NO_LOOP", &["I094"], Outcome::Changed),
    ("W_QUOTED_WILDCARD", &["I103"], Outcome::Changed),
    ("W_ROOT_WORLD_WRITABLE", &["I083"], Outcome::Translated),
    ("W_SHELL_COMMAND", &["I102"], Outcome::Changed),
    ("W_TILDE", &["I077"], Outcome::Changed),
    ("W_UNKNOWN_MASK", &["I085"], Outcome::Changed),
    ("W_UNKNOWN_OPTION", &["I085"], Outcome::Changed),
];

/// Lines with more to say than their code in the corpus, and the reason.
const MORE: &[(&str, &[&str], Outcome, &str)] = &[
    (
        "I015",
        &["I093", "I100", "I106"],
        Outcome::Changed,
        "the program is written absolutely, `$%` has facron's names",
    ),
    ("I036", &["I100"], Outcome::Changed, "the program is written absolutely"),
    (
        "I075",
        &["I080", "I100", "I107"],
        Outcome::Changed,
        "the program is written absolutely; `$#` was empty",
    ),
    ("I078", &["I100"], Outcome::Changed, "the program is written absolutely"),
    ("I083", &["I102", "I105", "I106"], Outcome::Changed, "`$%` has facron's names, in shell text"),
    ("I088", &["I094", "I100"], Outcome::Changed, "the program is written absolutely"),
];

/// Commands that the corpus gives to bash, and what they are here.
const SHELL: &[(&str, &str)] = &[
    ("I080", r#"echo "$1" | logger"#),
    ("I083", r#"/usr/local/bin/h "${FACRON_EVENTS}" "${FACRON_EVENTS}" \$ $HOME $HOME \$"#),
    ("I085", r#"/usr/local/bin/a "${1##*/}" && /usr/local/bin/b; c > /tmp/x 2>&1 &"#),
];

/// Lines that are not what the corpus proposes.
pub fn departures() -> impl Iterator<Item = &'static str> {
    MORE.iter().map(|(id, ..)| *id).chain(SHELL.iter().map(|(id, _)| *id))
}

fn outcome(import: &Import) -> Outcome {
    let fates = corpus::fates(import);
    match () {
        () if fates.contains_key("refused") => Outcome::Refused,
        () if !fates.contains_key("rule") => Outcome::Comment,
        () if import.is_faithful() => Outcome::Translated,
        () => Outcome::Changed,
    }
}

fn incron_rows() -> Vec<(Row, Import)> {
    let rows = corpus::rows(include_str!("../classic/incron.tsv"));
    assert!(rows.len() > 50, "the corpus is there");
    let imported = |row: Row| {
        // Only a user has a home directory.
        let owner = if row.diagnostic == "W_TILDE" { Owner::User("u1".to_owned()) } else { Owner::System };
        let import = corpus::import(&row.line, Dialect::Incron, owner);
        (row, import)
    };
    rows.into_iter().map(imported).collect()
}

#[test]
fn every_line_meets_its_fate_with_its_codes() {
    for (row, import) in incron_rows() {
        let (codes, expected) = match row.diagnostic.as_str() {
            "-" if row.action.starts_with("ignore") => (&[][..], Outcome::Comment),
            "-" => (&[][..], Outcome::Translated),
            classic => {
                let row = EXPECTED.iter().find(|(code, ..)| *code == classic);
                row.map(|(_, codes, outcome)| (*codes, *outcome))
                    .unwrap_or_else(|| panic!("{classic} has no counterpart"))
            }
        };
        let more = MORE.iter().find(|(id, ..)| *id == row.id);
        let (codes, expected) = more.map_or((codes, expected), |(_, codes, outcome, _)| (*codes, *outcome));
        assert_eq!(corpus::codes(&import), codes, "{}: {:?}", row.id, String::from_utf8_lossy(&row.line));
        assert_eq!(outcome(&import), expected, "{}: {}", row.id, import.toml);
    }
}

#[test]
fn every_rule_has_the_path_the_events_and_the_command_of_its_line() {
    let mut rules_seen = 0;
    for (row, import) in incron_rows() {
        // Two lines; the row describes the first.
        for rule in corpus::rules(&import).iter().take(1) {
            rules_seen += 1;
            let path = rule["path"].as_str().expect("path is a string");
            let (expected, include) = watched(&row.path);
            assert_eq!((path, corpus::strings(rule, "include")), (expected, include), "{}", row.id);
            let events = row.groups.iter().flatten().map(|name| {
                EventMask::from_name(name).unwrap_or_else(|| panic!("{}: {name} is no event", row.id))
            });
            let on = corpus::on(rule).into_iter().fold(EventMask::EMPTY, EventMask::union);
            assert_eq!(on, events.fold(EventMask::EMPTY, EventMask::union), "{}", row.id);
            match SHELL.iter().find(|(id, _)| *id == row.id) {
                Some((_, text)) => assert_eq!(rule["shell"].as_str(), Some(*text), "{}", row.id),
                None => assert_eq!(corpus::strings(rule, "command"), arguments(&row), "{}", row.id),
            }
        }
    }
    assert!(rules_seen > 35, "{rules_seen}");
}

/// The corpus writes paths as incron read them.
fn watched(path: &str) -> (&str, Vec<String>) {
    match path {
        "/etc/" => ("/etc", vec![]),
        "~/dir" => ("/home/u1/dir", vec![]),
        "/home/u1/Music/*.mp3" => ("/home/u1/Music", vec!["*.mp3".to_owned()]),
        "/srv/d/*.txt" => ("/srv/d", vec!["*.txt".to_owned()]),
        plain => (plain, vec![]),
    }
}

/// The corpus has words of its own for what is put in, and leaves programs as they are.
fn arguments(row: &Row) -> Vec<String> {
    if row.id == "I061" {
        // The corpus gives it to bash for its comment.
        return vec!["/usr/local/bin/h".to_owned()];
    }
    let argv = row.argv.as_deref().expect("a rule has a command");
    let word = |word: &String| match word.as_str() {
        "abcd" => "/usr/local/bin/abcd".to_owned(),
        "playmp3" => "/usr/bin/playmp3".to_owned(),
        "sudo" => "/usr/bin/sudo".to_owned(),
        "{watched}" => "$@".to_owned(),
        "{name}" => "$#".to_owned(),
        other => other.replace("{watched}/{name}", "{path}"),
    };
    argv.iter().map(word).collect()
}

#[test]
fn what_incron_read_is_what_the_rules_say() {
    let mut compared = 0;
    for (row, import) in incron_rows() {
        let rules = corpus::rules(&import);
        let Some(recorded) = row.recorded.strip_prefix("both: path=").filter(|_| rules.len() == 1) else {
            continue;
        };
        compared += 1;
        let mask = recorded.split("mask=0x").nth(1).and_then(|rest| rest.split(' ').next()).expect("a mask");
        let bits = u64::from_str_radix(mask, 16).expect("a mask in hex") & 0xfff;
        let on = corpus::on(&rules[0]).into_iter().fold(EventMask::EMPTY, EventMask::union);
        assert_eq!(on, EventMask::from_kernel_bits(bits), "{}", row.id);
        let options =
            recorded.split("opts=").nth(1).and_then(|rest| rest.split(' ').next()).expect("options");
        // A file has no scope.
        if let Some(scope) = rules[0].get("scope") {
            let is_flat = options.contains('R') || row.path.contains('*');
            assert_eq!(scope.as_str(), Some(if is_flat { "children" } else { "tree" }), "{}", row.id);
        }
        assert_eq!(rules[0].contains_key("concurrency"), options.contains('L'), "{}", row.id);
    }
    assert!(compared > 30, "{compared}");
}
