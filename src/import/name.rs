//! Names for rules that nobody named: what a person would choose, from the path and the program.
//!
//! Stable: a name depends on its own line and on those before it, never on those after it.

use std::collections::BTreeMap;

use super::draft::{Draft, Run};
use super::program;

/// The longest part of a name, so that two of them and a number fit into 64 characters.
const PART_MAX: usize = 28;

/// The longest name that another part may be put before.
const LONG_MAX: usize = 60;

/// The names that are taken, each with the number that was last put behind it.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<String, u64>);

impl Names {
    /// Chooses a name and takes it: `in-script` for /srv/in and /usr/local/bin/script, then `srv-in-script`, then
    /// with a number.
    pub fn choose(&mut self, draft: &Draft) -> String {
        let mut components = draft.path.rsplit('/').map(part).filter(|component| !component.is_empty());
        let place = components.next().unwrap_or_else(|| "root".to_owned());
        let what = part(&subject(&draft.run));
        let short = if what.is_empty() || what == place { place } else { format!("{place}-{what}") };
        let long = components.next().map(|parent| format!("{parent}-{short}"));
        let long = long.filter(|long| long.len() <= LONG_MAX);
        let name = std::iter::once(short.clone()).chain(long).find(|name| !self.0.contains_key(name));
        let name = name.unwrap_or_else(|| self.number(&short));
        self.0.insert(name.clone(), 1);
        name
    }

    fn number(&mut self, short: &str) -> String {
        loop {
            let number = self.0.entry(short.to_owned()).or_insert(1);
            *number += 1;
            let name = format!("{short}-{number}");
            if !self.0.contains_key(&name) {
                return name;
            }
        }
    }
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

    #[test]
    fn a_name_is_what_a_person_would_choose() {
        let mut names = Names::default();
        for (path, command, expected) in [
            ("/srv/in", "/usr/local/bin/script fromFacron", "in-script"),
            ("/srv/in", "/usr/local/bin/script again", "srv-in-script"),
            ("/srv/in", "/usr/local/bin/script third", "in-script-2"),
            ("/etc/nginx", "/usr/sbin/nginx -s reload", "nginx"),
            ("/", "/bin/true", "root-true"),
            ("/mnt/done", "/usr/bin/sudo /bin/bash /usr/local/bin/organise.sh {dir}", "done-organise"),
            ("/srv/a b/", "/bin/echo x", "a-b-echo"),
            ("/home/é", "/bin/ü", "home"),
        ] {
            let words = command.split(' ').map(str::to_owned).collect();
            let draft = Draft::new(path.to_owned(), Run::Argv(words));
            assert_eq!(names.choose(&draft), expected, "{path} {command}");
        }
        let shell = ["/bin/sh", "-c", "cp \"$1\" /backup"].map(str::to_owned).into();
        assert_eq!(names.choose(&Draft::new("/srv/in".to_owned(), Run::Argv(shell))), "in-cp");
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
