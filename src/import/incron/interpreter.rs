//! Where a command would read a name as more than a name: as program text, as the name of a variable, or as the
//! program itself.
//!
//! Conservative: a command that only looks like one of these is refused too.

use crate::config::interpreter::{self, Interpreter, Runner, Said, base, first_word, takes_word};
use crate::config::shell;

use super::shell::Word;
use super::tables::{
    COMMAND_READERS, DECLARERS, EVERYWHERE, KEYWORDS, LISTS, OPTIONS, SCRIPTLESS, TEXT_FIRST,
    is_program_variable,
};

/// The most words that are looked at: incron read 999 bytes of a line.
const WORDS_MAX: usize = 1000;

/// What a name would be read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// A part of a text that is run, or a variable's name, whose subscript bash runs.
    Text,
    /// The program.
    Program,
}

/// A command of a text: its words, and which of them hold a name.
#[derive(Debug)]
pub struct Command {
    words: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    /// All of it but the name.
    text: String,
    /// What stands before the name.
    beginning: String,
    has_name: bool,
}

impl Command {
    /// Its words without those that say where its input and output go, behind keywords and assignments; or what an
    /// assignment does already.
    ///
    /// # Errors
    /// What a name in an assignment would be read as.
    pub fn new(words: &[Word], has_name: impl Fn(&Word) -> bool) -> Result<Command, Risk> {
        let words = words.iter().filter(|word| !word.is_redirected);
        let piece = |word: &Word| Piece {
            text: word.literal(),
            beginning: word.beginning(),
            has_name: has_name(word),
        };
        let mut words: Vec<Piece> = words.map(piece).collect();
        let mut start = 0;
        while let Some(word) = words.get(start) {
            let is_value = interpreter::is_assignment(&word.beginning);
            if is_value && word.has_name && is_program_variable(&word.beginning) {
                return Err(Risk::Text);
            }
            match word.text.as_str() {
                "function" => start += 2,
                list if LISTS.contains(&list) => start = words.len(),
                keyword if is_value || KEYWORDS.contains(&keyword) => start += 1,
                _ => break,
            }
        }
        Ok(Command { words: words.split_off(start.min(words.len())) })
    }

    /// What it would read a name as.
    pub fn risk(&self) -> Option<Risk> {
        if self.words.len() > WORDS_MAX {
            return Some(Risk::Text);
        }
        let said = self.said();
        if shell::text_of(&said).is_some_and(|text| self.words[text].has_name) {
            return Some(Risk::Text);
        }
        let programs = interpreter::programs(&said);
        programs.into_iter().find_map(|program| self.risk_of(program))
    }

    /// Whether it reads commands from its standard input.
    pub fn reads_commands(&self) -> bool {
        let said = self.said();
        let is_input = |text: &str| {
            text == "-" || ["/dev/stdin", "/dev/fd/", "/proc/self/fd/"].iter().any(|it| text.starts_with(it))
        };
        let ends_in_shell = self.words.last().is_some_and(|word| shell::is_shell(&word.text));
        let programs = interpreter::programs(&said);
        let last = programs.last().copied();
        ends_in_shell
            || programs.into_iter().any(|program| {
                let Some(text) = said.get(program).map(|word| word.text()) else { return false };
                let (name, behind) = (base(text), &self.words[program + 1..]);
                let is_other_input = behind.iter().any(|word| is_input(&word.text));
                let has_option = |letters: &str, long: &[&str]| {
                    behind
                        .iter()
                        .any(|word| takes_word(&word.text, letters) || long.contains(&word.text.as_str()))
                };
                if shell::is_shell(name) {
                    let options = behind.iter().take_while(|word| word.text.starts_with('-'));
                    let is_unsure = options
                        .filter(|word| !word.text.starts_with("--"))
                        .any(|word| word.text.contains('s'));
                    return is_unsure || is_other_input || first_word(&said, program + 1, "oO").is_none();
                }
                if let Some(found) = interpreter::interpreter_of(name) {
                    let has_text = has_option(found.text, found.long);
                    let has_script = first_word(&said, program + 1, found.word).is_some();
                    return is_other_input || !(has_text || (has_script && !SCRIPTLESS.contains(&name)));
                }
                match name {
                    "ssh" => first_word(&said, program + 1, shell::SSH_WORDS)
                        .is_none_or(|host| host + 1 >= said.len()),
                    "su" | "sg" => !has_option("c", &["--command"]),
                    "." | "source" | "make" | "awk" | "sed" => is_other_input,
                    // With options alone these start a shell.
                    "sudo" | "doas" | "chroot" | "nsenter" | "unshare" | "runuser" => last == Some(program),
                    other => COMMAND_READERS.contains(&other),
                }
            })
    }

