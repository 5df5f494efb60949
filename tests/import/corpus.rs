//! The corpora of classic lines, and what an import makes of one of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use facron::diagnostic::{Diagnostic, Severity, SourceText};
use facron::event::EventMask;
use facron::import::{self, Dialect, Fate, Import, Options, Owner, Place, PlaceKind, Surroundings, Table};

/// One row of a corpus.
pub struct Row {
    pub id: String,
    /// The line, or lines, as bytes.
    pub line: Vec<u8>,
    /// As it was read, with what is not UTF-8 as `\xNN`; `-`: there is no rule.
    pub path: String,
    /// Alternatives, each with the names that belong together.
    pub groups: Vec<Vec<String>>,
    pub argv: Option<Vec<String>>,
    /// The code that the corpus proposes; `-`: none.
    pub diagnostic: String,
    /// What the corpus proposes.
    pub action: String,
    /// What the original program made of the line.
    pub recorded: String,
}

/// Reads a corpus.
pub fn rows(text: &str) -> Vec<Row> {
    text.lines().skip(1).map(row).collect()
}

fn row(line: &str) -> Row {
    let fields: Vec<&str> = line.split('\t').collect();
    let [id, line, path, groups, argv, _, diagnostic, action, recorded] = fields[..] else {
        panic!("a row has nine fields: {line}")
    };
    let names = |group: &str| group.split('|').map(str::to_owned).collect();
    Row {
        id: id.to_owned(),
        line: unescape(line),
        path: String::from_utf8(unescape(path)).expect("the path is text"),
        groups: if groups == "-" { Vec::new() } else { groups.split(';').map(names).collect() },
        argv: (argv != "-").then(|| serde_json::from_str(argv).expect("argv is JSON")),
        diagnostic: diagnostic.to_owned(),
        action: action.to_owned(),
        recorded: recorded.to_owned(),
    }
}

/// Undoes `\\ \t \n \r \0 \xNN`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let escaped = tail[0];
        rest = &tail[1..];
        bytes.push(match escaped {
            b't' => b'\t',
            b'n' => b'\n',
            b'r' => b'\r',
            b'0' => 0,
            b'x' => {
                let digits = std::str::from_utf8(&tail[1..3]).expect("two digits");
                rest = &tail[3..];
                u8::from_str_radix(digits, 16).expect("two digits")
            }
            other => other,
        });
    }
    bytes
}

/// The machine on which the corpora were recorded, as far as it matters.
pub struct Recorded;

impl Surroundings for Recorded {
    fn place(&self, path: &Path) -> Place {
        let kind = match path.to_str() {
            Some(
                "/"
                | "/srv"
                | "/srv/d"
                | "/srv/in"
                | "/etc"
                | "/var/log"
                | "/mnt/torrents/completed"
                | "/home/u1/Music"
                | "/home/u1/dir",
            ) => PlaceKind::Directory,
            Some("/var/spool/asterisk/incron") => {
                return Place { kind: PlaceKind::Directory, is_world_writable: true, ..Place::default() };
            }
            Some("/srv/missing") => PlaceKind::Missing,
            Some(path) if path.starts_with("/srv/") => PlaceKind::File,
            _ => PlaceKind::Unknown,
        };
        Place { kind, ..Place::default() }
    }

    fn is_program(&self, path: &Path) -> bool {
        matches!(
            path.to_str(),
            Some("/usr/bin/echo" | "/usr/local/bin/abcd" | "/usr/bin/playmp3" | "/usr/bin/sudo")
        )
    }

    fn home(&self, user: &str) -> Option<String> {
        (user == "u1").then(|| "/home/u1".to_owned())
    }
}

/// Imports one table on that machine, without options.
pub fn import(bytes: &[u8], dialect: Dialect, owner: Owner) -> Import {
    let table = Table { name: OsString::from("table"), bytes: bytes.to_vec(), dialect, owner };
    import::import(&[table], &Options::default(), &Recorded)
}

/// The rules of an import, as TOML tables by their order. facron itself takes them without an error.
pub fn rules(import: &Import) -> Vec<toml::Table> {
    let source = SourceText { name: "rules.toml".into(), text: import.toml.as_str().into() };
    let parsed = facron::config::parse(&[source]);
    let is_error = |finding: &&Diagnostic| finding.severity == Severity::Error;
    if let Some(error) = parsed.findings.iter().find(is_error) {
        panic!("{}: {}\n{}", error.code, error.message, import.toml);
    }
    let file: toml::Table = import.toml.parse().unwrap_or_else(|error| panic!("{error}\n{}", import.toml));
    let rules = file.get("rule").map_or(&[][..], |rules| rules.as_array().expect("rules are an array"));
    rules.iter().map(|rule| rule.as_table().expect("a rule is a table").clone()).collect()
}

/// `on` of a rule: alternatives, each with the events that belong together.
pub fn on(rule: &toml::Table) -> Vec<EventMask> {
    let name = |value: &toml::Value| {
        let name = value.as_str().expect("an event is a string");
        EventMask::from_name(name).unwrap_or_else(|| panic!("{name} is no event"))
    };
    match &rule["on"] {
        toml::Value::Array(alternatives) => alternatives
            .iter()
            .map(|alternative| match alternative {
                toml::Value::Array(joined) => {
                    joined.iter().map(name).fold(EventMask::EMPTY, EventMask::union)
                }
                single => name(single),
            })
            .collect(),
        single => vec![name(single)],
    }
}

/// The strings of a key that holds an array.
pub fn strings(rule: &toml::Table, key: &str) -> Vec<String> {
    let values = rule.get(key).map_or(&[][..], |values| values.as_array().expect("an array"));
    values.iter().map(|value| value.as_str().expect("a string").to_owned()).collect()
}

/// The codes of an import, each once.
pub fn codes(import: &Import) -> Vec<&'static str> {
    let mut codes: Vec<&str> = import.findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// How many lines became what.
pub fn fates(import: &Import) -> BTreeMap<&'static str, usize> {
    let mut fates = BTreeMap::new();
    for line in &import.lines {
        let fate = match line.fate {
            Fate::Blank => "blank",
            Fate::Comment => "comment",
            Fate::Rules(_) => "rule",
            Fate::Refused => "refused",
        };
        *fates.entry(fate).or_default() += 1;
    }
    fates
}
