//! The same table and the same events: what the classic daemons ran, by a model of their recorded behaviour, and what
//! the rules run. Lines whose meaning changes are in `../classic/DIFFERENCES.md`; all others must agree.

use crate::corpus::{self, Row};
use crate::roundtrip::expanded;
use facron::diagnostic::SourceText;
use facron::event::EventMask;
use facron::import::{Dialect, Import, Owner, PlaceKind, Surroundings as _};
use facron::rule::{Command, Rule, Scope};
use std::path::Path;
use std::sync::Arc;

const EVENTS: &[EventMask] = &[
    EventMask::ACCESS,
    EventMask::MODIFY,
    EventMask::CLOSE_WRITE,
    EventMask::CLOSE_NOWRITE,
    EventMask::OPEN,
];

fn rules(import: &Import) -> Vec<Arc<Rule>> {
    let source = SourceText { name: "rules.toml".into(), text: import.toml.as_str().into() };
    facron::config::parse(&[source]).rules.rules
}

/// Whether a rule fires for one event on a file.
fn fires(rule: &Rule, event: EventMask, path: &Path) -> bool {
    let root = &rule.watch.paths[0];
    let is_directory = corpus::Recorded.place(root).kind == PlaceKind::Directory;
    let is_in_scope = match rule.watch.scope {
        Scope::Itself => path == root,
        Scope::Children if is_directory => path.parent() == Some(root),
        Scope::Children => path == root,
        Scope::Tree => path.starts_with(root) && path != root,
    };
    let below = path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes();
    let filter = &rule.watch.filter;
    let is_included =
        filter.include.is_empty() || filter.include.iter().any(|glob| glob.matches(below, false));
    is_in_scope && is_included && rule.watch.on.any.contains(event)
}

/// How often classic facron 1.1 ran the command: for every group whose bits are all in the event, where the flag for
/// entries decides between the path itself and what is below it.
fn classic_facron_runs(row: &Row, event: EventMask, path: &str) -> usize {
    let satisfied = |group: &&Vec<String>| {
        let is_for_entries = group.iter().any(|name| name == "FAN_EVENT_ON_CHILD");
        let bits = group.iter().filter(|name| *name != "FAN_EVENT_ON_CHILD");
        // FAN_ONDIR is a bit that no event has.
        let is_in_event = |name: &String| EventMask::from_name(name).is_some_and(|bit| event.contains(bit));
        let is_place = if is_for_entries { is_below(path, &row.path) } else { path == row.path };
        is_place && bits.clone().all(is_in_event)
    };
    row.groups.iter().filter(satisfied).count()
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}

/// What classic facron put into an argument.
fn classic_facron_argument(word: &str, path: &Path) -> String {
    let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).expect("text").to_owned();
    match word {
        "$$" => text(Some(path.as_os_str())),
        "$@" => text(path.parent().map(Path::as_os_str)),
        "$#" => text(path.file_name()),
        "$*" => "7".to_owned(),
        other => other.to_owned(),
    }
}

#[test]
fn rules_run_what_classic_facron_ran() {
    let (mut fired, mut compared) = (0, 0);
    for row in corpus::rows(include_str!("../classic/facron.tsv")) {
        let import = corpus::import(&row.line, Dialect::Facron, Owner::System);
        let is_absent = row.diagnostic == "W_PATH_MISSING";
        // Events carry absolute paths.
        let is_rule = row.path.starts_with('/') && !row.groups.is_empty();
        if !import.is_faithful() || is_absent || !is_rule {
            continue;
        }
        let rules = rules(&import);
        for path in [row.path.clone(), format!("{}/a b", row.path.trim_end_matches('/')), "/else".to_owned()]
        {
            for event in EVENTS {
                let path = Path::new(&path);
                let runs = classic_facron_runs(&row, *event, path.to_str().expect("text"));
                let firing: Vec<_> = rules.iter().filter(|rule| fires(rule, *event, path)).collect();
                assert_eq!(runs > 0, !firing.is_empty(), "{}: {event} on {}", row.id, path.display());
                compared += 1;
                if let Some(rule) = firing.first() {
                    fired += 1;
                    let argv = row.argv.as_deref().expect("a command");
                    let classic: Vec<String> =
                        argv.iter().map(|word| classic_facron_argument(word, path)).collect();
                    let name = rule.name.to_string();
                    let rule =
                        corpus::rules(&import).into_iter().find(|rule| rule["name"].as_str() == Some(&name));
                    let command = corpus::strings(&rule.expect("the same rule"), "command");
                    assert_eq!(expanded(&command, path.to_str().expect("text")), classic, "{}", row.id);
                }
            }
        }
    }
    assert!(fired > 20 && compared > 300, "{fired} of {compared}");
}

/// What incron's bash would have run for a name that no shell cares about.
fn incron_argv(row: &Row, directory: &str, name: &str) -> Option<Vec<String>> {
    let line = std::str::from_utf8(&row.line).ok()?.lines().next()?;
    let behind_word = |text: &str| {
        let text = text.trim_start();
        text.find(' ').map_or("", |end| &text[end..]).trim().to_owned()
    };
    let command = behind_word(&behind_word(line));
    let text = command.replace("$@", directory).replace("$#", name);
    let is_simple = !text.contains(['$', '|', '&', ';', '>', '#', '*']);
    let mut argv = is_simple.then(|| shell_words::split(&text).ok()).flatten()?;
    for (program, path) in [("abcd", "/usr/local/bin/abcd"), ("sudo", "/usr/bin/sudo")] {
        if argv[0] == program {
            argv[0] = path.to_owned();
        }
    }
    Some(argv)
}

#[test]
fn rules_run_what_incron_ran() {
    let mut compared = 0;
    for row in corpus::rows(include_str!("../classic/incron.tsv")) {
        let import = corpus::import(&row.line, Dialect::Incron, Owner::System);
        let rules = rules(&import);
        let Some(rule) = rules.first() else { continue };
        let is_directory = corpus::Recorded.place(&rule.watch.paths[0]).kind == PlaceKind::Directory;
        if !is_directory || !rule.watch.filter.include.is_empty() {
            continue;
        }
        let root = rule.watch.paths[0].to_str().expect("text");
        let path = format!("{root}/a.txt");
        for event in EVENTS {
            let is_asked = row.groups.iter().flatten().any(|name| EventMask::from_name(name) == Some(*event));
            assert_eq!(fires(rule, *event, Path::new(&path)), is_asked, "{}: {event}", row.id);
        }
        let deep = format!("{root}/sub/a.txt");
        let is_recursive = row.recorded.contains("opts=-") || row.recorded.contains("opts=L");
        let any = rule.watch.on.any.singles().next().expect("an event");
        assert_eq!(fires(rule, any, Path::new(&deep)), is_recursive, "{}", row.id);
        if let (Some(argv), Command::Argv(_)) = (incron_argv(&row, root, "a.txt"), &rule.command) {
            compared += 1;
            let command = corpus::strings(&corpus::rules(&import)[0], "command");
            assert_eq!(expanded(&command, &path), argv, "{}", row.id);
        }
    }
    assert!(compared > 20, "{compared}");
}
