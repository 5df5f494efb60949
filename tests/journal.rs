//! The journal on a real file system: what one life notes, the next one finds, however the first one ended.
#![expect(clippy::disallowed_methods, reason = "tests start processes, and read clocks to give up")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use facron::config;
use facron::diagnostic::SourceText;
use facron::engine::{Action, Engine, Exit, Input};
use facron::event::{Cause, Event, EventMask, ObjectId, Origin, RunId};
use facron::journal::{Journal, OpenError, Restored, Stamp};
use facron::moment::Moment;
use facron::rule::{RuleId, RuleSet};

const RULES: &str = "
    [[rule]]
    name = 'free'
    path = '/srv'
    on = 'all'
    concurrency = 'unlimited'
    command = ['/bin/true']

    [[rule]]
    name = 'slow'
    path = ['/srv/a', '/srv/b']
    on = 'all'
    debounce = '300d'
    command = ['/bin/true']
";

fn rules_of(text: &str) -> Arc<RuleSet> {
    let parsed = config::parse(&[SourceText { name: "rules".into(), text: text.into() }]);
    assert!(parsed.findings.is_empty(), "{:?}", parsed.findings);
    Arc::new(parsed.rules)
}

const FREE: RuleId = RuleId(0);
const SLOW: RuleId = RuleId(1);

fn event(path: &str) -> Event {
    Event {
        mask: EventMask::MODIFY,
        path: std::path::Path::new(path).into(),
        old_path: None,
        is_dir: false,
        cause: Cause::default(),
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        origin: Origin::Event,
        object: None,
    }
}

/// A daemon without a kernel: an engine and its journal.
struct Life {
    engine: Engine,
    journal: Journal,
    restored: Restored,
    spawned: Vec<RunId>,
    now: Moment,
}

impl Life {
    fn begin(directory: &Path, rules: &Arc<RuleSet>) -> Life {
        let (journal, restored) = Journal::open(directory, rules, Stamp::now()).expect("a journal");
        let engine = Engine::new(Arc::clone(rules));
        Life { engine, journal, restored, spawned: Vec::new(), now: Moment::default() }
    }

    /// Gives back to the engine what was left.
    fn restore(&mut self, rules: &RuleSet) {
        for (rule, meant) in rules.iter() {
            if let Some(left) = self.restored.rules.remove(&*meant.name) {
                let owes_rescan = left.owes_rescan.is_some();
                self.input(Input::Restore { rule, events: left.events, owes_rescan });
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.now = self.now + Duration::from_secs(1);
        let actions = self.engine.handle(self.now, input);
        self.journal.note(&self.engine, &actions);
        self.journal.commit(self.now, &self.engine);
        let spawned = actions.into_iter().filter_map(|action| match action {
            Action::Spawn(run) => Some(run.id),
            Action::Signal { .. } | Action::Rescan(_) | Action::Report(_) => None,
        });
        self.spawned.extend(spawned);
    }

    fn event(&mut self, rule: RuleId, path: &str) {
        self.input(Input::Event { rule, event: event(path) });
    }

    fn end(self) {
        self.journal.close(&self.engine);
    }
}

/// What was left of a rule, by path.
fn waiting(restored: &Restored, rule: &str) -> Vec<String> {
    let left = restored.rules.get(rule).into_iter().flat_map(|left| &left.events);
    left.map(|event| event.path.to_str().expect("UTF-8").to_owned()).collect()
}

/// What the next life finds in a copy of the directory: as after a kill at this moment.
fn found(directory: &Path, rules: &RuleSet) -> Restored {
    let copy = tempfile::tempdir().expect("a directory");
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("an entry").path();
        if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        fs::copy(&path, copy.path().join(path.file_name().expect("a name"))).expect("a copy");
    }
    Journal::open(copy.path(), rules, Stamp::now()).expect("a journal").1
}

#[track_caller]
fn wait_until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "it did not happen within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_waits_is_there_after_a_clean_end_with_all_that_is_known_of_it() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let mut life = Life::begin(place.path(), &rules);
    let object = ObjectId { fsid: [1, -2], kind: 129, handle: Box::new([7; 20]) };
    let known = Event {
        mask: EventMask::RENAME | EventMask::MODIFY,
        old_path: Some("/srv/a/before".into()),
        is_dir: true,
        origin: Origin::Trigger,
        object: Some(object),
        ..event("/srv/a/name\u{1b}[31m\n")
    };
    life.input(Input::Event { rule: SLOW, event: known.clone() });
    life.event(FREE, "/srv/f");
    life.input(Input::Exited { run: RunId(1), exit: Exit::Code(0) });
    life.end();

