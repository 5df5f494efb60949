//! Where a command hands a text to a shell: names must not get into it as text.

use std::ops::Range;

use super::interpreter::{Said, base, first_word, programs};
use crate::template::PLACEHOLDERS;

/// Programs that run the text after `-c` as shell commands and take further arguments for it; of `ksh93` the name is
/// `ksh`.
const SHELLS: &[&str] =
    &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "yash", "fish", "rbash", "csh", "tcsh"];

/// Programs that hand the text after `-c` or `--command` to a shell.
const WRAPPERS: &[&str] = &["su", "runuser", "flock", "sg"];

/// The options of ssh(1) that take a word.
pub const SSH_WORDS: &str = "BbcDEeFIiJLlmOopQRSWw";

/// Programs that hand all their words to a shell, behind so many other ones; the options that take a word, by their
/// letters; and the option with which no shell runs.
const JOINERS: &[(&str, usize, &str, &[&str])] = &[
    ("parallel", 0, "aCdEIjLlnNPsS", &[]),
    ("ssh", 1, SSH_WORDS, &[]),
    ("watch", 0, "nq", &["-x", "--exec"]),
];

/// Which argument of a command is text that a shell runs: one with a name, where several are.
///
/// A shell may stand behind `env`, `busybox`, `timeout`, `sudo` and the like, so every word is looked at.
pub fn text_of(arguments: &[Said<'_>]) -> Option<usize> {
    let places = arguments.iter().enumerate();
    let programs = places.filter_map(|(at, argument)| Some((at, base(argument.whole()?))));
    let text = programs.into_iter().find_map(|(at, program)| {
        if SHELLS.contains(&program) {
            after_shell(arguments, at + 1)
        } else if WRAPPERS.contains(&program) || (program == "script" && at == 0) {
            after_option(arguments, at + 1, 'c', "--command")
        } else if program == "env" {
            after_option(arguments, at + 1, 'S', "--split-string")
        } else {
            None
        }
    });
    text.or_else(|| joined_text(arguments))
}

/// Whether what stands behind the text reaches the shell as `"$1"` and so on.
pub fn takes_arguments(arguments: &[Said<'_>], text: usize) -> bool {
    let takes = |name: &str| SHELLS.contains(&name) || matches!(name, "su" | "runuser");
    let is_joined = joined_text(arguments) == Some(text);
    !is_joined && arguments[..text].iter().any(|word| word.whole().is_some_and(|word| takes(base(word))))
}

/// Whether a word is the name of a shell, with or without a path.
pub fn is_shell(word: &str) -> bool {
    SHELLS.contains(&base(word))
}

/// The first word after the options of a shell, if `-c` is one of them.
fn after_shell(arguments: &[Said<'_>], start: usize) -> Option<usize> {
    let mut has_text = false;
    let mut at = start;
    while let Some(argument) = arguments.get(at) {
        match argument.whole() {
            Some("--") => return has_text.then_some(at + 1).filter(|at| *at < arguments.len()),
            Some("--rcfile" | "--init-file") => at += 1,
            Some(long) if long.starts_with("--") => {}
            Some(short) if short.len() > 1 && short.starts_with(['-', '+']) => {
                has_text |= short.starts_with('-') && short.contains('c');
                // `-o` and `-O` take a word.
                at += usize::from(short.ends_with(['o', 'O']));
            }
            Some(_) | None => return has_text.then_some(at),
        }
        at += 1;
    }
    None
}

/// The word after one of these options, or joined to it.
fn after_option(arguments: &[Said<'_>], start: usize, letter: char, long: &str) -> Option<usize> {
    (start..arguments.len()).find_map(|at| {
        let argument = arguments[at];
        let is_short = |text: &str| text.starts_with('-') && !text.starts_with("--");
        let is_whole = |text: &str| text == long || (is_short(text) && text.ends_with(letter));
        if argument.whole().is_some_and(is_whole) {
            return Some(at + 1).filter(|at| *at < arguments.len());
        }
        let text = argument.text();
        let is_joined = text.strip_prefix(long).is_some_and(|rest| rest.starts_with('='))
            || text.strip_prefix('-').is_some_and(|rest| rest.starts_with(letter));
        is_joined.then_some(at)
    })
}

/// The first word with a name among those that become one text: without a name there is nothing to look for.
fn joined_text(arguments: &[Said<'_>]) -> Option<usize> {
    programs(arguments).into_iter().find_map(|program| {
        let name = base(arguments.get(program)?.whole()?);
        let (_, operands, letters, without) = JOINERS.iter().find(|(joiner, ..)| *joiner == name)?;
        let mut at = program + 1;
        for _ in 0..*operands {
            at = first_word(arguments, at, letters)? + 1;
        }
        let start = first_word(arguments, at, letters)?;
        let options = &arguments[program + 1..start];
        if options.iter().any(|option| option.whole().is_some_and(|option| without.contains(&option))) {
            return None;
        }
        // GNU parallel quotes what stands behind `:::`.
        let is_end = |word: &Said<'_>| name == "parallel" && word.text().starts_with(":::");
        let mut text = arguments.iter().enumerate().skip(start).take_while(|(_, word)| !is_end(word));
        text.find(|(_, word)| word.whole().is_none()).map(|(at, _)| at)
    })
}

/// Where a text names placeholders. `${path}` is a variable of the shell, and `{{path}}` an escape of ours.
pub fn placeholders(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices('{') {
        let is_other = text[..start].ends_with(['$', '{']);
        // Only as far as a name may reach: a text may have a hundred thousand braces.
        let is_named =
            |name: &str| text[start + 1..].strip_prefix(name).is_some_and(|behind| behind.starts_with('}'));
        if let Some((name, ..)) = PLACEHOLDERS.iter().find(|(name, ..)| !is_other && is_named(name)) {
            found.push((start..start + name.len() + 2, *name));
        }
    }
    found
}

/// A text with its placeholders replaced by what the shell itself expands, and which they were; none: one of them
/// has no such thing, or stands in single quotes, where nothing is expanded.
///
/// `expansion` gives what stands for the n-th different placeholder, without quotes.
pub fn with_expansions(
    text: &str,
    mut expansion: impl FnMut(usize, &'static str) -> Option<String>,
) -> Option<(String, Vec<&'static str>)> {
    let mut safe = String::with_capacity(text.len() + 16);
    let mut names = Vec::new();
    let mut quotes = Quotes::default();
    let mut end = 0;
    for (span, name) in placeholders(text) {
        safe.push_str(&text[end..span.start]);
        quotes.read(&text[end..span.start]);
        let index = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        let expanded = expansion(index, name)?;
        match quotes.open {
            Some('\'') => return None,
            Some(_) => safe.push_str(&expanded),
            None => safe.push_str(&format!("\"{expanded}\"")),
        }
        end = span.end;
    }
    safe.push_str(&text[end..]);
    Some((safe, names))
}

/// The quotes of a shell, read piece by piece.
#[derive(Default)]
struct Quotes {
    /// The one that is open.
    open: Option<char>,
    /// Whether the next character is taken as it is.
    is_escaped: bool,
}

impl Quotes {
    fn read(&mut self, text: &str) {
        for character in text.chars() {
            match (self.open, character) {
                _ if self.is_escaped => self.is_escaped = false,
                (None | Some('"'), '\\') => self.is_escaped = true,
                (None, '"' | '\'') => self.open = Some(character),
                (Some(quote), _) if quote == character => self.open = None,
                (None | Some(_), _) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(command: &[&'static str]) -> Option<usize> {
        let said = |word: &&'static str| match word.split_once('{') {
            Some((beginning, _)) => Said::Beginning(beginning),
            None => Said::Whole(word),
        };
        let arguments: Vec<Said<'_>> = command.iter().map(said).collect();
        text_of(&arguments)
    }

    #[test]
    fn the_text_of_a_shell_is_found_wherever_it_stands() {
        for (command, expected) in [
            (&["/bin/sh", "-c", "x"][..], Some(2)),
            (&["bash", "-lc", "{path}"], Some(2)),
            (&["/bin/bash", "-o", "pipefail", "-c", "x"], Some(4)),
            (&["/bin/bash", "-c", "-e", "x"], Some(3)),
            (&["/bin/bash", "--login", "-c", "x"], Some(3)),
            (&["/bin/bash", "-c", "--", "x"], Some(3)),
            (&["/usr/bin/env", "-i", "A=b", "sh", "-c", "x"], Some(5)),
            (&["/bin/busybox", "sh", "-c", "x"], Some(3)),
            (&["/usr/bin/timeout", "5", "/bin/dash", "-c", "x"], Some(4)),
            (&["/bin/su", "alice", "-c", "x"], Some(3)),
            (&["/sbin/runuser", "alice", "--command=x"], Some(2)),
            (&["/usr/bin/env", "-S", "sh -c x"], Some(2)),
            (&["/bin/sh", "script", "-c", "x"], None),
            (&["/bin/sh", "{path}", "-c", "x"], None),
            (&["/bin/sh", "-c"], None),
            (&["/bin/cp", "-c", "x"], None),
            (&["/usr/bin/ksh93", "-c", "{path}"], Some(2)),
            (&["/usr/bin/sg", "staff", "-c", "{path}"], Some(3)),
            (&["/usr/bin/su", "alice", "--command=x {path}"], Some(2)),
            (&["/usr/bin/su", "-", "alice", "-lc", "x {path}"], Some(4)),
            (&["/usr/bin/su", "{name}", "-c", "x {path}"], Some(3)),
            (&["/usr/bin/watch", "-n", "5", "ls", "{path}"], Some(4)),
            (&["/usr/bin/watch", "-x", "ls", "{path}"], None),
            (&["/usr/bin/ssh", "-p", "22", "{name}", "x {name}"], Some(4)),
            (&["/usr/bin/sudo", "-u", "u", "ssh", "host", "cat", "{path}"], Some(6)),
            (&["/usr/bin/ssh", "-i", "{path}", "host", "true"], None),
            (&["/usr/bin/parallel", "x {name}", ":::", "a"], Some(1)),
            (&["/usr/bin/parallel", "x", ":::", "{path}"], None),
            (&["/usr/bin/npm", "run", "watch", "{path}"], None),
        ] {
            assert_eq!(text(command), expected, "{command:?}");
        }
    }

    #[test]
    fn placeholders_are_told_from_what_the_shell_expands() {
        let names = |text| placeholders(text).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names("cp {path} ${path} {{path}} {a,b} {ptah} {name}"), ["path", "name"]);
    }

    #[test]
    fn the_safe_form_keeps_names_as_arguments() {
        let safe =
            |text| with_expansions(text, |index, _| Some(format!("${}", index + 1))).map(|(safe, _)| safe);
        assert_eq!(safe("cp {path} /x/{name} {path}"), Some("cp \"$1\" /x/\"$2\" \"$1\"".to_owned()));
        assert_eq!(safe("cp \"{path}\" /x"), Some("cp \"$1\" /x".to_owned()));
        assert_eq!(safe("cp '{path}' /x"), None);
    }
}
