//! Everything that the importer can say about a line: the one table.
//!
//! A *note* is a remark on a line that was translated word for word. A *warning* means that the rule says
//! something else than the line did. An *error* means that the line is left out.

use crate::diagnostic::Severity;

/// One row of the table.
#[derive(Debug)]
pub struct Code {
    /// Stable: `I0…`, `I1…`.
    pub name: &'static str,
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
                name: $code,
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
        "Classic facron took 511 events and 511 arguments, and incron a line of 999 bytes; the rest was read as something else."
        "What the command was meant to get cannot be known: the line is left out."
    TOO_MUCH "I009" Warning "more than one rule file may hold"
        "There was no limit."
        "The rules are written, and facron refuses the file: a rule file is at most 1 MiB, and all together have 10000 rules. Translate the tables into several files."

    // Paths.
    RELATIVE_PATH "I010" Error "path that is not absolute"
        "The mark was set, but events carry absolute paths: the command never ran."
        "The table does not say which directory the path starts from: the line is left out."
    CLEANED_PATH "I011" Warning "path that is not in its shortest form"
        "For classic facron events carry the shortest form of a path: the command never ran, but for a `/` at the end of a directory. incron passed the path on as it was."
        "`//`, `/./`, `..` and a `/` at the end are resolved, by the text alone."
    MISSING_PATH "I012" Note "path that does not exist here"
        "A path that was missing at start was passed over until the next reload."
        "The rule waits for the path and fires once it is there, be it a file or a directory (for a tree, `allow` says so)."
    LINKED_PATH "I013" Note "path through a symbolic link"
        "Events carry the path behind the links: the command never ran."
        "The rule follows the links, and the command is given the path as it is written."
    CONTROL_CHARACTER "I014" Note "control character in a path"
        "It belonged to the path."
        "It belongs to the path, and the rule says that it is meant (`allow`)."
    FOREIGN_PLACE "I015" Note "file system of another machine or of the kernel"
        "Only what this machine changed was reported, and nothing that the kernel changes by itself."
        "The same, and the rule says that it is known (`allow`). `rescan` finds what other machines change."
    ROOT_DIRECTORY "I016" Note "everything below `/`"
        "Every directory of the system was watched, as far as the kernel had room for watches."
        "The rule covers them all, and says that it is meant (`allow`)."
    UNSURE_TREE "I017" Note "recursion below what may be a file"
        "A file was watched as itself, and a directory with all that is below it."
        "The same: where the path is a file, the rule says that its `scope` is known to be too much (`allow`)."

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
    GUARDED_PLACE "I030" Error "permission event where nothing may be guarded"
        "The kernel refused the mark, and the command never ran."
        "Such a rule would hold up the whole system, or itself, and is refused."
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
    PROGRAM_NOT_FOUND "I053" Error "program that is a directory, or not absolute and not found"
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
    NAME_AS_PROGRAM_TEXT "I062" Error "file name as program text"
        "A shell or another interpreter was given the file's name as its program."
        "Whoever may name a file there would run anything: such a rule is refused."
    OPTION "I063" Note "argument that a file name could turn into an option"
        "A file called `-rf` was an option for the program."
        "It still is, and the rule says that it is known (`allow`)."

    // incron: the line and its path.
    LIVE_COMMENT "I070" Note "comment of three words or more"
        "Debian's incron took it for a rule on the path `#`, which find(1) made the whole file system."
        "It is a comment, and stays one."
    LONG_LINE "I071" Warning "line of more than 999 bytes"
        "incron read the first 999 bytes as one line and the rest as another."
        "The line is one line."
    CARRIAGE_RETURN "I072" Warning "carriage return at the end of the line"
        "It belonged to the command's last word."
        "It is left out."
    INCOMPLETE "I073" Error "line without events or without a command"
        "incron dropped the line without a word, or ran an empty command."
        "A line is a path, events and a command, with blanks between them."
    QUOTED_PATH "I074" Error "path in quotes"
        "incron knew no quotes: they were part of the path, which then ended at the blank."
        "Where the path was meant to end is not sure: the line is left out."
    ESCAPED_BLANK "I075" Warning "blank in a path, behind a backslash"
        "As documented, it belonged to the path; since 0.5.11 incron read the path only up to it."
        "It belongs to the path."
    PATH_FOR_SHELL "I076" Error "shell syntax in a path"
        "incron gave the path to a shell, as root, whoever's table it was."
        "A path is a path: the line is left out."
    HOME "I077" Warning "path that begins with `~`"
        "incron did not know it: no such file was there."
        "It is the home directory of the table's user."
    HOME_UNKNOWN "I078" Error "path that begins with `~`, of nobody"
        "incron did not know it: no such file was there."
        "Whose home directory was meant is not sure: the line is left out."
    ROOT_RELATIVE "I079" Warning "path that is not absolute"
        "incron works in `/`, so that the path started there."
        "It is written absolutely."
    PATTERN "I080" Warning "path with a `*`"
        "It was expanded once, when the table was loaded: files that came later were not watched, and those that were replaced no longer."
        "The directory is watched, and `include` takes the names that match, whenever they come."
    SAME_PATH "I081" Note "second rule on a path"
        "The second watch of one table on a directory failed, and its command never ran."
        "Both rules fire."
    HIDDEN_BASE "I082" Warning "recursion below a directory that begins with a dot"
        "incron left out every directory with a dot anywhere in its path: it did not recurse at all."
        "The rule covers the tree, without the directories in it that begin with a dot."
    WORLD_WRITABLE "I083" Note "root's command for a directory that everybody may write to"
        "Names went into the text of a shell that ran as root: whoever named a file there could run anything."
        "Names are arguments. Let the command expect any name, all the same."
    BAD_PATTERN "I084" Error "pattern that is none of facron's"
        "It was expanded once, when the table was loaded."
        "It cannot be a glob: the line is left out."

