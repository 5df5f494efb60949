//! The command of a line of an incrontab as a rule runs it: arguments where no shell is needed, else shell text
//! that reads names from `"$1"`.

use crate::config::shell;
use crate::import::allow;
use crate::import::codes;
use crate::import::draft::Run;
use crate::import::findings::Findings;
use crate::import::program;
use crate::import::table::{Line, Owner, shown};
use crate::template::CLASSIC_TOKENS;

use super::Context;
use super::mask;
use super::shell::{Mark, Quoting, Reading, Word};
use super::text::{Text, Unit, Wildcard};
use super::words::Entry;

/// The PATH of commands in user tables.
pub const USER_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/X11R6/bin";

/// What the events of a rule are about, as far as `$@` and `$#` go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Entries of a directory: `$@` is the directory.
    Entry,
    /// An entry of `/`.
    RootEntry,
    /// A path that is watched itself, for what happens to it: `$@` is the path, and `$#` is empty.
    Watched,
    /// A directory, for its own end or move: `$@` is the path, and nobody asks for `$#`.
    Itself,
}

/// Reads the command; none: the reasons are among the findings.
pub fn parse(
    line: &Line<'_>,
    entry: &Entry<'_>,
    subject: Subject,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<Run> {
    let range = || line.at(entry.command_range.clone());
    let Ok(command) = std::str::from_utf8(entry.command) else {
        findings.push(&codes::NOT_UTF8, range(), "the command is not UTF-8", None);
        return None;
    };
    let text = Text::parse(command);
    let reading = Reading::parse(&text);
    refuse_spaced_mask(line, entry, &reading, findings)?;
    if reading.is_open {
        findings.push(
            &codes::SHELL_MISTAKE,
            range(),
            "a quote or bracket in the command is never closed",
            None,
        );
        return None;
    }
    if text.has_odd_dollar {
        let message = "a `$` that incron did not know";
        let help = "write `$$` for the `$` of a shell".to_owned();
        findings.push(&codes::DOLLAR, range(), message, Some(help));
    }
    if reading.has(Wildcard::Events) || reading.has(Wildcard::Number) {
        let message = "`$%` or `$&` told the command of events in incron's words";
        let help = "teach it facron's names, such as close-write".to_owned();
        findings.push(&codes::EVENT_NAMES, range(), message, Some(help));
    }
    let has_name = reading.has(Wildcard::Name) || reading.has(Wildcard::Path);
    if subject == Subject::Watched && has_name {
        findings.push(&codes::WATCHED_FILE, range(), "`$#` is empty for a path that is watched itself", None);
    }
    if reading.has_unsafe_wildcard {
        return refuse_unsafe(line, entry, findings);
    }
    if reading.has_name_as_program {
        let message = "the program is named by the file that changed";
        let help = "name a program, and give it the file as an argument".to_owned();
        findings.push(&codes::PROGRAM_IS_NAME, range(), message, Some(help));
        return None;
    }
    match as_arguments(&reading, subject) {
        Some(arguments) => argv(line, entry, &reading, arguments, context, findings),
        None => as_shell(line, entry, &reading, subject, findings),
    }
}

/// A blank behind a comma ends the events, and the rest of them becomes the command.
fn refuse_spaced_mask(
    line: &Line<'_>,
    entry: &Entry<'_>,
    reading: &Reading,
    findings: &mut Findings,
) -> Option<()> {
    let first =
        reading.segments.first().and_then(|words| words.first()).map(Word::literal).unwrap_or_default();
    let is_spaced = first.starts_with(',') || mask::is_mask(&first);
    if is_spaced {
        let message = format!("`{}` stands where the program belongs", shown(first.as_bytes()));
        let help = "write the events without blanks: IN_CREATE,IN_DELETE".to_owned();
        findings.push(&codes::SPACED_SEPARATOR, line.at(entry.command_range.clone()), message, Some(help));
    }
    (!is_spaced).then_some(())
}

fn refuse_unsafe(line: &Line<'_>, entry: &Entry<'_>, findings: &mut Findings) -> Option<Run> {
    let message = "a name would be read as a part of a program";
    let help = "let the program take the name as an argument: sh -c 'cp \"$1\" /x' sh $@/$#".to_owned();
    findings.push(&codes::UNSAFE_NAME, line.at(entry.command_range.clone()), message, Some(help));
    None
}

/// The arguments, where the command is one program and its words; none: it needs a shell.
fn as_arguments(reading: &Reading, subject: Subject) -> Option<Vec<String>> {
    let words = reading.segments.first()?;
    if reading.needs_shell || words.is_empty() {
        return None;
    }
    // What looks like a token of classic facron would be replaced, and `command` has no escape for it.
    let is_token = |text: &str| CLASSIC_TOKENS.iter().any(|(name, ..)| *name == text);
    let is_literal_token = |word: &Word| !word.has_wildcard() && is_token(&word.literal());
    let arguments = || words.iter().map(|word| argument(word, subject)).collect();
    (!words.iter().any(is_literal_token)).then(arguments)
}

/// A word as an argument of a rule: placeholders for wildcards, braces doubled.
fn argument(word: &Word, subject: Subject) -> String {
    match (word.marks.as_slice(), subject) {
        // As whole arguments, these are the same in facron.
        ([Mark { unit: Unit::Wildcard(Wildcard::Name), .. }], _) => return "$#".to_owned(),
        ([Mark { unit: Unit::Wildcard(Wildcard::Watched), .. }], Subject::Entry | Subject::RootEntry) => {
            return "$@".to_owned();
        }
        _ => {}
    }
    let mut argument = String::new();
    for mark in &word.marks {
        match mark.unit {
            Unit::Character('{') => argument.push_str("{{"),
            Unit::Character('}') => argument.push_str("}}"),
            Unit::Character(character) => argument.push(character),
            Unit::Dollar => argument.push('$'),
            Unit::Wildcard(wildcard) => argument.push_str(placeholder(wildcard, subject)),
        }
    }
    argument
}

fn placeholder(wildcard: Wildcard, subject: Subject) -> &'static str {
    match (wildcard, subject) {
        (Wildcard::Path, _) | (Wildcard::Watched, Subject::Watched | Subject::Itself) => "{path}",
        (Wildcard::Watched, Subject::Entry | Subject::RootEntry) => "{dir}",
        (Wildcard::Name, _) => "{name}",
        (Wildcard::Events | Wildcard::Number, _) => "{events}",
    }
}

