//! Everything that the importer can say about a line: the one table, and the list that is gathered from it.
//!
//! A *note* is a remark on a line that was translated word for word. A *warning* means that the rule says
//! something else than the line did. An *error* means that the line is left out.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Severity};

/// One row of the table.
#[derive(Debug)]
pub struct Code {
    /// Stable, `I0…`.
    pub code: &'static str,
    /// What it means for the line.
    pub severity: Severity,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What the classic daemon did.
    pub did: &'static str,
    /// What becomes of it, and why.
    pub now: &'static str,
}

macro_rules! codes {
    ($($constant:ident $code:literal $severity:ident $title:literal $did:literal $now:literal)*) => {
        $(
            #[doc = $title]
            pub const $constant: Code = Code {
                code: $code,
                severity: Severity::$severity,
                title: $title,
                did: $did,
                now: $now,
            };
        )*
        /// Every code, in order.
        pub const CODES: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    // The line as bytes.
    BYTE_ORDER_MARK "I001" Warning "byte order mark"
        "The mark became part of the first path, which then did not exist."
        "The mark is left out, and the line means what it says."
    NUL "I002" Error "NUL in a line"
        "The line ended at the NUL, and what stood behind it was lost."
        "No path and no argument can hold a NUL, and where the line ends was not meant: it is left out."
    NOT_UTF8 "I003" Error "bytes that are not UTF-8"
        "The bytes were taken as they are."
        "A rule file is TOML, which is UTF-8. Name a directory above it and match the name with `include`."
    NO_FINAL_NEWLINE "I004" Note "no newline at the end"
        "Classic facron gave the last command some 509 empty arguments more, and crashed at its end."
        "The command gets the arguments that are written."
    COMMENTED_RULE "I005" Note "comment that looks like a rule"
        "There were no comments: classic facron took `#` for a path, which mostly did not exist."
        "It is a comment, and stays one."
    INDENTED "I006" Warning "rule with blanks before it"
        "A line that begins with a blank was passed over without a word."
        "The rule is there, with `enabled = false`, because nobody can know whether it was meant to be off."
    INDENTED_TEXT "I007" Note "text with blanks before it"
        "A line that begins with a blank was passed over without a word."
        "It is no rule, and stays as a comment."
    TOO_LONG "I008" Error "line beyond the limits"
        "Classic facron took 511 events and 511 arguments, and read the rest as something else."
        "What the command was meant to get cannot be known: the line is left out."

    // Paths.
    RELATIVE_PATH "I010" Error "path that is not absolute"
        "The mark was set, but events carry absolute paths: the command never ran."
        "The table does not say which directory the path starts from: the line is left out."
    CLEANED_PATH "I011" Warning "path that is not in its shortest form"
        "Events carry the shortest form of a path: the command never ran (but a `/` at the end of a directory did no harm)."
        "`//`, `/./`, `..` and a `/` at the end are resolved, by the text alone."
    MISSING_PATH "I012" Note "path that does not exist here"
        "A path that was missing at start was passed over until the next reload."
        "The rule waits for the path and fires once it is there."
    LINKED_PATH "I013" Note "path through a symbolic link"
        "Events carry the path behind the links: the command never ran."
        "The rule follows the links, and the command is given the path as it is written."

    // Events.
    NO_EVENT "I020" Error "no events"
        "The line was refused, on standard error, without its number."
        "A line is a path, events and a command, with blanks between them."
    UNKNOWN_EVENT "I021" Error "unknown event"
        "The line was refused, on standard error, without its number."
        "The line never ran anything, and what was meant is not sure: it is left out."
    SPACED_SEPARATOR "I022" Error "blank inside the events"
        "A blank ends the events: what came next was taken for the command, which did not exist."
        "Which events and which command were meant is not sure: the line is left out."
    TRAILING_SEPARATOR "I023" Note "separator at the end of the events"
        "It meant nothing."
        "It means nothing."
    EVENT_SET "I024" Warning "set of events"
        "FAN_CLOSE and its like were bits that had to come in one event, which never happens: the command never ran."
        "Any event of the set fires the rule."
    JOINED_EVENTS "I025" Warning "events joined by `|`"
        "The command ran only where the kernel had merged all of them into one event, by chance."
        "The rule fires once all of them happened to the path, within its `debounce`, at least a second."
    REPEATED_EVENTS "I026" Warning "the same events twice"
        "The command ran once for each."
        "It runs once."
    FLAGS_ONLY "I027" Error "flags without an event"
        "The mark was set but never reported anything: the command never ran."
        "Which event was meant cannot be known: the line is left out."
    OVERFLOW "I028" Warning "FAN_Q_OVERFLOW"
        "The kernel refused the mark, and the command never ran for it."
        "The rule fires when events were lost."
    PERMISSION "I029" Warning "permission event"
        "The kernel refused the mark, and the command never ran for it."
        "The rule is told of each opening, and every opener is let through (`verdict = \"allow\"`)."
    GUARDED_PLACE "I030" Error "permission event on a directory of the system"
        "The kernel refused the mark, and the command never ran."
        "Such a rule would hold up the whole system, and is refused."
    ON_DIRECTORY "I031" Warning "FAN_ONDIR"
        "In a group with events it kept the command from ever running; alone, it let events on the directory itself through."
        "It is `dirs = true`: events whose subject is a directory count too."
    ON_CHILD_APART "I032" Warning "FAN_EVENT_ON_CHILD for some of the events"
        "Groups with the flag ran for entries, those without it for the path itself; alone, the flag ran for anything in the directory."
        "The rule fires for the entries of the directory, by all of its events."
    CHILD_OF_FILE "I033" Warning "FAN_EVENT_ON_CHILD on a file"
        "A file has no entries: the command never ran."
        "The rule fires for the file itself."
    DIRECTORY_ALONE "I034" Warning "directory without FAN_EVENT_ON_CHILD"
        "The command never ran: neither entries nor directories were asked for."
        "The rule fires for the entries of the directory."

    // Commands.
    NO_COMMAND "I050" Error "no command"
        "The line was refused, on standard error, without its number."
        "There is nothing to run: the line is left out."
    OPEN_QUOTE "I051" Error "quote that is never closed"
        "The rest of the line became one word, and some 509 empty arguments followed it."
        "Where the word was meant to end is not sure: the line is left out."
    CONTINUATION "I052" Error "line that ends in a backslash"
        "The backslash was an argument, and the next line a line of its own."
        "The command was surely meant to go on, and where it ends is not sure: the line is left out."
    PROGRAM_NOT_FOUND "I053" Error "program that is not absolute and not found"
        "Classic facron searched no PATH: the command did not start, and a second daemon began to run."
        "A rule names its program absolutely: the line is left out."
    PROGRAM_FOUND "I054" Warning "program that is not absolute"
        "Classic facron searched no PATH: the command did not start, and a second daemon began to run."
        "The program was found along the daemon's PATH, and is written absolutely."
    PROGRAM_IS_NAME "I055" Error "file name as the program"
        "The file that changed was run, as root."
        "Whoever may write there would be root: such a rule is refused."
    PARTIAL_TOKEN "I056" Note "token inside an argument"
        "Only whole arguments were replaced: it was passed as it is written."
        "It is passed as it is written."
    HASH_ARGUMENT "I057" Note "`#` behind a command"
        "It was an argument, and what follows too."
        "It is an argument, and what follows too."
    SHELL_ARGUMENT "I058" Note "shell syntax without a shell"
        "It was an argument: no shell was there to understand it."
        "It is an argument: use `shell` where a shell is meant."
    GLUED_QUOTE "I059" Note "quote without a blank behind it"
        "A closing quote ended the word, and what followed was a word of its own, unlike in a shell."
        "They are words of their own."
    BACKSLASH "I060" Note "backslash in an argument"
        "It stood for itself, and joined no words."
        "It stands for itself."
    COUNTER "I061" Warning "counter of the daemon"
        "One counter for all rules, changed by each run, from 0 at each start."
        "The counter is there, but facron may run once where classic facron ran several times, so that it counts differently."
    NAME_AS_SHELL_TEXT "I062" Error "file name as shell text"
        "The shell was given the file's name as its program."
        "Whoever may name a file there would run anything: such a rule is refused."
}

/// A finding before its table is known.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) code: &'static Code,
    span: Range<usize>,
    pub(super) message: String,
    help: Option<String>,
}

/// The findings of one line, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one; the same one on the same place is added once.
    pub(super) fn push(
        &mut self,
        code: &'static Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        if !self.0.iter().any(|known| known.code.code == code.code && known.span == span) {
            self.0.push(Finding { code, span, message: message.into(), help });
        }
    }

    /// Whether the line is to be left out.
    pub(super) fn has_error(&self) -> bool {
        self.0.iter().any(|finding| finding.code.severity == Severity::Error)
    }

    /// Forgets everything that was found.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    pub(super) fn into_diagnostics(self, source: usize) -> impl Iterator<Item = Diagnostic> {
        self.0.into_iter().map(move |Finding { code, span, message, help }| Diagnostic {
            notes: vec![code.did.to_owned(), code.now.to_owned()],
            help,
            ..Diagnostic::new(code.severity, code.code, source, span, message)
        })
    }
}

/// The row of a code.
pub fn by_code(code: &str) -> Option<&'static Code> {
    CODES.iter().copied().find(|row| row.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.is_sorted_by(|one, next| one.code < next.code));
    }
}
