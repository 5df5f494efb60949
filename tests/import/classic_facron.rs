//! Every line of the corpus of classic facron: the rule that it becomes, against what facron 1.1 was recorded to
//! make of it. Where the two differ is listed in `../classic/DIFFERENCES.md`.
use crate::corpus::{self, Row};
use facron::event::EventMask;
use facron::import::{Dialect, Import, Owner};

/// What a code of the corpus is here: our codes, whether the line becomes a rule, and whether its meaning stays.
struct Expected {
    classic: &'static str,
    codes: &'static [&'static str],
    outcome: Outcome,
}

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

const fn expected(classic: &'static str, codes: &'static [&'static str], outcome: Outcome) -> Expected {
    Expected { classic, codes, outcome }
}

const EXPECTED: &[Expected] = &[
    expected("E_BAD_MASK", &["I020"], Outcome::Refused),
    expected("E_CONTINUATION", &["I052"], Outcome::Refused),
    expected("E_EXEC_EVENT_PATH", &["I055"], Outcome::Refused),
    expected("E_FLAG_ONLY", &["I027"], Outcome::Refused),
    expected("E_NON_UTF8", &["I003"], Outcome::Refused),
    expected("E_NO_COMMAND", &["I050"], Outcome::Refused),
    expected("E_NO_MASK", &["I020"], Outcome::Refused),
    expected("E_NUL", &["I002"], Outcome::Refused),
    expected("E_SPACED_SEPARATOR", &["I022", "I023"], Outcome::Refused),
    expected("E_UNKNOWN_EVENT", &["I021"], Outcome::Refused),
    expected("E_UNTERMINATED_QUOTE", &["I051"], Outcome::Refused),
    expected("W_ALIAS_AND", &["I024"], Outcome::Changed),
    expected("W_AND_MERGE", &["I025"], Outcome::Changed),
    expected("W_BACKSLASH", &["I060"], Outcome::Translated),
    expected("W_DIR_NO_CHILD_FLAG", &["I034"], Outcome::Changed),
    expected("W_DUP_GROUP", &["I026"], Outcome::Changed),
    expected("W_EOC_GROUP", &["I032"], Outcome::Changed),
    expected("W_EOC_ON_FILE", &["I033"], Outcome::Changed),
    expected("W_GLUED_QUOTE", &["I059"], Outcome::Translated),
    expected("W_HASH_PATH", &["I005"], Outcome::Comment),
    expected("W_LEADING_BLANK", &["I006"], Outcome::Changed),
    expected("W_NONCANONICAL_PATH", &["I011"], Outcome::Changed),
    expected("W_ONDIR_GROUP", &["I031"], Outcome::Changed),
    expected("W_OVERFLOW_MASK", &["I028"], Outcome::Changed),
    expected("W_PARTIAL_SUBST", &["I056"], Outcome::Translated),
    expected("W_PATH_MISSING", &["I012"], Outcome::Translated),
    expected("W_TRAILING_COMMENT", &["I057"], Outcome::Translated),
    expected("W_TRAILING_SEPARATOR", &["I023"], Outcome::Translated),
    // facron has counters, `q-overflow` and permission events: a warning, where the corpus would refuse.
    expected("E_COUNTER", &["I061"], Outcome::Changed),
    expected("E_OVERFLOW_MASK", &["I028"], Outcome::Changed),
    expected("E_PERM_EVENT", &["I029"], Outcome::Changed),
    // A rule names its path and its program absolutely, and nobody knows where classic facron was started.
    expected("W_RELATIVE_COMMAND", &["I053"], Outcome::Refused),
    expected("W_RELATIVE_PATH", &["I010"], Outcome::Refused),
];

/// Lines with more to say than their code in the corpus, and the reason.
const MORE: &[(&str, &[&str], &str)] = &[
    ("F011", &["I024", "I029"], "FAN_ALL_PERM_EVENTS is a set, too"),
    ("F111", &["I021", "I050", "I052"], "the second line is refused for what it lacks"),
];

/// Lines that are not what the corpus proposes.
pub fn departures() -> impl Iterator<Item = &'static str> {
    MORE.iter().map(|(id, ..)| *id).chain(MISREAD.iter().map(|(id, _)| *id))
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

fn facron_rows() -> Vec<(Row, Import)> {
    let rows = corpus::rows(include_str!("../classic/facron.tsv"));
    assert!(rows.len() > 60, "the corpus is there");
    let imported = |row: Row| {
        let import = corpus::import(&row.line, Dialect::Facron, Owner::System);
        (row, import)
    };
    rows.into_iter().map(imported).collect()
}

#[test]
fn every_line_meets_its_fate_with_its_codes() {
    for (row, import) in facron_rows() {
        let (codes, expected) = match row.diagnostic.as_str() {
            "-" if row.action.starts_with("ignore") => (&[][..], Outcome::Comment),
            "-" => (&[][..], Outcome::Translated),
            classic => {
                let row = EXPECTED.iter().find(|expected| expected.classic == classic);
                row.map(|row| (row.codes, row.outcome))
                    .unwrap_or_else(|| panic!("{classic} has no counterpart"))
            }
        };
        let more = MORE.iter().find(|(id, ..)| *id == row.id);
        let codes = more.map_or(codes, |(_, codes, _)| codes);
        assert_eq!(corpus::codes(&import), codes, "{}: {:?}", row.id, String::from_utf8_lossy(&row.line));
        assert_eq!(outcome(&import), expected, "{}: {}", row.id, import.toml);
    }
}

#[test]
fn every_rule_has_the_path_the_events_and_the_command_of_its_line() {
    let mut rules_seen = 0;
    for (row, import) in facron_rows() {
        for rule in corpus::rules(&import) {
            rules_seen += 1;
            let path = rule["path"].as_str().expect("path is a string");
            assert_eq!(path, cleaned(&row.path), "{}", row.id);
            assert_eq!(corpus::on(&rule), meant(&row), "{}", row.id);
            let arguments = row.argv.as_deref().expect("a rule has a command");
            assert_eq!(corpus::strings(&rule, "command"), arguments, "{}", row.id);
        }
    }
    assert!(rules_seen > 40, "{rules_seen}");
}

/// The corpus writes paths as they were; these are the ones that have a shorter form.
fn cleaned(path: &str) -> &str {
    match path {
        "/srv/d/" => "/srv/d",
        "/srv//f" | "/srv/d/../f" => "/srv/f",
        clean => clean,
    }
}

/// What the groups of a row mean: flags aside, a set and what comes alone as alternatives, the rest together.
fn meant(row: &Row) -> Vec<EventMask> {
    let is_any_of = matches!(row.diagnostic.as_str(), "W_ALIAS_AND" | "E_PERM_EVENT");
    let mut alternatives = Vec::new();
    for group in &row.groups {
        let events = group.iter().filter_map(|name| EventMask::from_name(name));
        let joined = match is_any_of {
            true => events.collect(),
            false => vec![events.fold(EventMask::EMPTY, EventMask::union)],
        };
        for events in joined.into_iter().filter(|events| !events.is_empty()) {
            if !alternatives.contains(&events) {
                alternatives.push(events);
            }
        }
    }
    alternatives
}

/// Lines of which classic facron itself read something else than they say, and the reason.
const MISREAD: &[(&str, &str)] = &[("F110", "events of a refused line leak into the next one")];

#[test]
fn what_classic_facron_read_is_what_the_rules_say() {
    let mut compared = 0;
    for (row, import) in facron_rows() {
        let rules = corpus::rules(&import);
        let Some(recorded) = row.recorded.strip_prefix("rule ") else { continue };
        if rules.is_empty() || MISREAD.iter().any(|(id, _)| *id == row.id) {
            continue;
        }
        compared += 1;
        let recorded = recorded.strip_prefix(&row.path).expect("the recorded path is the row's");
        let (masks, argv) = recorded.trim_start().split_once(' ').expect("masks, then argv");
        let bits = masks.split(';').map(|mask| u64::from_str_radix(&mask[2..], 16).expect("a mask in hex"));
        let wanted = EventMask::from_kernel_bits(bits.fold(0, |all, bits| all | bits));
        let ours = corpus::on(&rules[0]).into_iter().fold(EventMask::EMPTY, EventMask::union);
        assert_eq!(ours, wanted, "{}", row.id);
        let argv: Vec<String> = serde_json::from_str(argv).expect("argv is JSON");
        assert_eq!(corpus::strings(&rules[0], "command"), argv, "{}", row.id);
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn scope_and_dirs_follow_the_flags() {
    for (line, scope, dirs) in [
        ("/srv/d FAN_OPEN|FAN_EVENT_ON_CHILD /bin/true", Some("children"), false),
        ("/srv/d FAN_OPEN,FAN_ONDIR /bin/true", Some("self"), true),
        ("/srv/d FAN_OPEN|FAN_EVENT_ON_CHILD|FAN_ONDIR /bin/true", Some("children"), true),
        ("/srv/d FAN_OPEN /bin/true", None, false),
        ("/srv/f FAN_OPEN /bin/true", None, false),
        ("/srv/f FAN_OPEN|FAN_EVENT_ON_CHILD,FAN_ONDIR /bin/true", None, false),
        ("/else/where FAN_OPEN,FAN_EVENT_ON_CHILD /bin/true", Some("children"), false),
    ] {
        let import = corpus::import(line.as_bytes(), Dialect::Facron, Owner::System);
        let rules = corpus::rules(&import);
        assert_eq!(rules[0].get("scope").map(|scope| scope.as_str().expect("a string")), scope, "{line}");
        assert_eq!(rules[0].contains_key("dirs"), dirs, "{line}");
    }
}
