//! SPEC 10: what an import writes passes `facron check --strict` wherever its paths exist, as files or as directories.

use crate::corpus::{self, Recorded};
use crate::hostile::pieces;
use facron::config;
use facron::diagnostic::{Severity, SourceText};
use facron::import::{self, Dialect, FileSystem, Options, Owner, PlaceKind, Surroundings as _, Table};
use facron::lint::facts::{self, Account, Facts, FileKind, Seen};
use facron::lint::{Texts, lint};
use facron::report::{Report, short};
use facron::rule::{Identity, Rule};
use facron::sys::trust::Distrust;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A machine where everything exists and is trusted. What stands at the paths that the machine of the corpora says
/// nothing about is all of one kind.
struct Everything {
    programs: BTreeSet<PathBuf>,
    /// What a pattern was about.
    directories: BTreeSet<PathBuf>,
    unknown: FileKind,
}

impl Facts for Everything {
    fn own_ids(&self) -> (u32, u32) {
        (0, 0)
    }

    fn user(&self, _: &Identity) -> Account {
        Account::Known(1000)
    }

    fn group(&self, _: &Identity) -> Account {
        Account::Known(1000)
    }

    fn user_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn group_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn seen(&self, path: &Path) -> Seen {
        let kind = match Recorded.place(path).kind {
            _ if self.programs.contains(path) => FileKind::Regular,
            _ if self.directories.contains(path) => FileKind::Directory,
            PlaceKind::File => FileKind::Regular,
            PlaceKind::Directory => FileKind::Directory,
            PlaceKind::Missing | PlaceKind::Unknown => self.unknown,
        };
        Seen::Present { kind, mode: 0o755, links: 1 }
    }

    fn head(&self, _: &Path) -> Option<Vec<u8>> {
        Some(b"\x7fELF".to_vec())
    }

    fn distrusted(&self, _: &Path) -> Vec<Distrust> {
        Vec::new()
    }

    fn foreign_link(&self, _: &Path) -> Option<PathBuf> {
        None
    }

    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }

    fn file_system(&self, _: &Path) -> facts::FileSystem {
        facts::FileSystem::Local
    }
}

/// Imports a table and checks the rules; gives what is warned about or refused.
fn warnings(bytes: &[u8], dialect: Dialect, owner: &Owner) -> String {
    let import = corpus::import(bytes, dialect, owner.clone());
    let sources = [SourceText { name: "rules.toml".into(), text: import.toml.as_str().into() }];
    let mut said = String::new();
    for unknown in [FileKind::Regular, FileKind::Directory] {
        let mut parsed = config::parse(&sources);
        let mut findings = std::mem::take(&mut parsed.findings);
        let rules = || parsed.written.iter().map(|written| &written.rule);
        let has_pattern = |rule: &&Arc<Rule>| !rule.watch.filter.include.is_empty();
        let facts = Everything {
            programs: rules().flat_map(|rule| rule.programs()).map(PathBuf::from).collect(),
            directories: rules().filter(has_pattern).flat_map(|rule| rule.watch.paths.clone()).collect(),
            unknown,
        };
        let paths = [PathBuf::from("/etc/facron/rules.toml")];
        let texts =
            Texts { parsed: &parsed, findings: &findings, sources: &sources, paths: &paths, facts: &facts };
        let found = lint(&texts);
        findings.extend(found);
        // What is allowed for nothing would be a note only, and yet a mistake of the importer.
        findings.retain(|finding| finding.severity > Severity::Note || finding.code == "F073");
        said.push_str(&short(&Report::new(&sources, &findings)));
    }
    said
}

const CORPORA: [(&str, Dialect); 2] = [
    (include_str!("../classic/facron.tsv"), Dialect::Facron),
    (include_str!("../classic/incron.tsv"), Dialect::Incron),
];

#[test]
fn every_line_of_the_corpora_passes() {
    for (text, dialect) in CORPORA {
        for row in corpus::rows(text) {
            let said = warnings(&row.line, dialect, &Owner::System);
            assert_eq!(said, "", "{}", row.id);
        }
    }
}

