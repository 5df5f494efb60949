//! The command of a line of an incrontab as a shell reads it: which characters stand for themselves, which words
//! they make, and where a name would be read as program text.
//!
//! Conservative: what is not surely understood needs a shell, and a name inside of it is refused.

use super::interpreter::{Command, Risk};
use super::tables::{BASH_BUILTINS, BASH_EXPANSIONS, BASH_SYNTAX, BUILTINS, EVALUATORS, PARAMETER_BUILTINS};
use super::text::{Text, Unit, Wildcard};
use super::variables::{self, Variables};
use crate::config::interpreter::is_assignment;

/// A command as a shell reads it.
#[derive(Debug, Default)]
pub struct Reading {
    /// Every unit, without comments, with how it is read.
    pub marks: Vec<Mark>,
    /// The words of its commands, between `|`, `;`, `&` and the like.
    pub segments: Vec<Vec<Word>>,
    /// Whether it means something that only a shell does.
    pub needs_shell: bool,
    /// Whether it means something that only bash does.
    pub needs_bash: bool,
    /// Whether it reads the parameters of the shell.
    pub reads_parameters: bool,
    /// Whether a wildcard stands where no quotes make it safe.
    pub has_unsafe_wildcard: bool,
    /// Whether a name would be the program.
    pub has_name_as_program: bool,
    /// Whether a quote or a bracket is never closed.
    pub is_open: bool,
}

/// A unit, and how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The unit.
    pub unit: Unit,
    /// How it is read.
    pub quoting: Quoting,
}

/// How a unit is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// Outside of quotes.
    Bare,
    /// Between `'`.
    Single,
    /// Between `"`.
    Double,
    /// Behind a backslash.
    Escaped,
    /// A quote, a backslash, a blank or an operator.
    Syntax,
}

/// A word: what stands for itself, and wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Without quotes.
    pub marks: Vec<Mark>,
    /// Whether the output of a command becomes a part of it.
    pub is_substituted: bool,
    /// Whether it says where input comes from or output goes to.
    pub is_redirected: bool,
}

impl Word {
    /// The word with nothing in place of its wildcards.
    pub fn literal(&self) -> String {
        let character = |mark: &Mark| match mark.unit {
            Unit::Character(character) => Some(character),
            Unit::Dollar => Some('$'),
            Unit::Wildcard(_) => None,
        };
        self.marks.iter().filter_map(character).collect()
    }

    /// What stands before the first wildcard or `$`.
    pub fn beginning(&self) -> String {
        let characters = self.marks.iter().map_while(|mark| match mark.unit {
            Unit::Character(character) => Some(character),
            Unit::Dollar | Unit::Wildcard(_) => None,
        });
        characters.collect()
    }

    /// Whether a command between double quotes gives a part of it.
    pub fn has_quoted_substitution(&self) -> bool {
        let is_quoted = |mark: &Mark, unit| mark.quoting == Quoting::Double && mark.unit == unit;
        self.marks.iter().any(|mark| is_quoted(mark, Unit::Character('`')))
            || self
                .marks
                .windows(2)
                .any(|pair| is_quoted(&pair[0], Unit::Dollar) && is_quoted(&pair[1], Unit::Character('(')))
    }

    /// Whether incron puts something in.
    pub fn has_wildcard(&self) -> bool {
        self.marks.iter().any(|mark| matches!(mark.unit, Unit::Wildcard(_)))
    }

    fn is_quoted(&self) -> bool {
        self.marks.iter().any(|mark| mark.quoting != Quoting::Bare)
    }
}

impl Reading {
    /// Reads a command.
    pub fn parse(text: &Text) -> Reading {
        let mut lexer = Lexer {
            units: &text.units,
            index: 0,
            reading: Reading::default(),
            word: None,
            is_substitution: false,
            segment: 0,
            outer: Vec::new(),
            is_redirection: false,
        };
        lexer.run();
        let mut reading = lexer.reading;
        reading.look_at_words();
        reading
    }

    /// Whether incron puts anything in.
    pub fn has_wildcard(&self) -> bool {
        self.marks.iter().any(|mark| matches!(mark.unit, Unit::Wildcard(_)))
    }

