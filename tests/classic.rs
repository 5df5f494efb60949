//! Tables of the classic daemons, imported and run on the real kernel: the same file operations run the commands that
//! the classic daemons were recorded to run, and those that `classic/DIFFERENCES.md` lists.

mod common;
#[path = "common/daemon.rs"]
#[expect(dead_code, reason = "these tests start the daemon in one way only")]
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use harness::{Daemon, NOBODY, Place, wait_until};

/// A table, a program that records its arguments, and the directory that the table is about.
struct Story {
    place: Place,
    record: PathBuf,
}

type Runs = BTreeSet<Vec<String>>;

impl Story {
    fn new(user: u32) -> Story {
        let place = Place::new(user);
        let out = place.directory("out");
        let text = format!(
            "#!/bin/sh\nprintf '%s\\0' \"$@\" > {0}/.$$ && mv {0}/.$$ {0}/$$\n",
            out.to_str().expect("UTF-8")
        );
        let record = place.script("record", &text);
        Story { place, record }
    }

    /// The path of something in the directory.
    fn at(&self, name: &str) -> String {
        self.place.input().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Imports a table in which `IN` is the directory and `RECORD` the program, and runs it.
    fn run(&self, dialect: &str, table: &str) -> Daemon {
        let input = self.place.input();
        let table = table
            .replace("IN/", &format!("{}/", input.to_str().expect("UTF-8")))
            .replace("RECORD", self.record.to_str().expect("UTF-8"));
        let table = self.place.file("table", &table);
        let import = self
            .place
            .facron()
            .args(["import", "--from", dialect])
            .arg(table)
            .output()
            .expect("facron import starts");
        let rules = String::from_utf8(import.stdout).expect("a rule file is UTF-8");
        assert!(!rules.contains("Refused"), "{rules}");
        Daemon::start(&self.place, &rules)
    }

    /// The arguments of every run so far; runs with the same arguments are one.
    fn runs(&self) -> Runs {
        let mut runs = Runs::new();
        for entry in fs::read_dir(self.place.path("out")).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")) {
                let text = fs::read_to_string(path).expect("UTF-8");
                runs.insert(
                    text.strip_suffix('\0').unwrap_or(&text).split('\0').map(str::to_owned).collect(),
                );
            }
        }
        runs
    }

    /// Waits for the runs that are due, then stops the daemon, and nothing else has run.
    #[track_caller]
    fn check(&self, mut daemon: Daemon, due: &[&[&str]]) {
        let due: Runs = due.iter().map(|run| run.iter().map(|word| (*word).to_owned()).collect()).collect();
        wait_until(
            || self.runs().is_superset(&due),
            || format!("{:?} of {due:?}\n{}", self.runs(), daemon.log()),
        );
        assert_eq!(daemon.stop().code(), Some(0));
        assert_eq!(self.runs(), due);
    }
}

/// The users as whom a test can run: root and nobody, or whoever runs it.
fn users(test: &str) -> Vec<u32> {
    if common::require_root(test) { vec![0, NOBODY] } else { vec![nix::unistd::geteuid().as_raw()] }
}

#[test]
fn a_facron_conf_runs_what_classic_facron_ran() {
    for user in users("a_facron_conf_runs_what_classic_facron_ran") {
        let story = Story::new(user);
        let (file, quoted, entry) = (story.at("f"), story.at("a b"), story.at("d/$(id) x"));
        for directory in ["d/sub", "alone"] {
            fs::create_dir_all(story.at(directory)).expect("made");
        }
        for name in [&file, &quoted] {
            fs::write(name, "").expect("written");
        }
        let daemon = story.run(
            "facron",
            "IN/f FAN_MODIFY RECORD file $$ $@ $#\n\
             IN/d FAN_CLOSE_WRITE|FAN_EVENT_ON_CHILD RECORD entry $$ $#\n\
             'IN/a b' FAN_MODIFY,FAN_CLOSE_WRITE RECORD quoted \"x y\" '' x$$ {path} # > ;\n\
             # IN/g FAN_MODIFY RECORD comment\n \
             IN/g FAN_MODIFY RECORD indented\n",
        );
        // What ran nothing in classic facron: the directory's grandchildren, siblings, other events.
        fs::write(story.at("d/sub/deep"), "x").expect("written");
        fs::write(story.at("g"), "x").expect("written");
        fs::write(story.at("g"), "y").expect("written");
        fs::read(&file).expect("read");
        // What ran its command.
        fs::write(&entry, "x").expect("written");
        fs::write(&quoted, "x").expect("written");
        fs::write(&file, "x").expect("written");
        let directory = story.place.input();
        story.check(
            daemon,
            &[
                &["file", &file, directory.to_str().expect("UTF-8"), "f"],
                &["entry", &entry, "$(id) x"],
                &["quoted", "x y", "", "x$$", "{path}", "#", ">", ";"],
            ],
        );
    }
}

