//! A line of facron.conf becomes a rule.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::event::EventMask;
use crate::guardable;
use crate::import::Surroundings;
use crate::import::allow::allow;
use crate::import::codes;
use crate::import::draft::{Draft, Run};
use crate::import::findings::Findings;
use crate::import::path::clean;
use crate::import::surroundings::{FileSystem, Place, PlaceKind};
use crate::import::table::{Line, shown};
use crate::rule::Scope;
use crate::template::Template;

use super::command;
use super::mask::{self, Wanted};
use super::words::{Entry, OpenQuote, Word};

/// Translates a line that is neither empty nor a comment; none: the reasons are among the findings.
pub fn translate(line: &Line<'_>, surroundings: &dyn Surroundings, findings: &mut Findings) -> Option<Draft> {
    let entry = match Entry::parse(line.bytes) {
        Ok(entry) => entry,
        Err(OpenQuote(offset)) => {
            let message = "this quote is never closed";
            findings.push(&codes::OPEN_QUOTE, line.at(offset..line.bytes.len()), message, None);
            return None;
        }
    };
    let path = path(line, &entry.path, findings);
    let Some(mask) = &entry.mask else {
        let message = "the line ends before its events";
        findings.push(&codes::NO_EVENT, line.at(line.bytes.len()..line.bytes.len()), message, None);
        return None;
    };
    if mask.is_glued {
        command::say_glued(line, mask, findings);
    }
    let wanted = mask::parse(line, mask, findings);
    if mask.bytes.starts_with(b"/") {
        // The events were forgotten: what follows is no command either.
        return None;
    }
    let arguments = command::parse(line, &entry.command, surroundings, findings);
    let mut draft = Draft::new(path?, Run::Argv(arguments?));
    draft.on = wanted.as_ref()?.on.clone();
    let place = surroundings.place(Path::new(&draft.path));
    set_place(line, &entry, &wanted?, &mut draft, &place, findings);
    let path_range = line.at(entry.path.range.clone());
    if draft.is_guard() {
        refuse_guard(&draft, &place, path_range.clone(), findings);
    }
    let command = entry.command.first().zip(entry.command.last());
    let command_range = command.map_or(0..0, |(first, last)| first.range.start..last.range.end);
    allow(&mut draft, &place, path_range, line.at(command_range), findings);
    let is_last_word_bare = entry.command.last().is_some_and(|word| !word.is_quoted);
    if !line.has_newline && is_last_word_bare {
        let message = "the line has no newline at its end";
        findings.push(&codes::NO_FINAL_NEWLINE, line.at(line.bytes.len()..line.bytes.len()), message, None);
    }
    (!findings.has_error()).then_some(draft)
}

/// The path, absolute and clean.
fn path(line: &Line<'_>, word: &Word<'_>, findings: &mut Findings) -> Option<String> {
    let range = line.at(word.range.clone());
    let Ok(path) = std::str::from_utf8(word.bytes) else {
        let message = format!("the path `{}` is not UTF-8", shown(word.bytes));
        findings.push(&codes::NOT_UTF8, range, message, None);
        return None;
    };
    if !path.starts_with('/') {
        let message = format!("the path `{}` is not absolute", shown(word.bytes));
        let help = "write where it starts from".to_owned();
        findings.push(&codes::RELATIVE_PATH, range, message, Some(help));
        return None;
    }
    let cleaned = clean(path);
    if cleaned != path {
        let message = format!("the path `{}` becomes `{}`", shown(word.bytes), shown(cleaned.as_bytes()));
        findings.push(&codes::CLEANED_PATH, range, message, None);
    }
    Some(cleaned.into_owned())
}

/// What of the path is watched: by the flags, and by what is there.
fn set_place(
    line: &Line<'_>,
    entry: &Entry<'_>,
    wanted: &Wanted,
    draft: &mut Draft,
    place: &Place,
    findings: &mut Findings,
) {
    let path_range = line.at(entry.path.range.clone());
    let mask_range = entry.mask.as_ref().map_or(line.all(), |mask| line.at(mask.range.clone()));
    let said = shown(draft.path.as_bytes());
    if place.behind_links.is_some() {
        let message = format!("`{said}` leads through a symbolic link");
        findings.push(&codes::LINKED_PATH, path_range.clone(), message, None);
    }
    if place.kind == PlaceKind::Missing {
        let message = format!("`{said}` does not exist here");
        findings.push(&codes::MISSING_PATH, path_range.clone(), message, None);
    }
    let is_file = place.kind == PlaceKind::File;
    if wanted.has_on_directory {
        let message = if is_file {
            "FAN_ONDIR on a file means nothing"
        } else {
            "FAN_ONDIR is a flag of the whole rule"
        };
        findings.push(&codes::ON_DIRECTORY, mask_range.clone(), message, None);
        draft.has_dirs = !is_file;
    }
    if wanted.has_on_child && is_file {
        let message = "FAN_EVENT_ON_CHILD on a file, which has no entries";
        findings.push(&codes::CHILD_OF_FILE, mask_range, message, None);
    } else if wanted.has_on_child {
        draft.scope = Some(Scope::Children);
        if !wanted.is_on_child_throughout {
            let message = "FAN_EVENT_ON_CHILD does not stand with every event";
            findings.push(&codes::ON_CHILD_APART, mask_range, message, None);
        }
    } else if wanted.has_on_directory && !is_file {
        draft.scope = Some(Scope::Itself);
    } else if place.kind == PlaceKind::Directory && !is_overflow_only(wanted) {
        let message = format!("`{said}` is a directory, and FAN_EVENT_ON_CHILD is missing");
        let help = "the rule fires for its entries; write `scope = \"self\"` and `dirs = true` for the directory itself";
        findings.push(&codes::DIRECTORY_ALONE, path_range, message, Some(help.to_owned()));
    }
}

/// A place where the opener would wait for what needs the place itself, or may never answer.
fn refuse_guard(draft: &Draft, place: &Place, path_range: Range<usize>, findings: &mut Findings) {
    let Run::Argv(arguments) = &draft.run else { return };
    let programs: Vec<PathBuf> =
        Template::parse(&arguments[0]).iter().filter_map(Template::as_literal).map(PathBuf::from).collect();
    let facts = guardable::Facts {
        real: place.behind_links.as_deref(),
        file_system: match &place.file_system {
            FileSystem::Local => guardable::FileSystem::Local,
            FileSystem::Foreign(kind) => guardable::FileSystem::Foreign(kind),
            FileSystem::Kernel(kind) => guardable::FileSystem::Kernel(kind),
        },
        programs: &programs,
        ..guardable::Facts::default()
    };
    if let Some(refusal) = guardable::path_refusal(Path::new(&draft.path), &facts) {
        let message = format!("a permission event on `{}`: {refusal}", shown(draft.path.as_bytes()));
        let help = refusal.help().map(str::to_owned);
        findings.push(&codes::GUARDED_PLACE, path_range, message, help);
    }
}

/// Lost events have no subject, so that nothing depends on what the path is.
fn is_overflow_only(wanted: &Wanted) -> bool {
    wanted.on.iter().all(|events| *events == EventMask::Q_OVERFLOW)
}