    /// Whether incron puts this in.
    pub fn has(&self, wildcard: Wildcard) -> bool {
        self.marks.iter().any(|mark| mark.unit == Unit::Wildcard(wildcard))
    }

    /// Decides by words what the characters alone did not decide.
    fn look_at_words(&mut self) {
        let first_words = self.segments.iter().filter_map(|words| words.first());
        for word in first_words.filter(|word| !word.is_quoted()) {
            let text = word.literal();
            self.needs_shell |= BUILTINS.contains(&text.as_str()) || is_assignment(&text);
            self.needs_bash |= BASH_BUILTINS.contains(&text.as_str());
            self.reads_parameters |= PARAMETER_BUILTINS.contains(&text.as_str());
        }
        for words in &self.segments {
            let evaluates = words.first().is_some_and(|word| EVALUATORS.contains(&word.literal().as_str()));
            let reads = |text: &str| {
                let behind = text.split('$').skip(1);
                behind
                    .into_iter()
                    .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || "@*#".contains(c)))
            };
            self.reads_parameters |= evaluates && words.iter().any(|word| reads(&word.literal()));
        }
        let bare: String = self.text_where(|quoting| matches!(quoting, Quoting::Bare | Quoting::Syntax));
        self.needs_bash |= BASH_SYNTAX.iter().any(|syntax| bare.contains(syntax)) || has_braces(&bare);
        // Arithmetic reads names as expressions, and those may run commands.
        let expanded = self.text_where(|quoting| matches!(quoting, Quoting::Bare | Quoting::Double));
        let is_arithmetic = bare.contains("((") || expanded.contains("((");
        self.has_unsafe_wildcard |= self.has_wildcard() && is_arithmetic;
        self.needs_bash |= expanded.split("${").skip(1).any(|rest| {
            let inside = rest.split('}').next().unwrap_or(rest);
            BASH_EXPANSIONS.iter().any(|syntax| inside.contains(syntax))
        });
        self.needs_shell |= self.needs_bash;
        if self.has_wildcard() {
            self.look_at_names();
        }
    }

    /// Decides where a name, or a variable that holds one, would be more than a name.
    fn look_at_names(&mut self) {
        self.has_unsafe_wildcard |= variables::evaluates(&self.marks);
        let variables = Variables::of(self);
        let mut risks = Vec::new();
        for words in &self.segments {
            let command = match Command::new(words, |word| variables.may_be_in(word)) {
                Ok(command) => command,
                Err(risk) => {
                    risks.push(risk);
                    continue;
                }
            };
            risks.extend(command.risk());
            // What a command between quotes does with a variable is not looked at.
            let is_hidden = words.iter().any(Word::has_quoted_substitution)
                && words.iter().any(|word| variables.are_in(word));
            risks.extend((is_hidden || command.reads_commands()).then_some(Risk::Text));
        }
        self.has_unsafe_wildcard |= risks.contains(&Risk::Text);
        self.has_name_as_program |= risks.contains(&Risk::Program);
    }

    fn text_where(&self, is_wanted: impl Fn(Quoting) -> bool) -> String {
        let marks = self.marks.iter().filter(|mark| is_wanted(mark.quoting)).copied().collect();
        Word { marks, ..Word::default() }.literal()
    }
}

struct Lexer<'u> {
    units: &'u [Unit],
    index: usize,
    reading: Reading,
    word: Option<Word>,
    /// Whether a command is substituted inside the quotes that are open.
    is_substitution: bool,
    /// The command that words belong to.
    segment: usize,
    /// The commands around it.
    outer: Vec<Outer>,
    /// Whether the next word says where input comes from or output goes to.
    is_redirection: bool,
}

