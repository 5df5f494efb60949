//! Programs of classic commands: found along a PATH, and told apart where they read shell text.

use std::path::Path;

use super::Surroundings;

/// The PATH of a daemon that a service manager started.
pub const DAEMON_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Shells: what stands behind their `-c` is shell text.
pub const SHELLS: &[&str] =
    &["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "busybox", "csh", "tcsh"];

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

/// Which word of a command is shell text: the one behind the `-c` of a shell, whatever starts the shell.
pub fn shell_text(words: &[&str]) -> Option<usize> {
    let shell = words.iter().position(|word| SHELLS.contains(&base(word)))?;
    let is_option = |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.contains('c');
    let option = words[shell + 1..].iter().position(is_option)?;
    // Options may stand between `-c` and its text; `--` ends them.
    let first = shell + option + 2;
    let text = words[first..].iter().position(|word| !word.starts_with(['-', '+']))?;
    Some(first + text)
}

/// The last component of a word.
pub fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_shell_is_found_behind_its_option() {
        for (words, expected) in [
            (&["/bin/sh", "-c", "x"][..], Some(2)),
            (&["sudo", "-u", "a", "bash", "-lc", "x", "y"], Some(5)),
            (&["/bin/sh", "-e", "-c", "--", "x"], Some(4)),
            (&["/bin/sh", "script", "x"], None),
            (&["/bin/sh", "-c"], None),
            (&["/bin/echo", "-c", "x"], None),
            (&[], None),
        ] {
            assert_eq!(shell_text(words), expected, "{words:?}");
        }
    }
}