#[test]
fn the_corpora_pass_as_whole_tables() {
    for (text, dialect) in CORPORA {
        let lines: Vec<Vec<u8>> = corpus::rows(text).into_iter().map(|row| row.line).collect();
        let owners = [Owner::System, Owner::User("u1".to_owned())];
        let owners = if dialect == Dialect::Incron { &owners[..] } else { &owners[..1] };
        for owner in owners {
            assert_eq!(warnings(&lines.join(&b"\n"[..]), dialect, owner), "", "{owner:?}");
        }
    }
}

#[test]
fn the_tables_that_were_made_to_be_misread_pass() {
    for case in include_str!("../classic/tables.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(case).expect("a case is JSON");
        let text = |key: &str| case[key].as_str().expect("a string");
        let dialect = if text("kind") == "classic" { Dialect::Facron } else { Dialect::Incron };
        let bytes = facron::escape::base64_decode(text("content_base64")).expect("base64");
        assert_eq!(warnings(&bytes, dialect, &Owner::System), "", "{}", text("id"));
    }
}

/// Every path with every mask and every command.
fn each_line(paths: &[&str], masks: &[&str], commands: &[&str], mut check: impl FnMut(&str)) {
    for path in paths {
        for mask in masks {
            for command in commands {
                check(&format!("{path} {mask} {command}\n"));
            }
        }
    }
}

#[test]
fn whatever_a_facron_conf_says_passes() {
    let paths = [
        "/",
        "/srv/d",
        "/srv/f",
        "/srv/missing",
        "/boot/x",
        "/etc",
        "/usr/local/bin",
        "/usr/lib",
        "'/srv/a\tb'",
        "/srv//d/",
        "\"/srv/it's\"",
        "/srv/{a,b}",
        "/srv/*",
        "/proc/x",
        "/srv/\u{1b}x",
    ];
    let masks = [
        "FAN_ACCESS",
        "FAN_OPEN",
        "FAN_CLOSE",
        "FAN_ALL_EVENTS",
        "FAN_Q_OVERFLOW",
        "FAN_OPEN_PERM",
        "FAN_OPEN_PERM|FAN_EVENT_ON_CHILD",
        "FAN_OPEN,FAN_ALL_PERM_EVENTS",
        "FAN_OPEN,FAN_ONDIR",
        "FAN_OPEN|FAN_EVENT_ON_CHILD",
        "FAN_OPEN,FAN_OPEN",
        "FAN_MODIFY|FAN_CLOSE_WRITE,FAN_Q_OVERFLOW",
        "FAN_CLOSE,FAN_CLOSE_WRITE|FAN_CLOSE",
        "FAN_OPEN|FAN_OPEN",
    ];
    let commands = [
        "/usr/local/bin/h $$ $# $@ $*",
        "/usr/bin/rm $#",
        "/bin/echo $# {name} $$.bak",
        "/usr/bin/perl -e $$",
        "/usr/bin/sed $# x",
        "/usr/bin/awk -f /p $$",
        "/bin/cp $$ /srv/d/x",
        "/usr/bin/notify-send $#",
        "/bin/sh -c 'x > /srv/f' sh $$",
        "/usr/bin/python3 -c $=",
        "/usr/bin/sudo x $+",
    ];
    each_line(&paths, &masks, &commands, |line| {
        assert_eq!(warnings(line.as_bytes(), Dialect::Facron, &Owner::System), "", "{line}");
    });
}