    let next = Life::begin(place.path(), &rules);
    assert_eq!(next.restored.rules["slow"].events, [known]);
    assert_eq!(waiting(&next.restored, "free"), [""; 0], "its run has ended");
}

#[test]
fn what_runs_waits_until_its_end() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let mut life = Life::begin(place.path(), &rules);
    life.event(FREE, "/srv/1");
    life.event(FREE, "/srv/2");
    assert_eq!(life.spawned, [RunId(1), RunId(2)]);
    assert_eq!(waiting(&found(place.path(), &rules), "free"), ["/srv/1", "/srv/2"]);
    life.input(Input::Exited { run: RunId(1), exit: Exit::Code(0) });
    wait_until(|| waiting(&found(place.path(), &rules), "free") == ["/srv/2"]);
}

#[test]
fn what_was_restored_and_not_answered_is_restored_again() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let mut life = Life::begin(place.path(), &rules);
    life.event(SLOW, "/srv/a/x");
    life.end();
    for _ in 0..3 {
        let mut life = Life::begin(place.path(), &rules);
        assert_eq!(waiting(&life.restored, "slow"), ["/srv/a/x"]);
        life.restore(&rules);
        life.event(SLOW, "/srv/a/x");
        drop(life);
    }
}

#[test]
fn pauses_and_owed_rescans_outlive_the_process() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let mut life = Life::begin(place.path(), &rules);
    let before = SystemTime::now();
    life.input(Input::Pause(FREE));
    life.input(Input::Overflow { rules: vec![SLOW] });
    life.end();

    let mut life = Life::begin(place.path(), &rules);
    assert!(life.restored.rules["free"].is_paused);
    assert!(!life.restored.rules["slow"].is_paused);
    let since = life.restored.rules["slow"].owes_rescan.expect("it owes a rescan");
    assert!(since <= before, "the walk goes back to before the overflow");
    let owed_since = life.journal.owed_since("slow", Stamp::now()).expect("it still owes one");
    assert!(
        owed_since.max(since).duration_since(owed_since.min(since)).expect("ordered")
            < Duration::from_secs(1)
    );
    life.restore(&rules);
    life.input(Input::RescanDone(SLOW));
    assert_eq!(life.journal.owed_since("slow", Stamp::now()), None);
    life.end();
    assert_eq!(Life::begin(place.path(), &rules).restored.rules["slow"].owes_rescan, None);
}

#[test]
fn only_what_was_watched_in_the_same_way_has_a_history() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let (a, b, srv) = (Path::new("/srv/a"), Path::new("/srv/b"), Path::new("/srv"));
    let mut life = Life::begin(place.path(), &rules);
    assert_eq!(life.restored.catch_up_since(rules.rule(SLOW), a), None, "a new rule has no history");
    life.journal.armed(rules.rule(SLOW), a);
    life.journal.armed(rules.rule(FREE), srv);
    let last = Stamp { wall: SystemTime::now() - Duration::from_secs(500), ..Stamp::now() };
    life.journal.read_until(last);
    life.end();

    let changed = rules_of(&RULES.replace("path = '/srv'", "path = '/srv'\nscope = 'tree'"));
    let mut life = Life::begin(place.path(), &changed);
    assert_eq!(life.restored.catch_up_since(changed.rule(FREE), srv), None, "it watches more than before");
    assert_eq!(life.restored.catch_up_since(changed.rule(SLOW), b), None, "it never watched there");
    let since = life.restored.catch_up_since(changed.rule(SLOW), a).expect("it was watched");
    assert!(since < last.wall && since > last.wall - Duration::from_secs(10), "{since:?} and {last:?}");

    // Not armed in this life: what it knows of the last one stays.
    life.journal.read_until(Stamp::now());
    life.end();
    let life = Life::begin(place.path(), &changed);
    let again = life.restored.catch_up_since(changed.rule(SLOW), a).expect("it was watched");
    assert!(again <= since + Duration::from_secs(1));
}

#[test]
fn a_path_that_a_reload_took_away_was_watched_until_then() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let without = rules_of(&RULES.replace("['/srv/a', '/srv/b']", "'/srv/b'"));
    let (a, b) = (Path::new("/srv/a"), Path::new("/srv/b"));
    let mut life = Life::begin(place.path(), &rules);
    life.journal.armed(rules.rule(SLOW), a);
    life.journal.armed(rules.rule(SLOW), b);
    let [reload, last] = [10, 20].map(|seconds| {
        let now = Stamp::now();
        Stamp { since_boot: now.since_boot + Duration::from_secs(seconds), ..now }
    });
    life.journal.read_until(reload);
    life.journal.reloaded(&rules, &without);
    life.input(Input::Reload(Arc::clone(&without)));
    life.journal.read_until(last);
    life.end();

    let life = Life::begin(place.path(), &rules);
    let until = |path| life.restored.watched_until(rules.rule(SLOW), path);
    assert_eq!((until(a), until(b)), (Some(reload), Some(last)));
}

