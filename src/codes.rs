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

    /// Whether a rule may say that it is meant: errors refuse the rule, and what is about a rule file is about no rule.
    pub fn can_be_allowed(&self) -> bool {
        self.severity < Severity::Error && self.name != NO_RULES.name && self.name != HARD_LINK.name
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
    DEAD_TOKEN "F030" Note "a token that is not replaced"
        "The tokens of classic facron (`$$`, `$@`, `$#`, `$*`) are replaced only where they are the whole argument. \
         Placeholders such as `{path}` are replaced anywhere in one."
    OPTION "F031" Warning "an argument that a file name could turn into an option"
        "A file may be called `-rf`. Where an argument begins with a name, put `--` before it, or use `{path}`, which \
         begins with `/`. For a classic token this is a note, since the line may have worked for years."
    SHELL_SYNTAX "F032" Note "shell syntax where no shell runs"
        "`command` starts the program directly: `>`, `|`, `&&`, `$HOME` and the like reach it as plain arguments. \
         Write `shell` instead, where the names are in `\"$@\"`."
    ONE_OF_BATCH "F033" Warning "a placeholder that shows one path of a batch"
        "In a batch `{path}` and its kin stand for the first path only. An argument that is exactly `{paths}` becomes \
         all of them, and `stdin = \"paths0\"` gives them on standard input."
    LONG_DEBOUNCE "F034" Warning "a debounce longer than max-wait"
        "`max-wait` ends every burst before `debounce` could: the rule runs every `max-wait` instead."
    NO_TIMEOUT "F035" Note "no timeout, and one run at a time"
        "A command that hangs holds the only slot of the rule for ever, and nothing runs after it. A `timeout` ends \
         it, with everything that it started."
    NO_EFFECT "F036" Warning "a setting without effect"
        "Another setting of the rule leaves this one nothing to do."
    NEVER_FIRES "F037" Warning "a rule that can never fire"
        "Its settings exclude each other: no event is asked for, in scope and included at once."
    DEAD_GLOB "F038" Warning "a glob that never matches"
        "Globs are matched below the rule's path; with `/` they are anchored there. Braces and a leading `!` mean \
         nothing in them."
    TWICE "F039" Warning "something that is written twice"
        "An item of a list that is there already has no effect. Two rules that do the same run their command twice, \
         and so do one on a tree and one on a part of it; that is a note, since a classic table may have meant it."
    FREQUENT "F040" Note "events that come very often"
        "Everything that reads below the tree causes `open`, `access` and `close-nowrite`: a search, a backup, a shell \
         that completes a name. Each costs time even where the rule starts nothing."
    SECRET "F041" Warning "a secret in the rule file"
        "Rule files are read by backups, version control and support. Keep the secret in a file that only the rule's \
         user may read, and tell the command its path."
    CLASSIC_SPELLING "F042" Note "a spelling of classic facron"
        "It is accepted everywhere; the kebab-case name is what log and status show."
    UNCLEAN_PATH "F043" Note "a path that is not used as it is written"
        "`//`, `/./` and a trailing `/` mean nothing and are taken out; the command is given the clean path."
    CONTROL_CHARACTER "F044" Warning "a control character in a path"
        "A file may be called so, but it is more often a `\\n` or `\\t` that was meant as two characters. In single \
         quotes a `\\` means itself."
    WHOLE_SYSTEM "F045" Warning "the root of the file system"
        "Below `/` lie the logs and the state of facron itself, and everything that every program does. Name the \
         directories that are meant."
    LOOP "F046" Warning "a rule that could feed itself"
        "What a run writes where its rule, or a rule that feeds it, watches would start it again. `ignore-self` \
         passes over what a run causes; output goes elsewhere."
    NOTIFY_SEND "F047" Warning "a notification made by hand"
        "notify-send takes a file name for an option or for markup, and finds no desktop from a daemon of root. The \
         built-in notification (`notify`) escapes what it shows and finds the users. For `command` this is a note."
    PROGRAM_TEXT "F048" Warning "a placeholder inside the text of a program"
        "The interpreter would run what a file's name says. Names belong into arguments of their own, behind the text."
    DANGEROUS_VARIABLE "F049" Warning "a variable that makes programs run something else"
        "Shells run what BASH_ENV, ENV and exported functions say, and the loader what LD_PRELOAD says, before the \
         program's first line."
    LOW_LIMIT "F050" Warning "a resource limit that no program can start with"
        "A program needs some descriptors and some memory before it can do anything."
    OVER_DAEMON "F051" Note "more runs than the daemon allows"
        "`[daemon] concurrency` bounds the runs of all rules together; a rule cannot have more."
    MISSING_PATH "F060" Note "a path that does not exist"
        "The rule is armed when the path appears. If it should be there already, it may be misspelt."
    FOREIGN_LINK "F061" Warning "a link that others could change"
        "The path leads through a symbolic link in a directory that others may write: they decide what is watched."
    FOREIGN_FILE_SYSTEM "F062" Warning "a file system where something asked for is impossible"
        "On network file systems and FUSE the kernel reports only what this machine does through this mount; \
         `rescan` finds the rest by a walk. In /proc, /sys and their like the kernel's own changes are not reported."
    MISSING_PROGRAM "F063" Warning "a program that does not exist"
        "Every run would end as `not-started:missing`. It may be installed later."
    UNRUNNABLE "F064" Warning "a program that cannot be run"
        "It is no regular file, may not be executed, or begins with neither a machine's code nor `#!` and an \
         interpreter that exists."
    FOREIGN_PROGRAM "F065" Warning "a program that others could have written"
        "Whoever can write the program, or a directory above it, decides what root runs. A rule that runs as root \
         does not start it; the `chmod` or `chown` mends it."
    SETUID "F066" Warning "a setuid or setgid program"
        "Under `no-new-privs`, which is the default with `user`, the program does not get its rights. Where it does \
         get them, a daemon that is not root cannot stop it at its `timeout`."
    MISSING_DIRECTORY "F067" Warning "a directory that a run needs and that is not there"
        "A run begins in `cwd` and appends to the file of `output`; without the directory it is not started."
    UNKNOWN_CAUSE "F068" Warning "a user or program that can cause nothing"
        "`by-user` and `by-exe` name users and programs that exist; of others no event comes."
    NO_RULES "F069" Warning "no rules"
        "The rule files have no rule. That is allowed, and a daemon with them does nothing. Where they have something \
         else, this is a note."
    HARD_LINK "F070" Warning "a rule file with several names"
        "The file can be changed through its other name, in a directory that nobody looks at."
    WRONG_SCOPE "F071" Warning "a scope that does not fit the path"
        "A file has nothing below it, so `scope = \"tree\"` means the file alone."
    FOREIGN_OUTPUT "F072" Warning "an output file that others could replace"
        "Whoever can write its directory can put a link to another file in its place. The file of `output` is opened \
         so that no link is followed, and a run whose output cannot be opened safely is not started."
    USELESS_ALLOW "F073" Note "something allowed that is not there"
        "`allow` names a finding that the rule does not have, so that it would hide one that comes later. What depends \
         on the system (F037, and all from F060 on) may be there on another one and is not looked for."
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
