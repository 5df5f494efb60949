//! Where a command hands a text to a shell: names must not get into it as text.

use crate::template::PLACEHOLDERS;
use std::ops::Range;
use std::path::Path;

/// Programs that run the text after `-c` as shell commands and take further arguments for it.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "yash", "fish", "rbash"];

/// Programs that hand the text after `-c` or `--command` to a shell.
const WRAPPERS: &[&str] = &["su", "runuser", "flock"];

/// Which argument of a command is text that a shell runs. Arguments that are not literal are none.
///
/// A shell may stand behind `env`, `busybox`, `timeout`, `sudo` and the like, so every word is looked at.
pub fn text_of(arguments: &[Option<&str>]) -> Option<usize> {
    let places = arguments.iter().enumerate();
    places.filter_map(|(at, argument)| Some((at, file_name((*argument)?)))).find_map(|(at, program)| {
        if SHELLS.contains(&program) {
            after_shell(arguments, at + 1)
        } else if WRAPPERS.contains(&program) || (program == "script" && at == 0) {
            after_option(arguments, at + 1, &["-c", "--command"])
        } else if program == "env" {
            after_option(arguments, at + 1, &["-S", "--split-string"])
        } else {
            None
        }
    })
}

/// Whether a word is the name of a shell, with or without a path.
pub fn is_shell(word: &str) -> bool {
    SHELLS.contains(&file_name(word))
}

fn file_name(word: &str) -> &str {
    Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or(word)
}

/// The first word after the options of a shell, if `-c` is one of them.
fn after_shell(arguments: &[Option<&str>], start: usize) -> Option<usize> {
    let mut has_text = false;
    let mut at = start;
    while let Some(argument) = arguments.get(at) {
        match argument {
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
fn after_option(arguments: &[Option<&str>], start: usize, options: &[&str]) -> Option<usize> {
    (start..arguments.len()).find_map(|at| {
        let argument = arguments[at]?;
        if options.contains(&argument) {
            return Some(at + 1).filter(|at| *at < arguments.len());
        }
        let is_joined = options.iter().any(|option| {
            argument
                .strip_prefix(option)
                .is_some_and(|rest| !option.starts_with("--") || rest.starts_with('='))
        });
        is_joined.then_some(at)
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

    fn text(command: &[&str]) -> Option<usize> {
        let arguments: Vec<_> = command.iter().map(|word| (!word.contains('{')).then_some(*word)).collect();
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
