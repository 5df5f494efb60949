//! Where a program would take a file's name for more than a name: for an option, or for the text of a program.
//! Shells have a module of their own: there it is an error.

use super::interpreter::{Said, interpreter_of, takes_word};
use super::shell;
use crate::template::Template;

/// Programs whose first argument that is no option is the text of a program.
const TEXT_FIRST: &[&str] = &["awk", "gawk", "mawk", "sed", "jq"];

/// Options of these that name a file of text, or bring the text with them.
const LONG_TEXTS: &[&str] = &["--expression=", "--file=", "--from-file=", "--source="];

/// What is known of the arguments of a command before its run.
pub fn said(arguments: &[Template]) -> Vec<Said<'_>> {
    let said = |argument| match Template::as_literal(argument) {
        Some(text) => Said::Whole(text),
        None => Said::Beginning(argument.beginning()),
    };
    arguments.iter().map(said).collect()
}

/// The last component of the program of a command.
pub fn program_name(arguments: &[Template]) -> &str {
    let program = arguments.first().and_then(Template::as_literal).unwrap_or_default();
    program.rsplit('/').next().unwrap_or_default()
}

/// The first argument that the program would take for an option if a file had the right name.
pub fn as_option(arguments: &[Template]) -> Option<usize> {
    // To echo an option is a word, but for `-n`, `-e` and `-E`, which only change how it says the others.
    if program_name(arguments) == "echo" {
        return None;
    }
    // What stands behind the text of a shell becomes `$1` and so on, which is no option of anything.
    let end = shell::text_of(&said(arguments)).unwrap_or(arguments.len());
    let mut words = arguments.iter().enumerate().take(end).skip(1);
    let is_end_or_name =
        |argument: &Template| argument.as_literal() == Some("--") || argument.may_begin_with_dash();
    let (at, argument) = words.find(|(_, argument)| is_end_or_name(argument))?;
    argument.may_begin_with_dash().then_some(at)
}

/// The argument that an interpreter would run as a program, if a name stands in it.
pub fn as_program_text(arguments: &[Template]) -> Option<usize> {
    let at = text_of_program(arguments)?;
    arguments[at].as_literal().is_none().then_some(at)
}

/// Which argument an interpreter runs as a program.
fn text_of_program(arguments: &[Template]) -> Option<usize> {
    let name = program_name(arguments);
    let literal = |at: usize| arguments.get(at).and_then(Template::as_literal);
    if let Some(interpreter) = interpreter_of(name) {
        let is_option = |word: &str| interpreter.long.contains(&word) || takes_word(word, interpreter.text);
        let is_joined = |word: &str| {
            let is_short = |rest: &str| rest.starts_with(|letter| interpreter.text.contains(letter));
            let is_long = |long: &&str| word.strip_prefix(long).is_some_and(|rest| rest.starts_with('='));
            word.strip_prefix('-').is_some_and(is_short) || interpreter.long.iter().any(is_long)
        };
        return (1..arguments.len()).find_map(|at| match literal(at) {
            Some(word) if is_option(word) => Some(at + 1).filter(|at| *at < arguments.len()),
            Some(_) => None,
            None => is_joined(arguments[at].beginning()).then_some(at),
        });
    }
    if TEXT_FIRST.contains(&name) {
        // The options of awk that take a word: a variable, and what stands between fields.
        let is_of_option = |at: usize| matches!(literal(at - 1), Some("-v" | "-F"));
        let is_option = |at: usize| literal(at).is_some_and(|word| word.starts_with('-'));
        let at = (1..arguments.len()).find(|at| !is_option(*at) && !is_of_option(*at))?;
        return Some(at).filter(|at| !(1..*at).filter_map(literal).any(brings_text));
    }
    None
}

/// Whether an option of awk, sed or jq says where the text is: `-f`, which a file follows, `-fFILE`, `-eTEXT`.
fn brings_text(option: &str) -> bool {
    let is_joined = || {
        let letter = option.find(['e', 'f']);
        !option.starts_with("--") && letter.is_some_and(|at| at + 1 < option.len())
    };
    option == "-f" || LONG_TEXTS.iter().any(|long| option.starts_with(long)) || is_joined()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(words: &[&str]) -> Vec<Template> {
        words.iter().map(|word| Template::parse(word).expect("an argument")).collect()
    }

    #[test]
    fn a_name_at_the_beginning_of_an_argument_could_be_an_option() {
        for (words, expected) in [
            (&["/bin/rm", "{name}"][..], Some(1)),
            (&["/bin/rm", "-v", "$#"], Some(2)),
            (&["/bin/rm", "--", "{name}"], None),
            (&["/bin/rm", "{path}", "x{name}"], None),
            (&["/bin/echo", "{name}"], None),
            (&["/bin/sh", "-c", "true", "{name}"], None),
        ] {
            assert_eq!(as_option(&templates(words)), expected, "{words:?}");
        }
    }

    #[test]
    fn a_name_in_the_text_of_a_program_is_found() {
        for (words, expected) in [
            (&["/usr/bin/perl", "-e", "print {name}"][..], Some(2)),
            (&["/usr/bin/perl", "-e", "print @ARGV", "{name}"], None),
            (&["/usr/bin/sed", "-n", "s/x/{name}/p", "/f"], Some(2)),
            (&["/usr/bin/sed", "-n", "p", "{path}"], None),
            (&["/usr/bin/sed", "-e", "p", "{path}"], None),
            (&["/usr/bin/sed", "-es/x/y/", "{path}"], None),
            (&["/usr/bin/sed", "--expression=p", "{path}"], None),
            (&["/usr/bin/awk", "-f", "{path}"], None),
            (&["/usr/bin/awk", "-f/srv/prog.awk", "{path}"], None),
            (&["/usr/bin/awk", "-v", "n={name}", "{{ print n }}"], None),
            (&["/usr/bin/awk", "-v", "n=1", "{name}"], Some(3)),
            (&["/usr/bin/logger", "-e", "{name}"], None),
            (&["/usr/bin/python3.11", "-c", "print('{name}')"], Some(2)),
            (&["/usr/bin/python3", "-Ic", "print('{name}')"], Some(2)),
            (&["/usr/bin/perl", "-lne", "print '{name}'"], Some(2)),
            (&["/usr/bin/perl", "-eprint '{name}'"], Some(1)),
            (&["/usr/bin/mysql", "-e", "select '{name}'"], Some(2)),
            (&["/usr/bin/mysql", "--execute=select '{name}'"], Some(1)),
            (&["/usr/bin/python3", "/srv/x.py", "{path}"], None),
        ] {
            assert_eq!(as_program_text(&templates(words)), expected, "{words:?}");
        }
    }
}
