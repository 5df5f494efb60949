//! What is fuzzed: every function of facron that reads bytes which others may have made, and what must hold for each
//! beyond that it ends.
//!
//! The fuzz programs call these, and `tests/corpora.rs` calls them with everything that fuzzing has found worth keeping.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use facron::diagnostic::{Diagnostic, Severity};
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::glob::Glob;
use facron::import::{Dialect, Options, Owner, Place, PlaceKind, Surroundings, Table};
use facron::journal::Content;
use facron::sys::decode;
use facron::sys::mounts::MountTable;
use facron::sys::process;
use facron::template::{Facts, Template};
use facron::{config, control, escape, import};

/// A target: what reads the bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("classic_table", classic_table),
    ("control_protocol", control_protocol),
    ("decode", decode),
    ("escape", escape),
    ("glob", glob),
    ("journal", journal),
    ("mountinfo", mountinfo),
    ("proc_stat", proc_stat),
    ("rule_file", rule_file),
    ("template", template),
];

/// Bytes of a message about a text that somebody else wrote.
const MESSAGE_LEN_MAX: usize = 4096;

/// Classic tables of both kinds: what becomes of them is a rule file that can be read.
pub fn classic_table(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else { return };
    let dialect = if first & 1 == 0 { Dialect::Facron } else { Dialect::Incron };
    let owner = if first & 2 == 0 { Owner::System } else { Owner::User("somebody".to_owned()) };
    let table = Table { name: OsString::from("table"), bytes: bytes.to_vec(), dialect, owner };
    let options = Options { debounce: None, timeout: None, concurrency: None };
    let made = import::import(&[table], &options, &Nowhere);
    check_messages(&made.findings);
    let (text, damage) = config::decode("made", 0, made.toml.clone().into_bytes());
    let parsed = config::parse(&[text]);
    let errors = parsed.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<_> = damage.iter().chain(errors).map(|finding| &finding.message).collect();
    assert!(errors.is_empty(), "{errors:?} in\n{}", made.toml);
}

/// A machine on which nothing is known.
struct Nowhere;

impl Surroundings for Nowhere {
    fn place(&self, _: &Path) -> Place {
        Place { kind: PlaceKind::Directory, ..Place::default() }
    }

    fn is_program(&self, path: &Path) -> bool {
        path.starts_with("/usr/bin")
    }

    fn home(&self, user: &str) -> Option<String> {
        (user == "somebody").then(|| "/home/somebody".to_owned())
    }
}

/// Lines over the control socket, in both directions: what is understood comes back as it was.
pub fn control_protocol(input: &[u8]) {
    match control::Verb::from_line(input) {
        Ok(verb) => assert_eq!(control::Verb::from_line(&verb.to_line()), Ok(verb)),
        Err(message) => check_message(&message),
    }
    match control::Response::from_line(input) {
        Ok(response) => assert_eq!(control::Response::from_line(&response.to_line()), Ok(response)),
        Err(message) => check_message(&message),
    }
}

/// The kernel's event records: names are names, and one buffer behind another says what both say.
pub fn decode(input: &[u8]) {
    let read = |buffer| decode::events(buffer).map_while(Result::ok).collect::<Vec<_>>();
    let events = read(input);
    for event in &events {
        let Ok(parts) = event.parts() else { continue };
        for entry in [parts.entry, parts.old, parts.new].into_iter().flatten() {
            let name = entry.name.as_bytes();
            assert!(!name.is_empty() && !name.contains(&0), "{name:?}");
        }
    }
    if decode::events(input).all(|event| event.is_ok()) {
        let twice = [input, input].concat();
        assert_eq!(read(&twice), [&events[..], &events[..]].concat());
    }
}

/// Bytes on their way to people: printable, and undone to the same bytes.
pub fn escape(input: &[u8]) {
    let text = escape::text(input);
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits follow"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    assert_eq!(bytes, input);

    assert!(!escape::markup(&text).contains(['<', '>']));
    assert_eq!(escape::base64_decode(&escape::base64_encode(input)).as_deref(), Some(input));
    let path = Path::new(OsStr::from_bytes(input));
    let (key, value) = escape::json_path("path", path);
    let again = match &*key {
        "path" => escape::path_from_json(Some(&value), None),
        _ => escape::path_from_json(None, Some(&value)),
    };
    assert_eq!(again.as_deref(), Some(path));
}