#[test]
fn a_rule_that_a_reload_took_away_leaves_no_history() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let free = rules_of(RULES.split("\n\n").next().expect("two rules"));
    let mut life = Life::begin(place.path(), &rules);
    life.journal.armed(rules.rule(SLOW), Path::new("/srv/a"));
    life.journal.reloaded(&rules, &free);
    life.input(Input::Reload(Arc::clone(&free)));
    life.end();
    assert!(!Life::begin(place.path(), &rules).restored.rules.contains_key("slow"));
}

#[test]
fn a_path_that_its_rule_has_no_more_is_forgotten_at_the_next_start() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let without = rules_of(&RULES.replace("['/srv/a', '/srv/b']", "'/srv/b'"));
    let mut life = Life::begin(place.path(), &rules);
    life.journal.armed(rules.rule(SLOW), Path::new("/srv/a"));
    life.journal.armed(rules.rule(SLOW), Path::new("/srv/b"));
    life.end();
    Life::begin(place.path(), &without).end();

    let life = Life::begin(place.path(), &rules);
    let until = |path| life.restored.watched_until(rules.rule(SLOW), Path::new(path));
    assert_eq!(until("/srv/a"), None, "the life between did not know it");
    assert!(until("/srv/b").is_some());
}

#[test]
fn what_nobody_asks_for_any_more_is_named_and_forgotten() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let mut life = Life::begin(place.path(), &rules);
    life.event(FREE, "/srv/f");
    life.event(SLOW, "/srv/a/x");
    life.event(SLOW, "/srv/b/y");
    life.end();

    let slow = RULES.split("\n\n").nth(1).expect("two rules").replace("['/srv/a', '/srv/b']", "'/srv/b'");
    let rules = rules_of(&slow);
    let life = Life::begin(place.path(), &rules);
    let removed = |rule: &str| life.restored.removed[rule].clone();
    assert_eq!(removed("free"), [PathBuf::from("/srv/f")]);
    assert_eq!(removed("slow"), [PathBuf::from("/srv/a/x")]);
    assert_eq!(waiting(&life.restored, "slow"), ["/srv/b/y"]);
    life.end();

    let life = Life::begin(place.path(), &rules);
    assert!(life.restored.removed.is_empty(), "it is said once");
    assert_eq!(waiting(&life.restored, "slow"), ["/srv/b/y"]);
}

#[test]
fn one_directory_is_for_one_daemon() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let _life = Life::begin(place.path(), &rules);
    let started = Instant::now();
    let second = Journal::open(place.path(), &rules, Stamp::now());
    assert!(matches!(second, Err(OpenError::InUse(path)) if path == place.path()));
    assert!(started.elapsed() < Duration::from_secs(1), "the second daemon must end within a second");
}

#[test]
fn nobody_else_can_read_what_is_kept() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let directory = place.path().join("a/b/state");
    let mut life = Life::begin(&directory, &rules);
    life.event(SLOW, "/srv/a/x");
    life.end();
    assert_eq!(directory.metadata().expect("it was made").mode() & 0o7777, 0o700);
    let mut count = 0;
    for entry in fs::read_dir(&directory).expect("ours") {
        assert_eq!(entry.expect("ours").metadata().expect("ours").mode() & 0o7777, 0o600);
        count += 1;
    }
    assert_eq!(count, 1, "the file that was replaced is gone");
}

#[test]
fn damage_is_set_aside_and_what_can_be_read_is_used() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let mut life = Life::begin(place.path(), &rules);
    life.journal.armed(rules.rule(SLOW), Path::new("/srv/a"));
    life.event(SLOW, "/srv/a/first");
    life.event(SLOW, "/srv/a/second");
    life.event(SLOW, "/srv/a/third");
    life.end();
    let file = newest(place.path());
    let mut bytes = fs::read(&file).expect("the journal");
    let place_of =
        |word: &[u8]| bytes.windows(word.len()).position(|window| window == word).expect("it is there");
    let second = place_of(b"second");
    bytes[second] ^= 1;
    fs::write(&file, &bytes).expect("damage");

    let mut life = Life::begin(place.path(), &rules);
    assert_eq!(waiting(&life.restored, "slow"), ["/srv/a/first"]);
    assert!(life.restored.rules["slow"].owes_rescan.is_some(), "a walk may find what was lost");
    assert_eq!(fs::read(place.path().join("journal.bad-1")).expect("it is kept"), bytes);
    life.restore(&rules);
    life.end();
    let life = Life::begin(place.path(), &rules);
    assert_eq!(waiting(&life.restored, "slow"), ["/srv/a/first"], "nothing is wrong any more");
    assert!(!place.path().join("journal.bad-2").exists());
}