    fn risk_of(&self, program: usize) -> Option<Risk> {
        let word = self.words.get(program)?;
        if word.has_name || word.text == "{}" {
            return Some(Risk::Program);
        }
        let name = base(&word.text);
        let arguments = &self.words[program + 1..];
        let is_held = |pieces: &[Piece]| pieces.iter().any(|piece| piece.has_name);
        let text_if = |is_text: bool| is_text.then_some(Risk::Text);
        // Which program a variable names is not looked up: it may be `eval`.
        let is_variable = word.text.starts_with('$') && !word.text.contains('/');
        if is_variable || EVERYWHERE.contains(&name) {
            return text_if(is_held(arguments));
        }
        if let Some(runner) = interpreter::runner_of(name) {
            return self.risk_of_runner(runner, program);
        }
        if let Some((_, letters, long)) = OPTIONS.iter().find(|(known, ..)| *known == name)
            && self.has_behind(program, letters, long)
        {
            return Some(Risk::Text);
        }
        if shell::is_shell(name) {
            return self.risk_of_shell(program);
        }
        if let Some(found) = interpreter::interpreter_of(name) {
            return self.risk_of_interpreter(found, program);
        }
        if TEXT_FIRST.contains(&name) {
            let first = arguments.iter().find(|word| !word.text.starts_with('-') || word.has_name);
            return text_if(first.is_some_and(|word| word.has_name) || self.has_behind(program, "ef", &[]));
        }
        if DECLARERS.contains(&name) {
            return text_if(is_held(arguments) && !is_plain_declaration(arguments));
        }
        match name {
            "." | "source" => arguments.first().filter(|word| word.has_name).map(|_| Risk::Program),
            "printf" => {
                let has_assignment = arguments.first().is_some_and(|format| {
                    let others = &arguments[1..];
                    (format.has_name || format.text.contains("%n") || format.text.starts_with("-v"))
                        && (is_held(others) || format.text.starts_with("-v"))
                });
                text_if(has_assignment && is_held(arguments))
            }
            "test" | "[" => {
                let asks = arguments.iter().any(|word| matches!(word.text.as_str(), "-v" | "-R"));
                text_if(asks && is_held(arguments))
            }
            "find" => self.risk_of_find(program),
            _ => None,
        }
    }

    /// What stands between a program that starts another one and that one.
    fn risk_of_runner(&self, runner: &Runner, program: usize) -> Option<Risk> {
        let said = self.said();
        let next = interpreter::programs(&said[program..]).get(1).map_or(said.len(), |next| program + next);
        let between = &self.words[program + 1..next];
        let is_harmless = |word: &Piece| {
            let is_value = interpreter::is_assignment(&word.beginning);
            let is_lock = runner.name == "flock" && !word.beginning.starts_with('-');
            (is_value && !is_program_variable(&word.beginning)) || is_lock
        };
        if between.iter().any(|word| word.has_name && !is_harmless(word)) {
            let is_operand = between.iter().any(|word| word.has_name && !word.beginning.starts_with('-'));
            return Some(if is_operand && runner.name == "chroot" { Risk::Program } else { Risk::Text });
        }
        let is_pasted = runner.name == "xargs" && self.pastes_names(next, &self.words[..next]);
        is_pasted.then_some(Risk::Text)
    }

    fn risk_of_shell(&self, program: usize) -> Option<Risk> {
        let said = self.said();
        let script = first_word(&said, program + 1, "oO");
        let options = &self.words[program + 1..script.unwrap_or(said.len())];
        let is_text = options.iter().any(|word| takes_word(&word.text, "c") || word.text.contains('c'));
        let has_file = options.iter().any(|word| word.text.ends_with("-file") || word.text == "--rcfile");
        let is_held = |pieces: &[Piece]| pieces.iter().any(|piece| piece.has_name);
        if is_held(options) || (has_file && is_held(&self.words[program + 1..])) {
            return Some(Risk::Text);
        }
        let is_name = script.is_some_and(|script| self.words[script].has_name);
        is_name.then_some(if is_text { Risk::Text } else { Risk::Program })
    }

