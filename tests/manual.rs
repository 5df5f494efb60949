//! What the program says and what its manual says is one truth: every table against its page, and mandoc's opinion.
#![expect(clippy::disallowed_methods, reason = "mandoc is asked")]

#[expect(dead_code, reason = "this test needs only a part of it")]
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::CommandFactory as _;
use facron::engine::{DropReason, START_FAILURES};
use facron::event::{EVENTS, SETS};
use facron::template::{CLASSIC_TOKENS, PLACEHOLDERS};
use facron::{codes, config, glob, rule};

fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
    fs::read_to_string(path).expect("the manual page is there")
}

/// The text from a heading to the next of its kind.
fn section<'p>(page: &'p str, kind: &str, title: &str) -> &'p str {
    let heading = format!("\n.{kind} {title}\n");
    let start = page.find(&heading).unwrap_or_else(|| panic!("there is no {title:?}")) + heading.len();
    let end = page[start..].find(&format!("\n.{kind} ")).or_else(|| page[start..].find("\n.Sh "));
    &page[start..end.map_or(page.len(), |end| start + end)]
}

/// The words behind `.It MACRO`, separated by blanks or commas.
fn items(text: &str, macro_name: &str) -> Vec<String> {
    let prefix = format!(".It {macro_name} ");
    let words = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    words.flat_map(|line| line.split([' ', ',']).filter(|word| !word.is_empty()).map(unescaped)).collect()
}

fn unescaped(word: &str) -> String {
    word.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")
}

fn set<'w>(words: impl IntoIterator<Item = &'w str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_key_stands_in_the_manual_once() {
    let page = page("facron.toml.5");
    let written = items(&page, "Ic");
    let known: Vec<String> = config::keys::KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(BTreeSet::from_iter(&written), BTreeSet::from_iter(&known));
    let count = |words: &[String], word: &str| words.iter().filter(|other| *other == word).count();
    for key in &known {
        assert_eq!(count(&written, key), count(&known, key), "{key}");
    }
}

#[test]
fn every_event_and_set_stands_in_the_manual() {
    let page = page("facron.toml.5");
    let written: BTreeSet<String> = items(section(&page, "Sh", "EVENTS"), "Li").into_iter().collect();
    let known = set(EVENTS.iter().map(|kind| kind.name).chain(SETS.iter().map(|set| set.name)));
    assert_eq!(written, known);
}

#[test]
fn every_placeholder_and_token_stands_in_the_manual() {
    let page = page("facron.toml.5");
    let written: BTreeSet<String> =
        items(section(&page, "Sh", "WHAT A COMMAND IS TOLD"), "Li").into_iter().collect();
    let placeholders: Vec<String> = PLACEHOLDERS.iter().map(|(name, ..)| format!("{{{name}}}")).collect();
    let known =
        set(CLASSIC_TOKENS.iter().map(|(name, ..)| *name).chain(placeholders.iter().map(String::as_str)));
    assert_eq!(written, known);
}

#[test]
fn every_other_table_of_words_stands_in_the_manual() {
    let rule_page = page("facron.toml.5");
    for (name, ..) in rule::RESOURCES {
        assert!(
            rule_page.contains(&format!("\n.Li {name} ,")) || rule_page.contains(&format!("\n.Li {name}\n")),
            "{name}"
        );
    }
    for name in glob::TEMPORARY {
        let name = name.replace('\\', "\\e");
        assert!(section(&rule_page, "Sh", "TEMPORARY FILES").contains(&name), "{name}");
    }
    let command_page = page("facron.8");
    let log = section(&command_page, "Sh", "LOG");
    for (name, ..) in START_FAILURES {
        assert!(log.contains(name), "not-started:{name} is not in the manual");
    }
    for reason in DropReason::ALL.iter().filter(|reason| **reason != DropReason::Itself) {
        assert!(log.contains(reason.as_str()), "{}", reason.as_str());
    }
}

#[test]
fn every_finding_stands_in_the_manual() {
    let page = page("facron.8");
    let written = items(section(&page, "Sh", "FINDINGS"), "Li");
    let known: Vec<String> = codes::CODES.iter().map(|code| code.name.to_owned()).collect();
    assert_eq!(written, known);
    let text = section(&page, "Sh", "FINDINGS").replace("\\-", "-");
    for code in codes::CODES {
        assert!(text.contains(code.title), "{}: {:?} is not in the manual", code.name, code.title);
    }
}

#[test]
fn every_subcommand_and_option_stands_in_the_manual() {
    let page = page("facron.8");
    let command = facron::cli::Cli::command();
    let commands = section(&page, "Sh", "COMMANDS");
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let name = subcommand.get_name();
        let titles = commands.lines().filter_map(|line| line.strip_prefix(".Ss facron "));
        let title = titles.clone().find(|title| title.split(", ").any(|word| word == name));
        let title = title.unwrap_or_else(|| panic!("facron {name} is not in the manual"));
        let text = section(&page, "Ss", &format!("facron {title}"));
        let written: BTreeSet<String> = items(text, "Fl")
            .into_iter()
            .filter_map(|word| word.strip_prefix('-').map(str::to_owned))
            .collect();
        let is_elsewhere = |long: &str| long == "color" || long == "help";
        let options = subcommand.get_arguments().filter(|option| !option.is_hide_set());
        let known: BTreeSet<String> = options
            .filter_map(|option| option.get_long())
            .filter(|long| !is_elsewhere(long))
            .map(str::to_owned)
            .collect();
        // What several subcommands share is said once, in a sentence.
        if title.contains(", ") || name == "import" {
            continue;
        }
        assert_eq!(written, known, "facron {name}");
    }
}

#[test]
fn mandoc_has_nothing_to_say() {
    let there = Command::new("mandoc").arg("-V").output().is_ok();
    if !common::require("mandoc_has_nothing_to_say", "mandoc", there) {
        return;
    }
    for entry in fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man")).expect("man/") {
        let path = entry.expect("man/").path();
        let output =
            Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(&path).output().expect("mandoc");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
