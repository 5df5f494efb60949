//! A line of an incrontab becomes a rule.

use std::path::Path;

use crate::event::EventMask;
use crate::import::allow::allow;
use crate::import::codes;
use crate::import::draft::{Draft, Run, User};
use crate::import::findings::Findings;
use crate::import::surroundings::{Place, PlaceKind};
use crate::import::table::{Line, Owner, shown};
use crate::rule::Scope;

use super::Context;
use super::command::{self, Subject, USER_PATH};
use super::mask::{self, Wanted};
use super::path::{self, Watched};
use super::words::Entry;

/// Directories that begin with a dot, at any depth.
const DOT_DIRECTORIES: &str = ".*/";

/// Events of the watched path itself.
const SELF_EVENTS: EventMask = EventMask::DELETE_SELF.union(EventMask::MOVE_SELF);

/// Translates a line that is neither empty nor a comment; none: the reasons are among the findings.
pub fn translate(line: &Line<'_>, context: &mut Context<'_>, findings: &mut Findings) -> Option<Draft> {
    let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(line.bytes);
    if bytes.len() < line.bytes.len() {
        let range = line.at(bytes.len()..line.bytes.len());
        findings.push(&codes::CARRIAGE_RETURN, range, "a carriage return ends the line", None);
    }
    let entry = Entry::parse(bytes);
    let watched = path::parse(line, &entry, context, findings);
    if entry.command.is_empty() {
        let what = if entry.mask.is_empty() { "events" } else { "command" };
        let message = format!("the line ends before its {what}");
        findings.push(&codes::INCOMPLETE, line.at(bytes.len()..bytes.len()), message, None);
        return None;
    }
    let wanted = mask::parse(line, &entry, findings);
    let watched = watched?;
    let place = context.surroundings.place(Path::new(&watched.path));
    let subject = subject(&watched, &place, wanted.as_ref());
    let run = command::parse(line, &entry, subject, context, findings);
    let (wanted, run) = (wanted?, run?);
    say_about_path(line, &entry, &watched, &wanted, &place, context, findings);
    let mut draft = draft(watched, &wanted, &place, run, context);
    let (path, command) = (line.at(entry.path_range.clone()), line.at(entry.command_range.clone()));
    allow(&mut draft, &place, path, command, findings);
    (!findings.has_error()).then_some(draft)
}

/// Whether the path is a file; where a pattern begins there is a directory, or nothing that it could take.
fn is_file(watched: &Watched, place: &Place) -> bool {
    place.kind == PlaceKind::File && watched.pattern.is_none()
}

/// What `$@` and `$#` stand for.
fn subject(watched: &Watched, place: &Place, wanted: Option<&Wanted>) -> Subject {
    let is_shallow_pattern = watched.pattern.as_ref().is_some_and(|pattern| !pattern.is_deep);
    let is_about_itself = wanted.is_some_and(|wanted| SELF_EVENTS.contains(wanted.on));
    if is_file(watched, place) || is_shallow_pattern {
        Subject::Watched
    } else if is_about_itself {
        Subject::Itself
    } else if watched.path == "/" {
        Subject::RootEntry
    } else {
        Subject::Entry
    }
}

fn say_about_path(
    line: &Line<'_>,
    entry: &Entry<'_>,
    watched: &Watched,
    wanted: &Wanted,
    place: &Place,
    context: &mut Context<'_>,
    findings: &mut Findings,
) {
    let range = || line.at(entry.path_range.clone());
    let said = shown(watched.path.as_bytes());
    if place.kind == PlaceKind::Missing {
        findings.push(&codes::MISSING_PATH, range(), format!("`{said}` does not exist here"), None);
    }
    if wanted.is_link_itself && place.behind_links.is_some() {
        findings.push(&codes::NO_LINK, range(), format!("`{said}` leads through a symbolic link"), None);
    }
    if place.is_world_writable && *context.owner == Owner::System {
        let message = format!("everybody may write to `{said}`, and the command runs as root");
        findings.push(&codes::WORLD_WRITABLE, range(), message, None);
    }
    let is_hidden = watched.path.split('/').any(|component| component.starts_with('.'));
    if is_hidden && wanted.is_recursive && !wanted.has_dot_directories && !is_file(watched, place) {
        let message = format!("`{said}` is below a directory that begins with a dot");
        let help = "write `scope = \"children\"` to keep to its entries".to_owned();
        findings.push(&codes::HIDDEN_BASE, range(), message, Some(help));
    }
    let pattern = watched.pattern.as_ref().map_or("", |pattern| &pattern.glob);
    if !context.seen.insert(format!("{}/{pattern}", watched.path)) {
        let message = format!("a rule before this one has the path `{said}`");
        findings.push(&codes::SAME_PATH, range(), message, None);
    }
}

/// The events of an entry for those of a path that is watched itself.
fn as_entries(on: EventMask) -> EventMask {
    let pairs = [(EventMask::DELETE_SELF, EventMask::DELETE), (EventMask::MOVE_SELF, EventMask::MOVED_FROM)];
    pairs
        .into_iter()
        .filter(|(own, _)| on.contains(*own))
        .fold(on.without(SELF_EVENTS), |on, (_, entry)| on | entry)
}

fn draft(watched: Watched, wanted: &Wanted, place: &Place, run: Run, context: &Context<'_>) -> Draft {
    let is_file = is_file(&watched, place);
    let mut draft = Draft::new(watched.path, run);
    let is_about_itself = SELF_EVENTS.contains(wanted.on);
    // What happened to a file that was watched itself happens to an entry of the directory that is watched now.
    let is_about_entries =
        watched.pattern.as_ref().is_some_and(|pattern| !pattern.is_deep || is_about_itself);
    draft.on = if is_about_entries { as_entries(wanted.on) } else { wanted.on }.singles().collect();
    draft.is_serial = wanted.is_loop_guarded;
    draft.user = match context.owner {
        Owner::System => None,
        // Root's own table inherits what incron had.
        Owner::User(name) if name == "root" => None,
        Owner::User(name) => Some(User { name: name.clone(), path: USER_PATH }),
    };
    let is_tree = match &watched.pattern {
        None => !is_file && wanted.is_recursive,
        Some(pattern) if pattern.glob == "*" => wanted.is_recursive && !is_about_itself,
        Some(pattern) => pattern.is_deep,
    };
    if !is_file {
        draft.scope = Some(if is_tree { Scope::Tree } else { Scope::Children });
        draft.has_dirs = watched.pattern.as_ref().is_none_or(|pattern| pattern.is_deep);
    }
    if let Some(pattern) = watched.pattern.filter(|pattern| pattern.glob != "*") {
        if pattern.is_deep && !is_about_itself {
            draft.include.push(format!("{}/**", pattern.glob));
        }
        draft.include.insert(0, pattern.glob);
    }
    if is_tree && !wanted.has_dot_directories {
        draft.exclude.push(DOT_DIRECTORIES.to_owned());
    }
    draft
}