#[test]
fn whatever_an_incrontab_says_passes() {
    let paths = [
        "/",
        "/srv/d",
        "/srv/f",
        "/srv/missing",
        "/boot/x",
        "~/x",
        "/srv/d/*.txt",
        "/srv/*/in",
        "/srv/d/*",
        "/*",
        "/srv/d/!x*",
        "/srv/d/@temporary*",
        "/srv/d/{a,b}*",
        "/srv/d/[x]*",
        "/srv/.hidden",
        "/srv/a\\ b",
        "etc",
        "/srv/\u{1b}x",
    ];
    let masks = [
        "IN_ACCESS",
        "IN_CLOSE",
        "IN_CREATE,recursive=false",
        "IN_MOVE,dotdirs=true",
        "IN_DELETE_SELF",
        "IN_MOVE_SELF,recursive=false",
        "IN_DELETE_SELF,IN_CLOSE_WRITE",
        "IN_ALL_EVENTS,loopable=true",
        "IN_CREATE,IN_Q_OVERFLOW",
        "IN_Q_OVERFLOW",
        "IN_CREATE,IN_DONT_FOLLOW,IN_ONLYDIR",
        "IN_OPEN,IN_ISDIR",
    ];
    let commands = [
        "/usr/local/bin/h $@/$# $@ $# $% $&",
        "/usr/bin/rm $#.bak",
        "/usr/bin/rm -- $#.bak",
        "/bin/echo $#.bak",
        "/usr/bin/notify-send $#",
        "/usr/bin/jq $#.x /f",
        "/usr/bin/expect -c $#",
        "/usr/bin/awk -v n=$# p",
        "/bin/cp $@/$# /srv/d/x",
        "/bin/echo $# > /srv/d/log",
        "/usr/bin/sudo /bin/x $#.y",
        "/bin/sh /x.sh $#.y",
        "/bin/bash -c 'x \"$$0\"' $#.y",
        "[[ -f /x ]] && /bin/h $#",
    ];
    for owner in [Owner::System, Owner::User("u1".to_owned())] {
        each_line(&paths, &masks, &commands, |line| {
            assert_eq!(warnings(line.as_bytes(), Dialect::Incron, &owner), "", "{line}");
        });
    }
}

/// Each kind of warning that a line can have by itself, and what the importer says of the line.
const ALLOWED: &[(&str, Dialect, &str, &str)] = &[
    ("/srv/d IN_CREATE /usr/bin/rm $#.bak\n", Dialect::Incron, "F031", "I063"),
    ("/srv/d IN_CREATE /usr/bin/rm a $#b $#.bak\n", Dialect::Incron, "F031", "I063"),
    ("'/srv/\tb' FAN_OPEN /bin/x\n", Dialect::Facron, "F044", "I014"),
    ("/ IN_CREATE /bin/x\n", Dialect::Incron, "F045", "I016"),
    ("/boot/x IN_CREATE /bin/x\n", Dialect::Incron, "F071", "I017"),
    ("/srv/missing IN_CREATE /bin/x\n", Dialect::Incron, "F071", "I012"),
];

#[test]
fn what_the_line_itself_has_is_allowed_and_said_and_leaves_the_exit_status_alone() {
    for (line, dialect, code, said) in ALLOWED {
        let import = corpus::import(line.as_bytes(), *dialect, Owner::System);
        assert_eq!(corpus::strings(&corpus::rules(&import)[0], "allow"), [*code], "{line}");
        assert_eq!(corpus::codes(&import), [*said], "{line}");
        assert!(import.is_faithful(), "{line}");
        assert_eq!(warnings(line.as_bytes(), *dialect, &Owner::System), "", "{line}");
    }
    for line in ["/srv/d IN_CREATE /usr/bin/rm -- $#.bak\n", "/srv/d IN_CREATE /usr/bin/rm $# $@/$#\n"] {
        let import = corpus::import(line.as_bytes(), Dialect::Incron, Owner::System);
        assert!(!corpus::rules(&import)[0].contains_key("allow"), "{line}");
    }
}

/// The machine of the corpora, with all of it on one file system.
struct On(FileSystem);

impl import::Surroundings for On {
    fn place(&self, path: &Path) -> import::Place {
        import::Place { file_system: self.0.clone(), ..Recorded.place(path) }
    }

    fn is_program(&self, path: &Path) -> bool {
        Recorded.is_program(path)
    }

    fn home(&self, user: &str) -> Option<String> {
        Recorded.home(user)
    }
}

