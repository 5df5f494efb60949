//! Programs that run others or read program text: the tables that lints and the importer share.
//!
//! Who asks decides how sure the answer must be: lints warn where it is likely, the importer refuses where it is
//! possible.

/// What is known of an argument before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// All of it.
    Whole(&'a str),
    /// What stands before a name in it.
    Beginning(&'a str),
}

impl<'a> Said<'a> {
    /// What is known.
    pub fn text(self) -> &'a str {
        match self {
            Said::Whole(text) | Said::Beginning(text) => text,
        }
    }

    /// The argument, where no name is in it.
    pub fn whole(self) -> Option<&'a str> {
        match self {
            Said::Whole(text) => Some(text),
            Said::Beginning(_) => None,
        }
    }

    fn is_option(self) -> bool {
        self.text().len() > 1 && self.text().starts_with('-')
    }
}

/// A program that reads a text of its own language.
#[derive(Debug)]
pub struct Interpreter {
    /// Without the number of a version.
    pub name: &'static str,
    /// Options behind which the text stands, by their letters.
    pub text: &'static str,
    /// The same, in their long form.
    pub long: &'static [&'static str],
    /// Options that take a word which is no text.
    pub word: &'static str,
}

/// Interpreters; shells stand in `shell`.
pub const INTERPRETERS: &[Interpreter] = &[
    interpreter("expect", "c", &[], "f"),
    interpreter("guile", "c", &[], "lL"),
    interpreter("lua", "e", &[], "l"),
    interpreter("mariadb", "e", &["--execute"], "uhPSD"),
    interpreter("mysql", "e", &["--execute"], "uhPSD"),
    interpreter("node", "ep", &["--eval", "--print"], "r"),
    interpreter("nodejs", "ep", &["--eval", "--print"], "r"),
    interpreter("perl", "eE", &[], "I"),
    interpreter("php", "rBRE", &["--run"], "dczt"),
    interpreter("psql", "c", &["--command"], "hpUdvPFRoL"),
    interpreter("pypy", "c", &[], "WX"),
    interpreter("python", "c", &[], "WX"),
    interpreter("ruby", "e", &[], "rIEC"),
    interpreter("Rscript", "e", &[], ""),
    interpreter("tclsh", "", &[], ""),
    interpreter("wish", "", &[], ""),
];

/// A program that runs the program that its words name.
#[derive(Debug)]
pub struct Runner {
    /// Its name.
    pub name: &'static str,
    /// How many words stand before the program.
    pub operands: usize,
    /// Options that take a word, by their letters.
    pub word: &'static str,
}

/// Programs and builtins of shells that run the program that their words name.
pub const RUNNERS: &[Runner] = &[
    runner("builtin", 0, ""),
    runner("busybox", 0, ""),
    runner("chroot", 1, ""),
    runner("chrt", 1, "TDP"),
    runner("command", 0, ""),
    runner("coproc", 0, ""),
    runner("doas", 0, "uCa"),
    runner("env", 0, "uC"),
    runner("exec", 0, "a"),
    runner("flock", 1, "wE"),
    runner("ionice", 0, "cnpPu"),
    runner("ld-linux-x86-64.so", 0, ""),
    runner("ltrace", 0, "aAeFlnoSuwxX"),
    runner("nice", 0, "n"),
    runner("nohup", 0, ""),
    runner("nsenter", 0, "tSG"),
    runner("prlimit", 0, ""),
    runner("runuser", 0, "ugGw"),
    runner("setpriv", 0, ""),
    runner("setsid", 0, ""),
    runner("setuidgid", 1, ""),
    runner("stdbuf", 0, "ioe"),
    runner("strace", 0, "aebEIoOpPsSuX"),
    runner("sudo", 0, "aCcDgHhpRrTtUu"),
    runner("systemd-cat", 0, "tp"),
    runner("systemd-inhibit", 0, ""),
    runner("systemd-run", 0, "HMpuE"),
    runner("taskset", 1, ""),
    runner("time", 0, "fo"),
    runner("timeout", 1, "ks"),
    runner("unshare", 0, "RwSG"),
    runner("valgrind", 0, ""),
    runner("xargs", 0, "adEILnPs"),
];