    // incron: events and options.
    UNKNOWN_WORD "I085" Warning "unknown word among the events"
        "incron passed over it without a word."
        "It is left out."
    NO_KNOWN_EVENT "I086" Error "no event that can be watched"
        "incron could not set the watch, and the command never ran."
        "Which event was meant is not sure, or facron has no such event: the line is left out."
    BAD_NUMBER "I087" Error "number that is none"
        "incron read as many digits as there were, and passed over the rest."
        "Which events were meant is not sure: the line is left out."
    NUMBER_TAIL "I088" Warning "option behind a number"
        "incron passed over everything behind a number."
        "It is left out, as incron did."
    NO_COUNTERPART "I089" Warning "event without a counterpart"
        "incron ran the command for it too."
        "It is left out: facron follows the path through removal and mounting by itself."
    ONCE "I090" Error "IN_ONESHOT"
        "The command ran for the first event only."
        "No rule ends by itself: the line is left out."
    IS_DIRECTORY "I091" Warning "IN_ISDIR"
        "It filtered nothing: files counted too."
        "It is left out, and files count too."
    NO_LINK "I092" Warning "IN_DONT_FOLLOW on a symbolic link"
        "The link itself was watched, which hardly anything happens to."
        "A rule follows links: what they point to is watched."
    ALL_EVENTS "I093" Note "IN_ALL_EVENTS"
        "Every open, read and close ran the command, those of the command itself too. incrontab also wrote it in place of events that it did not understand."
        "The rule asks for all of them. Ask for what is needed, such as `on = \"change\"`."
    NO_LOOP "I094" Warning "IN_NO_LOOP or loopable=true"
        "It did nothing in incron 0.5.12: a command that wrote to its directory ran again and again."
        "One run at a time, with one more for what comes meanwhile; what a run does to its own path is passed over."
    LOST_EVENTS "I095" Warning "IN_Q_OVERFLOW"
        "incron passed over lost events without a word."
        "The rule fires when events were lost."

    // incron: commands.
    PROGRAM_ALONG_PATH "I100" Warning "program that is not absolute"
        "A shell looked for it along the PATH at each run."
        "It was found along the same PATH here, and is written absolutely."
    PROGRAM_MISSING "I101" Error "program that is a directory, or not absolute and not found"
        "A shell looked for it along the PATH at each run."
        "A rule names its program absolutely, and it is not there: the line is left out."
    SHELL_TEXT "I102" Warning "name in shell text"
        "The name was pasted into the text of a shell, with only blanks and backslashes made safe: a name such as `x;id` was run."
        "The shell has the name as \"$1\", which is no part of its text. What the programs in the text make of a name is theirs to say."
    QUOTED_NAME "I103" Warning "name in quotes"
        "The name was pasted between the quotes with a backslash before each blank, which stayed in it."
        "The name arrives as it is."
    UNSAFE_NAME "I104" Error "name that would become program text"
        "The name was pasted into the text: whoever named a file could run anything."
        "It cannot be said safely without knowing the program's language: the line is left out."
    DOLLAR "I105" Warning "`$` that stands for nothing"
        "incron dropped the `$`, and kept what stood behind it."
        "The `$` stays, and a shell reads it."
    EVENT_NAMES "I106" Warning "names or number of the events"
        "The command was told `IN_CREATE,IN_ISDIR`, or a number."
        "The command is told facron's names, such as `create`, separated by commas."
    WATCHED_FILE "I107" Warning "`$#` of a file that is watched itself"
        "`$@` was the file and `$#` was empty, so that `$@/$#` ended in a slash."
        "`$@` and `$@/$#` are the file's path, and `$#` is its name."
    SHELL_MISTAKE "I108" Error "shell text that no shell reads"
        "The shell refused it at each run, and its message went nowhere."
        "There is nothing to run: the line is left out."
    SHELL_PARAMETERS "I109" Error "parameters of the shell in the text"
        "The shell had none: they were empty."
        "The name is among them in a rule, so that the text would mean something else: the line is left out."

    // Folders of tables.
    LEFTOVER_FILE "I110" Note "file that an editor or a package manager left behind"
        "incron read it as a table, unless its name began with a dot."
        "It is passed over."
    NOBODY "I111" Warning "table of nobody"
        "incron passed over it with a warning."
        "It is passed over: `--user` says whose it is."
}

impl Code {
    /// The row of this name, in any case.
    pub fn from_name(name: &str) -> Option<&'static Code> {
        CODES.iter().copied().find(|code| code.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.is_sorted_by(|one, next| one.name < next.name));
    }
}
