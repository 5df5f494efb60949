//! Where a program reads an argument as program text, so that a name in it could run anything.
//!
//! Conservative: a command that only looks like one of these is refused too.

use std::ops::Range;

use crate::config::shell;
use crate::import::program;

use super::shell::Word;

/// Where a program reads program text.
enum Reads {
    /// In the word behind an option that ends with one of these letters.
    Behind(&'static str),
    /// In its first word that is no option, too.
    FirstWord,
    /// Everywhere.
    Everywhere,
}

/// Programs to whose text a name must not be added; shells are known to `config::shell`.
const INTERPRETERS: &[(&str, Reads)] = &[
    ("awk", Reads::FirstWord),
    ("gawk", Reads::FirstWord),
    ("mawk", Reads::FirstWord),
    ("nawk", Reads::FirstWord),
    ("sed", Reads::FirstWord),
    ("perl", Reads::Behind("eE")),
    ("python", Reads::Behind("c")),
    ("python2", Reads::Behind("c")),
    ("python3", Reads::Behind("c")),
    ("ruby", Reads::Behind("e")),
    ("node", Reads::Behind("ep")),
    ("php", Reads::Behind("r")),
    ("lua", Reads::Behind("e")),
    ("mysql", Reads::Behind("e")),
    ("mariadb", Reads::Behind("e")),
    ("psql", Reads::Behind("c")),
    ("su", Reads::Behind("c")),
    ("runuser", Reads::Behind("c")),
    ("script", Reads::Behind("c")),
    ("flock", Reads::Behind("c")),
    ("env", Reads::Behind("S")),
    ("sqlite3", Reads::Everywhere),
    ("ssh", Reads::Everywhere),
    ("eval", Reads::Everywhere),
    ("let", Reads::Everywhere),
    ("trap", Reads::Everywhere),
    ("watch", Reads::Everywhere),
    ("[[", Reads::Everywhere),
];

/// Programs that read commands from standard input, beside shells without a script.
const COMMAND_READERS: &[&str] = &["at", "batch"];

/// The words of a command that a program reads as program text.
pub fn program_text(words: &[Word]) -> Vec<usize> {
    let texts: Vec<String> = words.iter().map(Word::literal).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut found: Vec<usize> = program::shell_text(&texts).into_iter().collect();
    for start in programs(&texts) {
        let Some((_, reads)) = INTERPRETERS.iter().find(|(name, _)| *name == program::base(texts[start]))
        else {
            continue;
        };
        let arguments = start + 1..texts.len();
        match reads {
            Reads::Everywhere => found.extend(arguments),
            Reads::FirstWord => {
                found.extend(arguments.clone().find(|index| !texts[*index].starts_with('-')));
                found.extend(behind_options("e", &texts, arguments));
            }
            Reads::Behind(letters) => found.extend(behind_options(letters, &texts, arguments)),
        }
    }
    found
}

/// Whether a command is a shell that reads its commands from standard input.
pub fn reads_commands(words: &[Word]) -> bool {
    let texts: Vec<String> = words.iter().map(Word::literal).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    programs(&texts).into_iter().any(|start| {
        let base = program::base(texts[start]);
        let has_script = texts[start + 1..].iter().any(|text| !text.starts_with('-'));
        COMMAND_READERS.contains(&base) || (shell::is_shell(base) && !has_script)
    })
}

/// `NAME=value`.
pub fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    })
}

fn behind_options(letters: &str, texts: &[&str], arguments: Range<usize>) -> Vec<usize> {
    let takes_text = |text: &str| text.starts_with('-') && text.ends_with(|last| letters.contains(last));
    let is_joined = |text: &str| {
        let mut characters = text.chars();
        characters.next() == Some('-') && characters.next().is_some_and(|letter| letters.contains(letter))
    };
    let mut found: Vec<usize> = arguments.clone().filter(|index| is_joined(texts[*index])).collect();
    found.extend(arguments.skip(1).filter(|index| takes_text(texts[index - 1])));
    found
}

/// Which words may be the program of a command: the first, and what those start that only start others.
fn programs(texts: &[&str]) -> Vec<usize> {
    let mut found = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let is_operand =
            text.starts_with('-') || text.contains('=') || text.starts_with(|c: char| c.is_ascii_digit());
        if is_operand && index > 0 {
            continue;
        }
        found.push(index);
        let is_starter = program::STARTERS.contains(&program::base(text)) || is_assignment(text);
        let is_behind_option = index > 0 && texts[index - 1].starts_with('-');
        if !is_starter && !is_behind_option {
            break;
        }
    }
    found
}
