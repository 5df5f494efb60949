//! Names for rules that nobody named: what a person would choose, from the path and the program.
//!
//! Stable: a name depends on its own line and on those before it, never on those after it.

use std::collections::BTreeMap;

use super::draft::{Draft, Run};
use super::program;

/// The longest part of a name, so that two of them and a number fit into a name.
const PART_MAX: usize = 28;

/// The longest name that is made of more.
const NAME_MAX: usize = 60;

/// The names that are taken, each with its path and the number that was last put behind it.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<String, Taken>);

#[derive(Debug)]
struct Taken {
    path: String,
    number: u64,
}

impl Names {
    /// Chooses a name and takes it: `in-script` for /srv/in and /usr/local/bin/script; then `in-script-delete` by
    /// the event, or for another path `other-in-script` by the directory above; then with a number.
    pub fn choose(&mut self, draft: &Draft) -> String {
        let mut components = draft.path.rsplit('/').map(part).filter(|component| !component.is_empty());
        let place = components.next().unwrap_or_else(|| "root".to_owned());
        let what = part(&subject(&draft.run));
        let short = if what.is_empty() || what == place { place } else { format!("{place}-{what}") };
        let name = match self.0.get(&short) {
            None => short,
            Some(taken) => {
                let longer = if taken.path == draft.path {
                    only_event(draft).map(|event| format!("{short}-{event}"))
                } else {
                    components.next().map(|parent| format!("{parent}-{short}"))
                };
                let is_free = |name: &String| name.len() <= NAME_MAX && !self.0.contains_key(name);
                longer.filter(is_free).unwrap_or_else(|| self.number(&short))
            }
        };
        self.0.insert(name.clone(), Taken { path: draft.path.clone(), number: 1 });
        name
    }

    /// The first name with a number that is free; `short` is taken.
    fn number(&mut self, short: &str) -> String {
        let mut number = self.0.get(short).map_or(1, |taken| taken.number);
        let name = loop {
            number += 1;
            let name = format!("{short}-{number}");
            if !self.0.contains_key(&name) {
                break name;
            }
        };
        if let Some(taken) = self.0.get_mut(short) {
            taken.number = number;
        }
        name
    }
}

/// The event of a rule that asks for one alone.
fn only_event(draft: &Draft) -> Option<&'static str> {
    let [events] = draft.on.as_slice() else { return None };
    let mut kinds = events.kinds();
    kinds.next().filter(|_| kinds.next().is_none()).map(|kind| kind.name)
}

/// What the command is about, without what only starts it: the script of `sudo bash /usr/local/bin/organise.sh`.
fn subject(run: &Run) -> String {
    let words: Vec<&str> = match run {
        Run::Argv(arguments) => arguments.iter().map(String::as_str).collect(),
        Run::Shell(text) => text.split_ascii_whitespace().collect(),
    };
    let text_of_shell = program::shell_text(&words).map(|index| words[index]);
    let words: Vec<&str> = match text_of_shell {
        Some(text) => text.split_ascii_whitespace().collect(),
        None => words,
    };
    let is_subject = |word: &&&str| {
        let base = program::base(word);
        !word.starts_with('-') && !word.contains('=') && !program::STARTERS.contains(&base)
    };
    let word = words.iter().find(is_subject).or(words.first()).copied().unwrap_or_default();
    let base = program::base(word);
    match base.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => base.to_owned(),
    }
}

/// A text as a part of a name: what a name may not hold becomes `-`.
fn part(text: &str) -> String {
    let mut part = String::new();
    for character in text.chars() {
        let is_allowed = character.is_ascii_alphanumeric() || matches!(character, '.' | '_');
        match (is_allowed, part.ends_with('-')) {
            (true, _) => part.push(character),
            (false, false) => part.push('-'),
            (false, true) => {}
        }
    }
    let trimmed = part.trim_matches(['-', '.']);
    let end = trimmed.len().min(PART_MAX);
    trimmed[..end].trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventMask;

    #[test]
    fn a_name_is_what_a_person_would_choose() {
        let mut names = Names::default();
        for (path, command, expected) in [
            ("/srv/in", "/usr/local/bin/script fromFacron", "in-script"),
            ("/srv/in", "/usr/local/bin/script again", "in-script-modify"),
            ("/srv/in", "/usr/local/bin/script third", "in-script-2"),
            ("/srv/in", "/usr/local/bin/script fourth", "in-script-3"),
            ("/mnt/in", "/usr/local/bin/script", "mnt-in-script"),
            ("/etc/nginx", "/usr/sbin/nginx -s reload", "nginx"),
            ("/", "/bin/true", "root-true"),
            ("/mnt/done", "/usr/bin/sudo /bin/bash /usr/local/bin/organise.sh {dir}", "done-organise"),
            ("/srv/a b/", "/bin/echo x", "a-b-echo"),
            ("/home/é", "/bin/ü", "home"),
        ] {
            let words = command.split(' ').map(str::to_owned).collect();
            let mut draft = Draft::new(path.to_owned(), Run::Argv(words));
            draft.on = vec![EventMask::MODIFY];
            assert_eq!(names.choose(&draft), expected, "{path} {command}");
        }
        let shell = ["/bin/sh", "-c", "cp \"$1\" /backup"].map(str::to_owned).into();
        let draft = Draft::new("/srv/in".to_owned(), Run::Argv(shell));
        assert_eq!(names.choose(&draft), "in-cp");
    }

    #[test]
    fn no_path_makes_a_name_that_is_refused() {
        let mut names = Names::default();
        for path in ["/".to_owned() + &"x".repeat(300), "/…/-.-/--".to_owned(), "/..a/.".to_owned()] {
            for _ in 0..12 {
                let draft = Draft::new(path.clone(), Run::Argv(vec!["/bin/".to_owned() + &"y".repeat(300)]));
                let name = names.choose(&draft);
                let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                assert!((1..=64).contains(&name.len()) && name.bytes().all(is_allowed), "{name}");
            }
        }
    }
}
