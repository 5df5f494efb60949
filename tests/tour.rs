//! The tour of the README, gone by the real binary: what it shows is what the program says.

mod common;
#[expect(dead_code, reason = "this test needs only a part of it")]
#[path = "common/daemon.rs"]
mod harness;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{Place, facron, wait_until};

/// What the tour watches and runs.
const WATCHED: &str = "/srv/pictures";
const PROGRAM: &str = "/usr/local/bin/thumbnail";

/// The blocks of the tour in one language, without their fences.
fn blocks(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README");
    let (_, tour) = readme.split_once("\n## A tour\n").expect("README has a tour");
    let (tour, _) = tour.split_once("\n## ").expect("and more behind it");
    let begin = format!("```{language}\n");
    tour.split(begin.as_str())
        .skip(1)
        .map(|rest| rest.split("\n```").next().expect("a block").to_owned())
        .collect()
}

/// What the README shows of a command, behind its first line.
fn shown(command: &str) -> String {
    let block = blocks("text").into_iter().find(|block| block.starts_with(command));
    let block = block.unwrap_or_else(|| panic!("the tour does not show `{command}`"));
    block.split_once('\n').expect("some output").1.to_owned()
}

/// The same text wherever and whenever it was said: our folder is the tour's, and what counts or measures is `N`.
fn everywhere(text: &str, place: &Place) -> String {
    let text = text.replace(place.input().to_str().expect("UTF-8"), WATCHED);
    let words = |line: &str| {
        let words = line.split(' ').map(|word| match word.split_once('=') {
            Some(("took", _)) => "took=N".to_owned(),
            _ if word.starts_with("20") && word.contains('T') => "TIME".to_owned(),
            _ => {
                word.trim_start_matches('(').parse::<u64>().map_or_else(|_| seconds(word), |_| "N".to_owned())
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    text.trim_end().lines().map(words).collect::<Vec<_>>().join("\n")
}

/// `2s` and `(2s` as `N`.
fn seconds(word: &str) -> String {
    let digits =
        word.trim_start_matches('(').strip_suffix("ms").or(word.trim_start_matches('(').strip_suffix('s'));
    if digits.is_some_and(|digits| digits.parse::<u64>().is_ok()) { "N".to_owned() } else { word.to_owned() }
}

fn said(place: &Place, arguments: &[&str]) -> String {
    let mut command = facron();
    command.current_dir(place.path("")).env("RUNTIME_DIRECTORY", place.path("run")).stderr(Stdio::inherit());
    let output = command.args(arguments).output().expect("facron starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_tour_shows_what_the_program_says() {
    if !common::require_root("the_tour_shows_what_the_program_says") {
        return;
    }
    let place = Place::new(0);
    let [rules] = &blocks("toml")[..] else { panic!("the tour has one rule file") };

    // Two mistakes, where the tour has them.
    let mistaken = rules
        .replace("debounce = \"500ms\"\n", "")
        .replace("command =", "on = \"close-writ\"\ncommand =")
        .replace("timeout = \"1m\"", "timeout = \"10\"");
    place.file("rules.toml", &mistaken);
    assert_eq!(
        said(&place, &["check", "-c", "rules.toml"]).trim_end(),
        shown("$ facron check -c rules.toml")
    );

    // The rule as it is, in our own folder, and the program that it needs.
    let refuse = "#!/bin/sh\ncase $1 in */bad.jpg) echo \"not a picture: $1\" >&2; exit 3 ;; esac\n";
    let program = place.script("thumbnail", refuse);
    let rules = rules
        .replace(WATCHED, place.input().to_str().expect("UTF-8"))
        .replace(PROGRAM, program.to_str().expect("UTF-8"));
    place.file("rules.toml", &rules);
    assert_eq!(
        everywhere(
            &said(
                &place,
                &["explain", "-c", "rules.toml", &format!("{}/notes.txt", place.input().display())]
            ),
            &place
        ),
        everywhere(&shown("$ facron explain -c rules.toml /srv/pictures/notes.txt"), &place)
    );

    let log = place.path("log");
    let read = || fs::read_to_string(&log).unwrap_or_default();
    let mut command: Command = facron();
    command
        .args(["run", "-c", "rules.toml"])
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.env("RUNTIME_DIRECTORY", place.path("run")).env("STATE_DIRECTORY", place.path("state"));
    let mut daemon = command.stderr(fs::File::create(&log).expect("a log")).spawn().expect("facron starts");
    wait_until(|| read().contains("ready rules="), read);
    for (name, outcome) in [("a.jpg", "outcome=exit:0"), ("bad.jpg", "outcome=exit:3")] {
        fs::write(place.input().join(name), "").expect("written");
        wait_until(|| read().contains(outcome), read);
    }
    let status = said(&place, &["status"]);
    let lines = read();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).expect("a pid")),
        nix::sys::signal::Signal::SIGTERM,
    )
    .expect("it is alive");
    assert!(daemon.wait().expect("it is ours").success(), "{}", read());

    assert_eq!(everywhere(&lines, &place), everywhere(&shown("$ facron run -c rules.toml"), &place));
    assert_eq!(everywhere(&status, &place), everywhere(&shown("$ facron status"), &place));
}
