//! What checking ten thousand rules takes: the budget is a second and 64 MiB.
//!
//! `cargo bench --bench check [RULES]`; the rules watch files, directories and trees that are there and start programs
//! that are there, as those of a large machine would. Prints a line for each kind of rule files: without a flaw, with a
//! warning in every rule, with a mistake in every rule, and with rules that all write where others watch.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench reads clocks and starts processes")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// A file takes at most 1 MiB.
const RULES_IN_A_FILE: usize = 2_000;

/// The best of several counts, since others use the machine too.
const MEASUREMENTS: usize = 5;

/// Different programs.
const PROGRAMS: usize = 300;

/// What every rule of some rule files has more.
const KINDS: &[(&str, &str)] = &[
    ("without a flaw", ""),
    ("a warning in every rule", "max-wait = \"5s\"\n"),
    ("a mistake in every rule", "debonce = \"5s\"\n"),
    (
        "writing where others watch",
        "ignore-self = false\non-failure = [\"/usr/bin/cp\", \"{path}\", \"NEXT\"]\n",
    ),
];

fn main() {
    let rules = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let directory = tempfile::tempdir().expect("a directory");
    let programs = programs();
    println!("{rules} rules, {} programs, best of {MEASUREMENTS}", programs.len());
    for (what, more) in KINDS {
        let folder = directory.path().join("rules.d");
        fs::create_dir(&folder).expect("a folder");
        let bytes = write_rules(directory.path(), &folder, rules, &programs, more);
        println!("{what}, {} KiB:", bytes >> 10);
        for format in ["text", "json", "sarif"] {
            measure(&folder, format);
        }
        fs::remove_dir_all(&folder).expect("removed");
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    println!("most memory of all of them: {} MiB", usage.max_rss() >> 10);
}

fn measure(folder: &Path, format: &str) {
    let (mut best, mut cpu) = (Duration::MAX, 0.0);
    for _ in 0..MEASUREMENTS {
        let cpu_before = cpu_seconds();
        let before = Instant::now();
        let status = Command::new(env!("CARGO_BIN_EXE_facron"))
            .args(["check", "--format", format, "-c"])
            .arg(folder)
            .stdout(Stdio::null())
            .status()
            .expect("facron starts");
        let took = before.elapsed();
        assert!(status.code().is_some_and(|code| code < 2), "{status}");
        if took < best {
            (best, cpu) = (took, cpu_seconds() - cpu_before);
        }
    }
    println!("  {format}: {:.2} s, CPU {cpu:.2} s", best.as_secs_f64());
}

/// Seconds of CPU time of all children so far.
fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .sum()
}

/// Programs that are there, and that take a path for what it is.
fn programs() -> Vec<String> {
    let entries = fs::read_dir("/usr/bin").expect("/usr/bin").flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        .filter(|name| !["awk", "sed", "jq"].iter().any(|reader| name.contains(reader)))
        .collect();
    names.sort();
    names.truncate(PROGRAMS);
    names
}

/// Writes the rule files and what they watch; gives the bytes of the rule files.
fn write_rules(root: &Path, folder: &Path, rules: usize, programs: &[String], more: &str) -> usize {
    let directory = |index: usize| format!("{}/srv/{:03}/app-{index}", root.display(), index % 500);
    let mut bytes = 0;
    for (number, start) in (0..rules).step_by(RULES_IN_A_FILE).enumerate() {
        let mut text = "[defaults]\ntimeout = \"10m\"\n".to_owned();
        for index in start..rules.min(start + RULES_IN_A_FILE) {
            let (path, program) = (directory(index), &programs[index % programs.len()]);
            fs::create_dir_all(&path).expect("a directory");
            fs::write(format!("{path}/app.conf"), "").expect("a file");
            let watched = match index % 4 {
                0 => format!("path = \"{path}/app.conf\"\n"),
                1 => format!("path = \"{path}\"\ninclude = [\"*.conf\", \"*.ini\"]\n"),
                2 => format!("path = \"{path}\"\nscope = \"tree\"\nexclude = [\".git/\", \"@temporary\"]\n"),
                _ => format!("path = [\"{path}\", \"/etc\"]\non = [\"close-write\", \"moved-to\"]\n"),
            };
            let command = match index % 4 {
                3 => format!("shell = 'cp -- \"$1\" /var/backups/{index} && {program} \"$1\"'\n"),
                _ => {
                    format!("command = [\"/usr/bin/{program}\", \"--quiet\", \"{{path}}\", \"{{events}}\"]\n")
                }
            };
            let more = more.replace("NEXT", &directory((index + 1) % rules));
            write!(text, "\n[[rule]]\nname = \"app-{index}\"\n{watched}{command}{more}").expect("a string");
        }
        bytes += text.len();
        fs::write(folder.join(format!("{number:02}.toml")), text).expect("a rule file");
    }
    bytes
}