fn argv(
    line: &Line<'_>,
    entry: &Entry<'_>,
    reading: &Reading,
    mut arguments: Vec<String>,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<Run> {
    let range = || line.at(entry.command_range.clone());
    let words = &reading.segments[0];
    let is_quoted = |word: &Word| {
        let mut marks = word.marks.iter();
        marks.any(|mark| matches!(mark.unit, Unit::Wildcard(_)) && mark.quoting != Quoting::Bare)
    };
    if words.iter().any(is_quoted) {
        findings.push(&codes::QUOTED_NAME, range(), "a name between quotes", None);
    }
    arguments[0] = program::literal(&program(line, entry, &words[0].literal(), context, findings)?);
    if allow::program_text(&arguments).is_some() {
        return refuse_unsafe(line, entry, findings);
    }
    Some(Run::Argv(arguments))
}

/// The program by its absolute path.
fn program(
    line: &Line<'_>,
    entry: &Entry<'_>,
    name: &str,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let range = line.at(entry.command_range.clone());
    let said = shown(name.as_bytes());
    let path = match context.owner {
        Owner::System => program::DAEMON_PATH,
        Owner::User(_) => USER_PATH,
    };
    let found = match name {
        "" => None,
        absolute if program::is_directory(absolute, context.surroundings) => None,
        absolute if absolute.starts_with('/') && program::is_name(absolute) => {
            return Some(absolute.to_owned());
        }
        // incron works in `/`.
        relative if relative.contains('/') => Some(format!("/{}", relative.trim_start_matches("./"))),
        bare => program::find(bare, path, context.surroundings),
    };
    let found = found.filter(|found| program::is_name(found));
    match &found {
        Some(found) => {
            let message = format!("the program `{said}` becomes `{}`", shown(found.as_bytes()));
            findings.push(&codes::PROGRAM_ALONG_PATH, range, message, None);
        }
        None => {
            let message = match name.contains('/') {
                true => format!("`{said}` is no program"),
                false => format!("the program `{said}` is not absolute, and not found in {path}"),
            };
            let help = "write its absolute path".to_owned();
            findings.push(&codes::PROGRAM_MISSING, range, message, Some(help));
        }
    }
    found
}

/// Shell text, with names as `"$1"`.
fn as_shell(
    line: &Line<'_>,
    entry: &Entry<'_>,
    reading: &Reading,
    subject: Subject,
    findings: &mut Findings,
) -> Option<Run> {
    let range = || line.at(entry.command_range.clone());
    if reading.reads_parameters {
        let message = "the command reads parameters of its shell, such as `$1`, or sets them";
        let help = "put the command into a script, and name that".to_owned();
        findings.push(&codes::SHELL_PARAMETERS, range(), message, Some(help));
        return None;
    }
    if reading.segments.iter().all(Vec::is_empty) {
        findings.push(&codes::INCOMPLETE, range(), "the command is empty", None);
        return None;
    }
    let Some(text) = shell_text(reading, subject) else { return refuse_unsafe(line, entry, findings) };
    if reading.has_wildcard() {
        let message = "names are no part of the shell text, which has the path as \"$1\"";
        findings.push(&codes::SHELL_TEXT, range(), message, None);
    }
    Some(if reading.needs_bash || !shell::placeholders(&text).is_empty() {
        let shell = if reading.needs_bash { "/bin/bash" } else { "/bin/sh" };
        Run::Argv(vec![
            shell.to_owned(),
            "-c".to_owned(),
            program::literal(&text),
            "facron".to_owned(),
            "{path}".to_owned(),
        ])
    } else {
        Run::Shell(text)
    })
}

/// The text with what the shell itself puts in place of wildcards; none: one stands between single quotes.
fn shell_text(reading: &Reading, subject: Subject) -> Option<String> {
    let mut text = String::new();
    for mark in &reading.marks {
        match (mark.unit, mark.quoting) {
            (Unit::Character(character), _) => text.push(character),
            (Unit::Dollar, _) => text.push('$'),
            (Unit::Wildcard(wildcard), Quoting::Bare) => {
                let quoted = format!("\"{}\"", expansion(wildcard, subject));
                text.push_str(&quoted.replace("${1}", "$1"));
            }
            (Unit::Wildcard(wildcard), Quoting::Double) => text.push_str(expansion(wildcard, subject)),
            (Unit::Wildcard(_), Quoting::Single | Quoting::Escaped | Quoting::Syntax) => return None,
        }
    }
    Some(text)
}

/// What a shell puts in for a wildcard, whatever follows it.
fn expansion(wildcard: Wildcard, subject: Subject) -> &'static str {
    match (wildcard, subject) {
        (Wildcard::Path, _) | (Wildcard::Watched, Subject::Watched | Subject::Itself) => "${1}",
        (Wildcard::Watched, Subject::Entry) => "${1%/*}",
        (Wildcard::Watched, Subject::RootEntry) => "${1%/*}/",
        (Wildcard::Name, _) => "${1##*/}",
        (Wildcard::Events | Wildcard::Number, _) => "${FACRON_EVENTS}",
    }
}
