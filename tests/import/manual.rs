//! The manual says what the program says.

use crate::corpus;
use clap::CommandFactory as _;
use facron::diagnostic::Severity;
use facron::import::{CODES, Dialect, Owner};

const MANUAL: &str = include_str!("../../man/facron-import.7");

/// What a reader sees, as far as these tests look.
fn shown(text: &str) -> String {
    text.replace("\\(ga", "`")
        .replace("\\(ti", "~")
        .replace("\\-", "-")
        .replace("\\(dq", "\"")
        .replace("\\e", "\\")
}

#[test]
fn every_option_is_in_the_manual() {
    let command = facron::cli::Cli::command();
    let import = command.find_subcommand("import").expect("there is one");
    let manual = shown(MANUAL);
    let mut count = 0;
    for option in import.get_arguments().filter_map(|argument| argument.get_long()) {
        count += 1;
        let is_there =
            manual.lines().any(|line| line.starts_with(".It") && line.contains(&format!("-{option}")));
        assert!(is_there, "--{option} has no entry");
    }
    assert!(count >= 9, "{count}");
}

#[test]
fn every_code_is_in_the_manual_as_the_table_has_it() {
    let manual = shown(MANUAL);
    for code in CODES {
        let severity = match code.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let entry = format!(".It Li {} Pq {severity}\n{}\n", code.name, code.title);
        assert!(manual.contains(&entry), "{entry}");
    }
    assert_eq!(manual.matches(".It Li I").count(), CODES.len() + manual.matches(".It Li IN_").count());
}

#[test]
fn the_rule_of_the_manual_is_what_its_line_becomes() {
    let line = "/srv/in FAN_CLOSE|FAN_EVENT_ON_CHILD /usr/local/bin/script $$";
    let manual = shown(MANUAL);
    assert!(manual.contains(&format!("\n# {line}\n")));
    let import = corpus::import(line.as_bytes(), Dialect::Facron, Owner::System);
    let rule = import.toml.split("[[rule]]").nth(1).expect("a rule").trim();
    assert!(manual.contains(rule), "{rule}");

    let (line, text) = ("/etc/ IN_CLOSE_WRITE echo $@/$# | logger", "shell = 'echo \"$1\" | logger'");
    assert!(manual.contains(&format!("\n{line}\n\n{text}\n")));
    let import = corpus::import(line.as_bytes(), Dialect::Incron, Owner::System);
    assert!(import.toml.contains(text), "{}", import.toml);
}

/// Where the tests of the corpora depart from what the corpora propose, the list of differences says why.
#[test]
fn every_departure_is_in_the_list_of_differences() {
    let differences = include_str!("../classic/DIFFERENCES.md");
    for id in crate::classic_facron::departures().chain(crate::classic_incron::departures()) {
        assert!(differences.contains(id), "{id}");
    }
    for code in
        differences.split(['|', ' ', ',', '(', ')']).filter(|word| word.len() == 4 && word.starts_with('I'))
    {
        let is_row = code[1..].bytes().all(|byte| byte.is_ascii_digit());
        let is_code = CODES.iter().any(|row| row.name == code);
        let is_line = include_str!("../classic/incron.tsv").contains(&format!("\n{code}\t"));
        assert!(!is_row || is_code || is_line, "{code}");
    }
}
