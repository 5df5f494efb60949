//! Programs of classic commands: found along a PATH, and told apart by what they start.

use std::path::Path;

use crate::config::interpreter::Said;
use crate::config::shell;

use super::surroundings::{PlaceKind, Surroundings};

/// The PATH of a daemon that a service manager started.
pub const DAEMON_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Programs that only start another one; a rule is better named after that one.
pub const STARTERS: &[&str] = &[
    "sudo", "doas", "env", "nice", "ionice", "nohup", "setsid", "timeout", "flock", "sh", "bash", "dash",
    "ash", "ksh", "zsh", "busybox", "python", "python3", "perl", "ruby", "php", "node", "exec", "if", "test",
    "[",
];

/// The absolute path of a program without a slash, looked up along a PATH.
pub fn find(name: &str, path: &str, surroundings: &dyn Surroundings) -> Option<String> {
    let mut candidates = path.split(':').map(|directory| format!("{directory}/{name}"));
    candidates.find(|candidate| surroundings.is_program(Path::new(candidate)))
}

/// Which word of a command is shell text, whatever starts the shell.
pub fn shell_text(words: &[&str]) -> Option<usize> {
    let words: Vec<Said<'_>> = words.iter().copied().map(Said::Whole).collect();
    shell::text_of(&words)
}

/// Whether a directory stands at an absolute path, where a program was meant.
pub fn is_directory(path: &str, surroundings: &dyn Surroundings) -> bool {
    path.starts_with('/') && surroundings.place(Path::new(path)).kind == PlaceKind::Directory
}

/// Whether an absolute path names a file, as `/` and what ends in `..` do not.
pub fn is_name(path: &str) -> bool {
    Path::new(path).file_name().is_some()
}

/// What stands for itself as an argument of a rule: braces are doubled.
pub fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// The last component of a word.
pub fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}
