//! Where a program would take a file's name for more than a name: for an option, or for the text of a program.
//! Shells have a module of their own: there it is an error.

use super::shell;
use crate::template::Template;

/// Interpreters and the options behind which the text of a program stands.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("expect", &["-c"]),
    ("lua", &["-e"]),
    ("node", &["-e", "-p", "--eval", "--print"]),
    ("perl", &["-e", "-E"]),
    ("php", &["-r"]),
    ("python", &["-c"]),
    ("python3", &["-c"]),
    ("ruby", &["-e"]),
];

/// Programs whose first argument that is no option is the text of a program.
const TEXT_FIRST: &[&str] = &["awk", "gawk", "mawk", "sed", "jq"];

/// Options of these that name a file of text, or bring the text with them.
const LONG_TEXTS: &[&str] = &["--expression=", "--file=", "--from-file=", "--source="];

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
    let literals: Vec<Option<&str>> = arguments.iter().map(Template::as_literal).collect();
    // What stands behind the text of a shell becomes `$1` and so on, which is no option of anything.
    let end = shell::text_of(&literals).unwrap_or(arguments.len());
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
    if let Some((_, options)) = INTERPRETERS.iter().find(|(interpreter, _)| *interpreter == name) {
        let at = (1..arguments.len()).find(|at| literal(*at).is_some_and(|word| options.contains(&word)))?;
        return Some(at + 1).filter(|at| *at < arguments.len());
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
        ] {
            assert_eq!(as_program_text(&templates(words)), expected, "{words:?}");
        }
    }
}