/// A glob, a NUL, and a name: what is compiled matches itself when its special characters are taken literally.
pub fn glob(input: &[u8]) {
    let mut halves = input.splitn(2, |byte| *byte == 0);
    let (Some(pattern), name) = (halves.next(), halves.next().unwrap_or_default()) else { return };
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    if let Ok(glob) = Glob::parse(pattern) {
        let _ = (glob.matches(name, false), glob.matches(name, true));
        let everything = Glob::parse("**/*").expect("a glob");
        assert!(!glob.matches(name, false) || name.is_empty() || everything.matches(name, false));
    }
    let is_plain = |text: &&str| !text.contains('/') && !matches!(*text, "" | "." | ".." | "@temporary");
    let Some(text) = std::str::from_utf8(name).ok().filter(is_plain) else { return };
    let literally: String = text.chars().flat_map(|character| ['\\', character]).collect();
    if let Ok(glob) = Glob::parse(&literally) {
        assert!(glob.matches(name, false), "{literally:?} does not match {text:?}");
    }
}

/// The journal's file: what it says survives being written again.
pub fn journal(input: &[u8]) {
    let content = Content::read(input).expect("bytes in memory can be read");
    let again = Content::read(&content.rewritten()[..]).expect("bytes in memory can be read");
    assert!(again.is_complete, "{:?}", again.damage);
    assert_eq!(again.damage, None);
    assert_eq!(again.rewritten(), content.rewritten());
}

/// /proc/self/mountinfo: every mount is found at its own place.
pub fn mountinfo(input: &[u8]) {
    let table = MountTable::parse(input);
    for mount in table.iter() {
        let found = table.at(&mount.point).expect("it is in the table");
        assert_eq!(found.point, mount.point);
        assert!(mount.point.is_absolute());
        assert!(table.of(&mount.point.join("below")).is_some());
    }
    assert_eq!(table.difference(&table).count(), 0);
}

/// /proc/PID/stat, with a name of any bytes.
pub fn proc_stat(input: &[u8]) {
    let _ = process::state_of(input);
    let stat = [b"1234 (", input, b") Z 1 1234"].concat();
    assert_eq!(process::state_of(&stat), Some(b'Z'));
}

/// A rule file: what is wrong with it is said briefly, and what is right means the same the next time.
pub fn rule_file(input: &[u8]) {
    let (text, damage) = config::decode("rules.toml", 0, input.to_vec());
    check_messages(damage.as_slice());
    let parsed = config::parse(std::slice::from_ref(&text));
    check_messages(&parsed.findings);
    let again = config::parse(&[text]);
    assert_eq!(parsed.findings, again.findings);
    assert_eq!(parsed.rules.rules, again.rules.rules);
}

/// An argument, a NUL, and a path: whatever the path, it is one argument, put in once.
pub fn template(input: &[u8]) {
    let mut halves = input.splitn(2, |byte| *byte == 0);
    let (Some(argument), path) = (halves.next(), halves.next().unwrap_or_default()) else { return };
    let Ok(Ok(template)) = std::str::from_utf8(argument).map(Template::parse) else { return };
    let expand = |template: &Template, path: &[u8]| {
        let events = [event(Path::new(OsStr::from_bytes(path)))];
        let roots = [PathBuf::from("/")];
        let facts = Facts { rule: "rule", roots: &roots, run: RunId(1), events: &events };
        let mut arguments = Vec::new();
        template.expand(&facts, &mut 0, &mut arguments);
        arguments
    };
    let arguments = expand(&template, path);
    assert_eq!(arguments.len(), 1);
    assert_eq!(expand(&template, b"/a").len(), 1, "the path does not decide how many");
    let doubled = Template::parse("<{path}>").expect("a template");
    let expected = [b"<", path, b">"].concat();
    assert_eq!(expand(&doubled, path), [OsStr::from_bytes(&expected)]);
}

fn event(path: &Path) -> Event {
    Event {
        mask: EventMask::ARRIVED,
        path: path.into(),
        old_path: None,
        is_dir: false,
        cause: Cause::default(),
        time: SystemTime::UNIX_EPOCH,
        origin: Origin::Event,
        object: None,
    }
}

fn check_messages(findings: &[Diagnostic]) {
    findings.iter().for_each(|finding| check_message(&finding.message));
}

fn check_message(message: &str) {
    assert!(message.len() <= MESSAGE_LEN_MAX, "{} bytes: {message}", message.len());
    assert!(!message.chars().any(char::is_control), "{message:?}");
}