/// The file with the journal, the only one after a clean end.
fn newest(directory: &Path) -> PathBuf {
    let names = ["journal.0", "journal.1"].map(|name| directory.join(name));
    names.into_iter().find(|path| path.exists()).expect("there is a journal")
}

#[test]
fn whatever_lies_in_its_place_the_daemon_starts_and_keeps_at_most_three() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let lies: [&dyn Fn(&Path); 6] = [
        &|path| fs::write(path, "facron journal 2\nfrom the future").expect("write"),
        &|path| fs::write(path, "#!/bin/sh\n").expect("write"),
        &|path| fs::create_dir(path).expect("mkdir"),
        &|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo"),
        &|path| std::os::unix::fs::symlink("/etc/passwd", path).expect("symlink"),
        &|path| fs::write(path, [0; 100]).expect("write"),
    ];
    for (number, lie) in lies.iter().enumerate() {
        for name in ["journal.0", "journal.1"] {
            let _ = fs::remove_file(place.path().join(name));
            lie(&place.path().join(name));
        }
        let mut life = Life::begin(place.path(), &rules);
        assert!(life.restored.rules.is_empty(), "lie {number}");
        life.event(SLOW, "/srv/a/x");
        life.end();
        assert_eq!(waiting(&found(place.path(), &rules), "slow"), ["/srv/a/x"], "lie {number}");
    }
    let bad = fs::read_dir(place.path()).expect("ours").filter(|entry| {
        entry.as_ref().expect("ours").file_name().to_str().expect("UTF-8").starts_with("journal.bad-")
    });
    assert_eq!(bad.count(), 3);
}

#[test]
fn a_long_life_does_not_make_a_long_file() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let mut life = Life::begin(place.path(), &rules);
    life.event(SLOW, "/srv/a/x");
    let long = "n".repeat(200);
    for number in 0..60_000_u64 {
        life.event(FREE, &format!("/srv/{long}{number}"));
        let run = life.spawned.pop().expect("it runs at once");
        life.input(Input::Exited { run, exit: Exit::Code(0) });
    }
    wait_until(|| {
        let len: u64 = fs::read_dir(place.path())
            .expect("ours")
            .flatten()
            .map(|e| e.metadata().map_or(0, |m| m.len()))
            .sum();
        len < 10 * 1024 * 1024
    });
    assert_eq!(waiting(&found(place.path(), &rules), "slow"), ["/srv/a/x"]);
    life.end();
    assert_eq!(waiting(&Life::begin(place.path(), &rules).restored, "slow"), ["/srv/a/x"]);
}

/// The directory of [`a_life_that_will_be_killed`].
const DIRECTORY: &str = "FACRON_TEST_JOURNAL";

#[test]
#[ignore = "a helper of the next test, which runs it in a process of its own"]
fn a_life_that_will_be_killed() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("the next test sets it"));
    let rules = rules_of(RULES);
    let mut life = Life::begin(&directory, &rules);
    life.restore(&rules);
    let mut say = std::io::stdout().lock();
    for number in 0.. {
        life.event(FREE, &format!("/srv/{number}"));
        // Said before anything is done about it; the runs are not there.
        for run in std::mem::take(&mut life.spawned) {
            writeln!(say, "run {} {number}", run.0).expect("somebody reads");
        }
        if number % 3 == 0 {
            writeln!(say, "end {number}").expect("somebody reads");
            let run = RunId(number + 1);
            life.input(Input::Exited { run, exit: Exit::Code(0) });
        }
    }
}