    fn risk_of_interpreter(&self, interpreter: &Interpreter, program: usize) -> Option<Risk> {
        let said = self.said();
        if self.has_behind(program, interpreter.text, interpreter.long) {
            return Some(Risk::Text);
        }
        let is_text = |word: &Piece| {
            takes_word(&word.text, interpreter.text) || interpreter.long.contains(&word.text.as_str())
        };
        let end = self.words[program + 1..].iter().position(is_text).map(|at| program + 1 + at);
        let script = first_word(&said, program + 1, interpreter.word)
            .filter(|script| end.is_none_or(|end| *script < end));
        let options = &self.words[program + 1..script.or(end).unwrap_or(said.len())];
        if options.iter().any(|word| word.has_name) {
            return Some(Risk::Text);
        }
        let is_script = !SCRIPTLESS.contains(&interpreter.name);
        script.filter(|script| is_script && self.words[*script].has_name).map(|_| Risk::Program)
    }

    /// The commands that find(1) runs.
    fn risk_of_find(&self, program: usize) -> Option<Risk> {
        const RUNS: &[&str] = &["-exec", "-execdir", "-ok", "-okdir"];
        let places = self.words.iter().enumerate().skip(program + 1);
        let mut starts = places.filter(|(_, word)| RUNS.contains(&word.text.as_str())).map(|(at, _)| at + 1);
        starts.find_map(|start| {
            if self.pastes_names(start, &[]) {
                return Some(Risk::Text);
            }
            let words = self.words[start..].iter().take_while(|word| word.text != ";");
            let words = words.map(|word| Piece {
                text: word.text.clone(),
                beginning: word.beginning.clone(),
                has_name: word.has_name,
            });
            Command { words: words.collect() }.risk()
        })
    }

    /// Whether names that come otherwise, from a directory or from standard input, get into the text of the program
    /// that begins here.
    fn pastes_names(&self, start: usize, options: &[Piece]) -> bool {
        let said = self.said();
        let Some(words) = said.get(start..) else { return false };
        let replaces = options
            .iter()
            .any(|word| ["-I", "-i", "--replace"].iter().any(|option| word.text.starts_with(option)));
        interpreter::programs(words).into_iter().any(|program| {
            let Some(name) = words.get(program).map(|word| word.text()) else { return false };
            if !shell::is_shell(name) && interpreter::interpreter_of(name).is_none() {
                return name == "eval" || (replaces && name.starts_with('{'));
            }
            let behind = &words[program + 1..];
            let plain = behind.iter().filter(|word| !word.text().starts_with('-')).count();
            plain == 0
                || replaces
                || behind.iter().any(|word| word.text().len() > 2 && word.text().contains("{}"))
        })
    }

    /// Whether a name stands behind one of these options, or is joined to it.
    fn has_behind(&self, program: usize, letters: &str, long: &[&str]) -> bool {
        let words = &self.words[program + 1..];
        let is_option = |word: &Piece| takes_word(&word.text, letters) || long.contains(&word.text.as_str());
        let is_joined = |word: &Piece| {
            let is_short = |rest: &str| rest.starts_with(|letter| letters.contains(letter));
            let is_long =
                |long: &&str| word.beginning.strip_prefix(long).is_some_and(|rest| rest.starts_with('='));
            word.beginning.strip_prefix('-').is_some_and(is_short) || long.iter().any(is_long)
        };
        let behind = words.windows(2).any(|pair| is_option(&pair[0]) && pair[1].has_name);
        behind || words.iter().any(|word| word.has_name && is_joined(word))
    }

    fn said(&self) -> Vec<Said<'_>> {
        let words = self.words.iter();
        words
            .map(
                |word| if word.has_name { Said::Beginning(&word.beginning) } else { Said::Whole(&word.text) },
            )
            .collect()
    }
}

/// Whether a declaration only gives values to variables that it names, as `export A=$#` does.
fn is_plain_declaration(arguments: &[Piece]) -> bool {
    arguments.iter().all(|word| {
        let is_value = interpreter::is_assignment(&word.beginning) && !is_program_variable(&word.beginning);
        let is_plain_option =
            word.text.strip_prefix('-').is_some_and(|letters| letters.chars().all(|c| "xrg".contains(c)));
        if word.has_name { is_value } else { is_plain_option || !word.text.starts_with('-') }
    })
}