/// A command in which another one stands.
struct Outer {
    /// What ends the inner one.
    end: char,
    /// The command that goes on behind it, and the word in which the inner one stands; none: a new one begins.
    rest: Option<(usize, Option<Word>)>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        self.reading.segments.push(Vec::new());
        let mut quoting = Quoting::Bare;
        while let Some(unit) = self.next() {
            quoting = match (quoting, unit) {
                (Quoting::Bare, Unit::Character('#')) if self.word.is_none() => break,
                (Quoting::Bare, _) => self.bare(unit),
                (Quoting::Double, _) => self.double(unit),
                (_, Unit::Character('\'')) => self.close(unit),
                (_, _) => self.keep(unit, Quoting::Single),
            };
        }
        self.end_word();
        self.reading.is_open = quoting != Quoting::Bare || !self.outer.is_empty();
        // A quote at the end of a comment is none; blanks before a comment are not needed.
        let is_blank = |mark: &Mark| mark.quoting == Quoting::Syntax && mark.unit == Unit::Character(' ');
        while self.reading.marks.last().is_some_and(is_blank) {
            self.reading.marks.pop();
        }
    }

    fn bare(&mut self, unit: Unit) -> Quoting {
        match unit {
            Unit::Character(' ' | '\t') => {
                self.end_word();
                self.syntax(unit)
            }
            Unit::Character(quote @ ('\'' | '"')) => {
                self.word.get_or_insert_default();
                self.syntax(unit);
                self.is_substitution = false;
                return if quote == '"' { Quoting::Double } else { Quoting::Single };
            }
            Unit::Character('\\') => self.escape(|_| true),
            Unit::Character(operator @ ('|' | '&' | ';' | '(' | ')' | '`')) => {
                self.operator(operator);
                self.reading.needs_shell = true;
                self.syntax(unit)
            }
            Unit::Character('<' | '>') => {
                // The number of a descriptor is no word.
                let is_number = |word: &Word| {
                    word.marks
                        .iter()
                        .all(|mark| matches!(mark.unit, Unit::Character(c) if c.is_ascii_digit()))
                };
                self.word = self.word.take().filter(|word| !is_number(word) || word.is_substituted);
                self.end_word();
                self.is_redirection = true;
                self.reading.needs_shell = true;
                self.syntax(unit)
            }
            Unit::Character(character) => {
                let is_tilde = character == '~' && self.word.is_none();
                self.reading.needs_shell |= is_tilde || matches!(character, '*' | '?' | '[');
                self.keep(unit, Quoting::Bare);
            }
            Unit::Dollar => self.dollar(Quoting::Bare),
            Unit::Wildcard(_) => {
                self.keep(unit, Quoting::Bare);
            }
        }
        Quoting::Bare
    }

    fn operator(&mut self, operator: char) {
        let last = self.reading.marks.last().copied();
        let is_last = |unit, quoting| last == Some(Mark { unit: Unit::Character(unit), quoting });
        let is_behind_redirection = is_last('<', Quoting::Syntax) || is_last('>', Quoting::Syntax);
        let is_closed = self.outer.last().is_some_and(|outer| outer.end == operator);
        match operator {
            // `2>&1` and `>|` are one operator, and so is `&>`.
            '&' | '|' if is_behind_redirection => {}
            '&' if self.units.get(self.index) == Some(&Unit::Character('>')) => self.end_word(),
            ')' | '`' if is_closed => self.leave_command(),
            '`' => self.enter_command('`', true),
            '(' => {
                let is_dollar = last == Some(Mark { unit: Unit::Dollar, quoting: Quoting::Bare });
                self.enter_command(')', is_dollar || is_behind_redirection);
            }
            _ => {
                self.end_word();
                self.begin_command();
            }
        }
    }

    /// A command inside of another one; its output may be a part of a word.
    fn enter_command(&mut self, end: char, is_value: bool) {
        let rest = is_value.then(|| {
            let mut word = self.word.take().unwrap_or_default();
            word.is_substituted = true;
            (self.segment, Some(word))
        });
        self.end_word();
        self.outer.push(Outer { end, rest });
        self.begin_command();
    }

    fn leave_command(&mut self) {
        self.end_word();
        match self.outer.pop().and_then(|outer| outer.rest) {
            Some((segment, word)) => {
                self.segment = segment;
                self.word = word;
                self.is_redirection = false;
            }
            None => self.begin_command(),
        }
    }

    fn begin_command(&mut self) {
        self.reading.segments.push(Vec::new());
        self.segment = self.reading.segments.len() - 1;
        self.is_redirection = false;
    }

    fn double(&mut self, unit: Unit) -> Quoting {
        match unit {
            Unit::Character('"') => return self.close(unit),
            Unit::Character('\\') => {
                self.escape(|unit| {
                    matches!(unit, Unit::Dollar | Unit::Character('"' | '\\' | '`') | Unit::Wildcard(_))
                });
            }
            Unit::Character('`') => {
                self.reading.needs_shell = true;
                self.is_substitution = true;
                self.keep(unit, Quoting::Double);
            }
            Unit::Character(_) => {
                self.keep(unit, Quoting::Double);
            }
            Unit::Dollar => self.dollar(Quoting::Double),
            Unit::Wildcard(_) => {
                self.reading.has_unsafe_wildcard |= self.is_substitution;
                self.keep(unit, Quoting::Double);
            }
        }
        Quoting::Double
    }

    /// What stands behind a backslash, where that means something.
    fn escape(&mut self, is_escaped: impl Fn(Unit) -> bool) {
        match self.units.get(self.index).copied().filter(|unit| is_escaped(*unit)) {
            Some(unit) => {
                // The backslash was meant for what stands in the text, and would be taken for the name's first byte.
                self.reading.has_unsafe_wildcard |= matches!(unit, Unit::Wildcard(_));
                self.index += 1;
                self.syntax(Unit::Character('\\'));
                self.keep(unit, Quoting::Escaped);
            }
            None => {
                self.keep(Unit::Character('\\'), Quoting::Double);
            }
        }
    }

    /// A `$`: what follows decides whether it means anything.
    fn dollar(&mut self, quoting: Quoting) {
        let next = self.units.get(self.index).copied();
        let is_expansion = match next {
            Some(Unit::Character(character)) => {
                let is_parameter = character.is_ascii_digit() || matches!(character, '@' | '*' | '#');
                self.reading.reads_parameters |= is_parameter;
                // `$'…'` and `$"…"`.
                let is_quote = quoting == Quoting::Bare && matches!(character, '\'' | '"');
                self.reading.needs_bash |= is_quote;
                self.is_substitution |= quoting == Quoting::Double && matches!(character, '(' | '{');
                is_parameter
                    || is_quote
                    || character.is_ascii_alphabetic()
                    || matches!(character, '_' | '{' | '(' | '?' | '-' | '!')
            }
            Some(Unit::Dollar) => true,
            Some(Unit::Wildcard(_)) | None => false,
        };
        self.reading.needs_shell |= is_expansion;
        if is_expansion {
            self.keep(Unit::Dollar, quoting);
            if next == Some(Unit::Dollar) {
                // `$$` belongs together: the shell's own number.
                self.index += 1;
                self.keep(Unit::Dollar, quoting);
            }
        } else {
            self.syntax(Unit::Character('\\'));
            self.keep(Unit::Dollar, Quoting::Escaped);
        }
    }

    fn close(&mut self, unit: Unit) -> Quoting {
        self.syntax(unit);
        Quoting::Bare
    }

    fn keep(&mut self, unit: Unit, quoting: Quoting) -> Quoting {
        let mark = Mark { unit, quoting };
        self.reading.marks.push(mark);
        self.word.get_or_insert_default().marks.push(mark);
        quoting
    }

    fn syntax(&mut self, unit: Unit) {
        self.reading.marks.push(Mark { unit, quoting: Quoting::Syntax });
    }

    fn end_word(&mut self) {
        if let Some(mut word) = self.word.take() {
            word.is_redirected = std::mem::take(&mut self.is_redirection);
            self.reading.segments[self.segment].push(word);
        }
    }

    fn next(&mut self) -> Option<Unit> {
        let unit = self.units.get(self.index).copied();
        self.index += 1;
        unit
    }
}

/// `{a,b}` and `{1..9}`, which sh takes as they are.
fn has_braces(bare: &str) -> bool {
    let is_list = |inside: &str| inside.contains(',') || inside.contains("..");
    bare.split('{').skip(1).any(|rest| rest.split_once('}').is_some_and(|(inside, _)| is_list(inside)))
}