#[test]
fn a_killed_life_has_noted_every_run_that_it_started() {
    let rules = rules_of(RULES);
    let mut started_in_all = 0;
    for round in 0..30_u64 {
        let place = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "a_life_that_will_be_killed", "--ignored", "--nocapture"])
            .env(DIRECTORY, place.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test starts again");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = stdout.lines().map(|line| line.expect("UTF-8"));
        let first = lines.find(|line| line.starts_with("run ")).expect("it comes to life");
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");

        let (mut runs, mut ends) = (BTreeSet::new(), BTreeSet::new());
        for line in std::iter::once(first).chain(lines) {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["run", _, path] => drop(runs.insert(path.to_owned())),
                ["end", path] => drop(ends.insert(path.to_owned())),
                // The last line may be cut.
                _ => {}
            }
        }
        let life = Life::begin(place.path(), &rules);
        let left: BTreeSet<String> = waiting(&life.restored, "free").into_iter().collect();
        for path in runs.difference(&ends) {
            assert!(left.contains(&format!("/srv/{path}")), "round {round}: {path} was started and is lost");
        }
        started_in_all += runs.len();
    }
    assert!(started_in_all > 30, "only {started_in_all} runs: the test has seen nothing");
}

/// A small file system of its own, that goes away with it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new() -> SmallDisk {
        let path = tempfile::tempdir().expect("a directory").keep();
        mount(&["-t", "tmpfs", "-o", "size=3m,mode=0700", "facron-test"], &path);
        SmallDisk(path)
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("there is room for a name");
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

fn mount(options: &[&str], path: &Path) {
    let status = Command::new("mount").args(options).arg(path).status().expect("mount(8)");
    assert!(status.success());
}

#[test]
fn a_full_disk_takes_what_was_reserved_and_the_rest_when_there_is_room() {
    if !common::require_root("a_full_disk_takes_what_was_reserved_and_the_rest_when_there_is_room") {
        return;
    }
    let (disk, rules) = (SmallDisk::new(), rules_of(RULES));
    let directory = disk.0.join("state");
    let mut life = Life::begin(&directory, &rules);
    life.event(SLOW, "/srv/a/before");
    wait_until(|| waiting(&found(&directory, &rules), "slow") == ["/srv/a/before"]);
    disk.fill();
    life.event(SLOW, "/srv/a/full");
    wait_until(|| waiting(&found(&directory, &rules), "slow").len() == 2);
    assert_eq!(life.journal.health().trouble, None, "some space was reserved");

    // More than was reserved; the loop is never held up for long.
    let started = Instant::now();
    for number in 0..12_000 {
        life.event(SLOW, &format!("/srv/a/{number:0100}"));
        life.event(SLOW, "/srv/a/before");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    wait_until(|| life.journal.health().trouble.is_some());

    disk.empty();
    let relieved = Instant::now();
    wait_until(|| life.journal.health().trouble.is_none());
    assert!(relieved.elapsed() < Duration::from_secs(5), "{:?} after relief", relieved.elapsed());
    let expected = life.engine.kept().map(|kept| kept.events.len()).sum::<usize>();
    wait_until(|| waiting(&found(&directory, &rules), "slow").len() == expected);
    life.end();
}

#[test]
fn a_directory_that_cannot_be_written_for_a_while_costs_nothing_but_a_warning() {
    if !common::require_root("a_directory_that_cannot_be_written_for_a_while_costs_nothing_but_a_warning") {
        return;
    }
    let (disk, rules) = (SmallDisk::new(), rules_of(RULES));
    let directory = disk.0.join("state");
    let mut life = Life::begin(&directory, &rules);
    life.event(SLOW, "/srv/a/before");
    life.end();

    mount(&["-o", "remount,ro"], &disk.0);
    let mut life = Life::begin(&directory, &rules);
    assert_eq!(waiting(&life.restored, "slow"), ["/srv/a/before"], "it can still be read");
    life.restore(&rules);
    life.event(SLOW, "/srv/a/meanwhile");
    wait_until(|| life.journal.health().trouble.is_some());

    mount(&["-o", "remount,rw"], &disk.0);
    wait_until(|| life.journal.health().trouble.is_none());
    wait_until(|| waiting(&found(&directory, &rules), "slow").len() == 2);
}

#[test]
fn a_directory_that_is_not_ours_is_not_used_and_is_no_reason_not_to_start() {
    let (place, rules) = (tempfile::tempdir().expect("a directory"), rules_of(RULES));
    let directory = place.path().join("state");
    fs::create_dir(&directory).expect("mkdir");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("chmod");
    let mut life = Life::begin(&directory, &rules);
    life.event(SLOW, "/srv/a/x");
    wait_until(|| life.journal.health().trouble.is_some());
    let trouble = life.journal.health().trouble.expect("it is in trouble");
    assert!(trouble.contains("chmod"), "{trouble}");
    assert_eq!(fs::read_dir(&directory).expect("readable").count(), 0);

    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("chmod");
    wait_until(|| life.journal.health().trouble.is_none());
    assert_eq!(waiting(&found(&directory, &rules), "slow"), ["/srv/a/x"]);
}