/// Variables by which a shell or the loader runs something before the program.
const DANGEROUS: &[&str] =
    &["BASH_ENV", "ENV", "LD_PRELOAD", "LD_AUDIT", "SHELLOPTS", "PS4", "PERL5OPT", "PYTHONSTARTUP"];

/// Whether what a variable says is run before the program.
pub fn is_dangerous_variable(name: &str) -> bool {
    DANGEROUS.contains(&name) || name.starts_with("BASH_FUNC_")
}

/// The last component of a program, without the number of a version: `python` for /usr/bin/python3.11.
pub fn base(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    match name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "" => name,
        base => base,
    }
}

/// The interpreter of this name.
pub fn interpreter_of(program: &str) -> Option<&'static Interpreter> {
    INTERPRETERS.iter().find(|interpreter| interpreter.name == base(program))
}

/// Where the programs of a command stand: the first word, and what it and the next ones only start.
pub fn programs(words: &[Said<'_>]) -> Vec<usize> {
    let mut found = vec![0];
    let mut at = 0;
    while let Some(runner) = words.get(at).and_then(|word| runner_of(word.whole()?)) {
        let Some(next) = program_of(runner, words, at + 1) else { break };
        found.push(next);
        at = next;
    }
    found
}

/// The program of this name that runs another one.
pub fn runner_of(program: &str) -> Option<&'static Runner> {
    RUNNERS.iter().find(|runner| runner.name == base(program))
}

/// Whether a word is `NAME=value`.
pub fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    })
}

/// Where the words of an option that takes one stand, and of options that bring their own.
pub fn takes_word(option: &str, letters: &str) -> bool {
    let is_short = option.len() > 1 && option.starts_with('-') && !option.starts_with("--");
    is_short && option.ends_with(|letter| letters.contains(letter))
}

/// Where the words begin that are no options, nor belong to one.
pub fn first_word(words: &[Said<'_>], start: usize, letters: &str) -> Option<usize> {
    let mut at = start;
    while let Some(word) = words.get(at) {
        match word.whole() {
            Some("--") => return Some(at + 1).filter(|at| *at < words.len()),
            Some(option) if takes_word(option, letters) => at += 1,
            _ if word.is_option() => {}
            Some(_) | None => return Some(at),
        }
        at += 1;
    }
    None
}

fn program_of(runner: &Runner, words: &[Said<'_>], start: usize) -> Option<usize> {
    let mut at = start;
    for _ in 0..runner.operands {
        at = first_word(words, at, runner.word)? + 1;
    }
    at = first_word(words, at, runner.word)?;
    while is_assignment(words.get(at)?.text()) {
        at += 1;
    }
    Some(at)
}

const fn interpreter(
    name: &'static str,
    text: &'static str,
    long: &'static [&'static str],
    word: &'static str,
) -> Interpreter {
    Interpreter { name, text, long, word }
}

const fn runner(name: &'static str, operands: usize, word: &'static str) -> Runner {
    Runner { name, operands, word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_behind_what_starts_it() {
        for (command, expected) in [
            ("cp a", &[0][..]),
            ("sudo -u alice nice -n 5 cp a", &[0, 3, 6]),
            ("timeout -k 5 10 env A=b sh", &[0, 4, 6]),
            ("flock -n /lock cp a", &[0, 3]),
            ("env -i", &[0]),
            ("exec -a x y", &[0, 3]),
        ] {
            let words: Vec<Said<'_>> = command.split(' ').map(Said::Whole).collect();
            assert_eq!(programs(&words), expected, "{command}");
        }
    }

    #[test]
    fn the_number_of_a_version_is_no_part_of_a_name() {
        for (program, name) in [("/usr/bin/python3.11", "python"), ("ksh93", "ksh"), ("/x/7", "7")] {
            assert_eq!(base(program), name);
        }
    }
}
