//! Every kind of finding with its stable code: the one table behind `check --explain`, the manual and the tests.
//!
//! A code never changes its meaning and is never given away again. Errors of the rule file are found by `config`,
//! the rest by `lint`.

use crate::diagnostic::{Diagnostic, Severity};
use std::ops::Range;

/// One kind of finding.
#[derive(Debug)]
pub struct Code {
    /// `F0…`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why it matters and what to do, in whole sentences.
    pub explanation: &'static str,
}

impl Code {
    /// A finding of this kind in a text.
    pub fn at(&'static self, source: usize, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.severity, self.name, source, span, message.into())
    }

    /// A finding of this kind that is about no place in a text.
    pub fn about(&'static self, message: impl Into<String>) -> Diagnostic {
        Diagnostic { source: None, ..self.at(0, 0..0, message) }
    }

    /// The code of this name, in any case.
    pub fn from_name(name: &str) -> Option<&'static Code> {
        CODES.iter().copied().find(|code| code.name.eq_ignore_ascii_case(name))
    }
}

macro_rules! codes {
    ($($constant:ident $name:literal $severity:ident $title:literal $explanation:literal)*) => {
        $(#[doc = $title]
        pub const $constant: &Code = &Code {
            name: $name,
            severity: Severity::$severity,
            title: $title,
            explanation: $explanation,
        };)*

        /// Every code, in order.
        pub const CODES: &[&Code] = &[$($constant),*];
    };
}

codes! {
    SYNTAX "F001" Error "the text is not TOML"
        "A rule file is TOML 1.1. Strings are quoted, keys are written once, and every bracket is closed. What \
         follows a bracket that is never closed is not looked at before it is closed."
    UNKNOWN_KEY "F002" Error "a key that facron does not know"
        "An unknown key is refused, never passed over: a misspelt `timeout` would otherwise be a rule without one."
    WRONG_TYPE "F003" Error "a value of the wrong kind"
        "The key takes another kind of value, for example a string in quotes or an array."
    MISSING_KEY "F004" Error "a key that is required"
        "A rule needs a `name`, a `path`, and either `command` or `shell`."
    UNKNOWN_WORD "F005" Error "a word that the key does not know"
        "The key takes one of a few words; `facron check --explain KEY` lists them."
    UNKNOWN_EVENT "F006" Error "an event that facron does not know"
        "Events are written in kebab-case, or in the classic spelling (`FAN_CLOSE_WRITE`)."
    BAD_EVENTS "F007" Error "events that cannot be asked for in this way"
        "An inner array asks for all of its events on one path; sets and `q-overflow` have no place in it. \
         Permission events make the opener wait, so they need a rule of their own."
    BAD_DURATION "F008" Error "not a duration, or not one that facron keeps"
        "A duration is a number with a unit, such as `250ms`, `10m` or `1h 30m`, from 1 ms to 366 days. `M` would be \
         a month and is refused."
    OUT_OF_RANGE "F009" Error "a number out of range"
        "The key takes whole numbers between two bounds."
    BAD_PATH "F010" Error "not a path that facron can use"
        "Paths are absolute and have no `..`, which could lead elsewhere as soon as a directory on the way is a link."
    BAD_GLOB "F011" Error "not a glob"
        "A glob is matched below the rule's path. `*` stops at `/`, `**` does not, `[…]` is a set of characters, and \
         `\\` takes the next character as it is."
    BAD_COMMAND "F012" Error "not a command that can be run"
        "The program is the first word and an absolute path: facron looks up no PATH, since whoever could write a \
         directory in it could run anything. No argument can hold a NUL."
    UNKNOWN_PLACEHOLDER "F013" Error "a placeholder that facron does not know"
        "`{word}` stands for something of the run; a brace that is meant is doubled, `{{` or `}}`."
    PLACEHOLDER_IN_SHELL "F014" Error "a placeholder inside shell text"
        "A file may be called `; rm -rf ~`. Pasted into the text of a shell, its name would be run. Names reach a \
         shell as arguments (`\"$1\"`, `\"$@\"`) or in the environment (`\"$FACRON_PATH\"`), where they stay names."
    BAD_NAME "F015" Error "not a name"
        "A rule's name is 1 to 64 of the characters A-Z a-z 0-9 . _ -, so that it can stand in logs, in file names \
         and in commands. Names of users and variables have their own limits."
    DUPLICATE "F016" Error "a name or setting that is written twice"
        "All rule files together have one `[daemon]` and one rule of a name."
    IMPOSSIBLE "F017" Error "settings that cannot be together"
        "Each of them is fine, but not both; which one is meant is not ours to guess."
    BAD_IDENTITY "F018" Error "not a user or group"
        "A user or group is a name or a decimal number up to 4294967294. A rule whose user does not exist is refused: \
         it must never run as somebody else, least of all as root."
    GUARD_REFUSED "F019" Error "a place or time that permission events may not have"
        "Whoever opens a guarded file waits for facron. Guarding the whole system, the command itself or what it is \
         loaded from would stop the machine, so it is refused; and nobody waits longer than a minute."
    TOO_MUCH "F020" Error "more than facron takes"
        "A rule file is at most 1 MiB, all files together 8 MiB and 10000 rules; one argument is at most 128 KiB."
    UNREADABLE "F021" Error "a rule file that cannot be read"
        "The file is missing, is no regular file, is not UTF-8, or was written while it was read."
    UNTRUSTED "F022" Error "a rule file that others could have written"
        "Whoever can write a rule file, or a directory above it, decides what the daemon runs. As root, the file and \
         every directory above it must belong to root and be writable by nobody else."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(CODES.iter().all(|code| code.name.len() == 4 && code.name.starts_with("F0")));
    }

    #[test]
    fn a_code_is_found_in_any_case() {
        assert_eq!(Code::from_name("f014").map(|code| code.name), Some("F014"));
        assert!(Code::from_name("F999").is_none());
    }
}
