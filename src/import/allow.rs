//! What `facron check` would warn about though the classic line itself has it: the rule allows it (`allow`), and the
//! line is told so.

use std::ops::Range;

use crate::codes;
use crate::config::misread;
use crate::rule::Scope;
use crate::template::Template;

use super::codes::{CONTROL_CHARACTER, FOREIGN_PLACE, OPTION, ROOT_DIRECTORY, UNSURE_TREE};
use super::draft::{Draft, Run};
use super::findings::Findings;
use super::surroundings::{FileSystem, Place, PlaceKind};
use super::table::shown;

/// Fills in what the rule of a line allows; the ranges are those of the line's path and command.
pub fn allow(
    draft: &mut Draft,
    place: &Place,
    path: Range<usize>,
    command: Range<usize>,
    findings: &mut Findings,
) {
    let said = shown(draft.path.as_bytes());
    let mut allow = |code: &codes::Code| draft.allow.push(code.name);
    if let Some(argument) = option(&draft.run) {
        allow(codes::OPTION);
        let message = format!("a file called `-rf` would make an option of `{}`", shown(argument.as_bytes()));
        let help = "put `--` before it where the program knows that, or give it the whole path".to_owned();
        findings.push(&OPTION, command, message, Some(help));
    }
    if draft.path.contains(char::is_control) {
        allow(codes::CONTROL_CHARACTER);
        let message = format!("the path `{said}` has a control character");
        findings.push(&CONTROL_CHARACTER, path.clone(), message, None);
    }
    let is_tree = draft.scope == Some(Scope::Tree);
    if draft.path == "/" && is_tree {
        allow(codes::WHOLE_SYSTEM);
        let help = "name the directories that are meant".to_owned();
        findings.push(&ROOT_DIRECTORY, path.clone(), "everything below `/`", Some(help));
    }
    if is_tree && matches!(place.kind, PlaceKind::Missing | PlaceKind::Unknown) {
        allow(codes::WRONG_SCOPE);
    }
    // Of a path that is missing so much is said already.
    if is_tree && place.kind == PlaceKind::Unknown {
        let message = format!("whether `{said}` is a file or a directory is not known here");
        findings.push(&UNSURE_TREE, path.clone(), message, None);
    }
    let (kind, help) = match &place.file_system {
        FileSystem::Local => return,
        FileSystem::Foreign(kind) => (kind, "add `rescan = \"5m\"` to find what others change"),
        FileSystem::Kernel(kind) => (kind, "let a timer run what has to look there"),
    };
    allow(codes::FOREIGN_FILE_SYSTEM);
    let message = format!("`{said}` is on {kind}, where not every change is reported");
    findings.push(&FOREIGN_PLACE, path, message, Some(help.to_owned()));
}

/// The argument that a program would take for an option if a file had the right name, as it is written.
fn option(run: &Run) -> Option<&str> {
    let Run::Argv(arguments) = run else { return None };
    let templates = templates(arguments)?;
    let at = misread::as_option(&templates)?;
    // A whole token is worth a note only: it may have worked for years.
    (!matches!(templates[at], Template::Classic(_))).then(|| arguments[at].as_str())
}

/// Which argument an interpreter would run as a program, a name with it.
pub fn program_text(arguments: &[String]) -> Option<usize> {
    misread::as_program_text(&templates(arguments)?)
}

fn templates(arguments: &[String]) -> Option<Vec<Template>> {
    arguments.iter().map(|argument| Template::parse(argument).ok()).collect()
}