#[test]
fn lines_that_never_fired_in_classic_facron_do_what_they_meant() {
    for user in users("lines_that_never_fired_in_classic_facron_do_what_they_meant") {
        let story = Story::new(user);
        fs::create_dir(story.at("d")).expect("made");
        fs::write(story.at("set"), "").expect("written");
        fs::write(story.at("joined"), "").expect("written");
        let daemon = story.run(
            "facron",
            "IN/set FAN_CLOSE RECORD set\n\
             IN/joined FAN_MODIFY|FAN_CLOSE_WRITE RECORD joined\n\
             IN//d/ FAN_CLOSE_WRITE RECORD entry $#\n\
             IN/late FAN_CLOSE_WRITE|FAN_EVENT_ON_CHILD RECORD late $#\n",
        );
        fs::write(story.at("set"), "x").expect("written");
        fs::write(story.at("joined"), "x").expect("written");
        fs::write(story.at("d/x"), "x").expect("written");
        // Classic facron had passed over what was missing when it read its table.
        fs::create_dir(story.at("late")).expect("made");
        daemon.wait_for_log("armed rule=late-record");
        fs::write(story.at("late/y"), "x").expect("written");
        story.check(daemon, &[&["set"], &["joined"], &["entry", "x"], &["late", "y"]]);
    }
}

#[test]
fn an_incrontab_runs_what_incron_ran() {
    for user in users("an_incrontab_runs_what_incron_ran") {
        let story = Story::new(user);
        for directory in ["flat/sub", "tree/sub", "tree/.hidden", "shell", "some"] {
            fs::create_dir_all(story.at(directory)).expect("made");
        }
        let daemon = story.run(
            "incron",
            "IN/flat IN_CLOSE_WRITE,recursive=false RECORD flat $@ $# $@/$#\n\
             IN/tree IN_CLOSE_WRITE RECORD tree $@/$#\n\
             IN/shell IN_CLOSE_WRITE f=$#; RECORD shell \"$$f\" $@/$# 2>&1 | cat\n\
             IN/some/*.txt IN_CLOSE_WRITE RECORD some $@\n\
             # IN/flat IN_CLOSE_WRITE RECORD comment\n",
        );
        let evil = "x;touch PWNED $(touch PWNED)";
        // What ran nothing in incron, and what was not meant.
        for name in ["flat/sub/deep", "tree/.hidden/deep", "some/other"] {
            fs::write(story.at(name), "x").expect("written");
        }
        // What ran its command.
        for name in ["flat/a b", "tree/sub/deep", "tree/.file", "some/new.txt"] {
            fs::write(story.at(name), "x").expect("written");
        }
        fs::write(story.at("shell").to_owned() + "/" + evil, "x").expect("written");
        let (shell, flat) = (story.at("shell"), story.at("flat"));
        story.check(
            daemon,
            &[
                &["flat", &flat, "a b", &story.at("flat/a b")],
                &["tree", &story.at("tree/sub/deep")],
                &["tree", &story.at("tree/.file")],
                &["shell", evil, &format!("{shell}/{evil}")],
                &["some", &story.at("some/new.txt")],
            ],
        );
        assert!(!fs::exists("/PWNED").expect("known"));
    }
}