#[test]
fn a_file_system_that_reports_little_is_allowed_and_may_not_be_guarded() {
    for file_system in [FileSystem::Foreign("nfs4".to_owned()), FileSystem::Kernel("proc".to_owned())] {
        let machine = On(file_system);
        let import = |line: &str| {
            let table = Table {
                name: "table".into(),
                bytes: line.as_bytes().to_vec(),
                dialect: Dialect::Facron,
                owner: Owner::System,
            };
            import::import(&[table], &Options::default(), &machine)
        };
        let told = import("/srv/f FAN_OPEN /bin/x\n");
        assert_eq!(corpus::strings(&corpus::rules(&told)[0], "allow"), ["F062"]);
        assert_eq!(corpus::codes(&told), ["I015"]);
        assert!(told.is_faithful());
        let guard = import("/srv/f FAN_OPEN_PERM /bin/x\n");
        assert!(corpus::codes(&guard).contains(&"I030"), "{}", guard.toml);
    }
}

/// A word of a table: pieces that mean something to a shell, a glob, a rule file or an option, in any order.
fn word() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("-"),
        Just("--"),
        Just("$#"),
        Just("$@"),
        Just("$@/$#"),
        Just("$$"),
        Just("$%"),
        Just("{"),
        Just("}"),
        Just("a"),
        Just("b.c"),
        Just("/srv/d"),
        Just("="),
        Just("*"),
        Just("!"),
        Just("@temporary"),
        Just("'"),
        Just("\""),
        Just(">"),
        Just("/srv/d/x"),
        Just("-c"),
        Just("-e"),
        Just("-f"),
        Just(","),
        Just("~"),
    ];
    proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

/// A line of a table: a path, events, a program and words.
fn line(dialect: Dialect) -> impl Strategy<Value = String> {
    let masks: &[&str] = match dialect {
        Dialect::Facron => {
            &["FAN_OPEN", "FAN_CLOSE", "FAN_OPEN_PERM", "FAN_MODIFY|FAN_EVENT_ON_CHILD", "FAN_ONDIR,FAN_OPEN"]
        }
        Dialect::Incron => {
            &["IN_CREATE", "IN_DELETE_SELF", "IN_ALL_EVENTS,recursive=false", "IN_MOVE,dotdirs=true"]
        }
    };
    let programs = [
        "/bin/x",
        "/usr/bin/rm",
        "/bin/sh",
        "/usr/bin/perl",
        "/usr/bin/awk",
        "/usr/bin/sed",
        "/usr/bin/env",
        "/usr/bin/flock",
        "/usr/bin/notify-send",
        "/usr/bin/expect",
        "/usr/bin/node",
        "/usr/bin/jq",
        "sudo",
        "/bin/echo",
    ];
    let paths = ["/", "/srv/d", "/srv/f", "/srv/missing", "/boot/x", "/srv/d/", "/srv/"];
    let path = (proptest::sample::select(paths.to_vec()), proptest::option::of(word()));
    let path = path.prop_map(|(path, word)| format!("{path}{}", word.unwrap_or_default()));
    let words = proptest::collection::vec(word(), 0..4);
    (path, proptest::sample::select(masks), proptest::sample::select(programs.to_vec()), words)
        .prop_map(|(path, mask, program, words)| format!("{path} {mask} {program} {}\n", words.join(" ")))
}

proptest! {
    #[test]
    fn any_line_of_a_facron_conf_passes(line in line(Dialect::Facron)) {
        prop_assert_eq!(warnings(line.as_bytes(), Dialect::Facron, &Owner::System), "", "{}", line);
    }

    #[test]
    fn any_line_of_an_incrontab_passes(line in line(Dialect::Incron)) {
        prop_assert_eq!(warnings(line.as_bytes(), Dialect::Incron, &Owner::System), "", "{}", line);
    }

    #[test]
    fn any_pieces_pass(bytes in pieces()) {
        for dialect in [Dialect::Facron, Dialect::Incron] {
            prop_assert_eq!(warnings(&bytes, dialect, &Owner::System), "");
        }
    }
}
