//! Too little of everything: descriptors, disk, readers, memory. The daemon goes on, counts, and recovers.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{require, require_root};
use crate::harness::{Daemon, Place, facron, wait_until};
use crate::history::{Changes, Recorder};
use crate::lives::{Lives, descriptors, memory};
use crate::setting;

/// From relief to recovery.
const RECOVERY: Duration = Duration::from_secs(5);

#[test]
fn without_descriptors_nothing_is_lost_and_with_them_all_goes_on() {
    let test = "without_descriptors_nothing_is_lost_and_with_them_all_goes_on";
    if !require_root(test) || !require(test, "prlimit(1)", has_program("prlimit")) {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 8, "");
    let input = place.input();
    let rules = recorder.rule("descriptors", &input, "concurrency = 8");
    let (lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    let pid = lives.daemon.pid();
    // At first below what it has open, where not even copies over its own can be made.
    for more in [-1_000, 0, 1, 2, 3, 5, 8, 13, 20] {
        let base = descriptors(pid);
        limit_descriptors(pid, base.saturating_add_signed(more).max(8));
        for number in 0..30 {
            changes.write(&input.join(format!("{more}-{number}")));
        }
        std::thread::sleep(Duration::from_millis(300));
        limit_descriptors(pid, 4096);
        let relieved = Instant::now();
        recorder.wait_until_answered(&changes, || format!("{more} more than {base}\n{}", lives.daemon.log()));
        assert!(relieved.elapsed() < RECOVERY, "{more} more: {:?}", relieved.elapsed());
    }
    assert!(!lives.daemon.log().contains("overflow"), "no event was lost");
}

#[test]
fn without_descriptors_trees_are_not_lost_sight_of() {
    let test = "without_descriptors_trees_are_not_lost_sight_of";
    if !require_root(test) || !require(test, "prlimit(1)", has_program("prlimit")) {
        return;
    }
    for mark in ["filesystem", "directories"] {
        let place = Place::new(0);
        let recorder = Recorder::new(&place, 8, "");
        let input = place.input();
        fs::create_dir_all(input.join("old/deep")).expect("directories");
        let keys = format!("concurrency = 8\nscope = 'tree'\nmark = '{mark}'");
        let rules = recorder.rule("tree", &input, &keys);
        let (lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
        let pid = lives.daemon.pid();
        for more in [-1_000, 0, 1, 2, 3, 5, 8] {
            let base = descriptors(pid);
            limit_descriptors(pid, base.saturating_add_signed(more).max(8));
            let new = input.join(format!("new{more}/deep"));
            changes.write(&input.join("old/deep/file"));
            fs::create_dir_all(&new).expect("directories");
            changes.write(&new.join(format!("at-once{more}")));
            // No close tells of a file that has another name already.
            changes.link(&input.join("old/deep/file"), &input.join(format!("old/linked{more}")));
            std::thread::sleep(Duration::from_millis(300));
            changes.write(&new.join(format!("later{more}")));
            std::thread::sleep(Duration::from_millis(300));
            limit_descriptors(pid, 4096);
            let log = || format!("{mark}, {more} more than {base}\n{}", lives.daemon.log());
            recorder.wait_until_answered(&changes, log);
            // And from then on they are seen again at once.
            changes.write(&input.join("old/deep/file"));
            changes.write(&new.join(format!("at-last{more}")));
            recorder.wait_until_answered(&changes, log);
        }
    }
}

fn limit_descriptors(pid: i32, limit: usize) {
    let mut command = Command::new("prlimit");
    command.arg(format!("--pid={pid}")).arg(format!("--nofile={limit}:4096"));
    assert!(command.status().expect("prlimit(1)").success());
}

fn has_program(name: &str) -> bool {
    Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// A small file system where the daemon keeps its state.
struct SmallState(PathBuf);

impl SmallState {
    fn mount(place: &Place) -> SmallState {
        let path = place.path("state");
        mount(&["-t", "tmpfs", "-o", "size=2m,mode=0700", "facron-test"], &path);
        SmallState(path)
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("there is room for a name");
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was filled");
    }
}

impl Drop for SmallState {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(options: &[&str], path: &Path) {
    assert!(Command::new("mount").args(options).arg(path).status().expect("mount(8)").success());
}

#[test]
fn with_a_full_disk_runs_go_on_and_what_waits_is_kept_all_the_same() {
    if !require_root("with_a_full_disk_runs_go_on_and_what_waits_is_kept_all_the_same") {
        return;
    }
    let place = Place::new(0);
    let state = SmallState::mount(&place);
    let recorder = Recorder::new(&place, 4, "");
    let (input, later) = (place.input(), place.directory("later"));
    let rules = recorder.rule("now", &input, "concurrency = 4")
        + &recorder.rule("later", &later, "debounce = '3s'\nconcurrency = 4");
    let (mut lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    state.fill();
    for number in 0..50 {
        changes.write(&input.join(number.to_string()));
    }
    recorder.wait_until_answered(&changes, || lives.daemon.log());
    for number in 0..20 {
        changes.write(&later.join(number.to_string()));
    }
    std::thread::sleep(Duration::from_millis(500));
    lives.kill_and_begin_again();
    recorder.wait_until_answered(&changes, || lives.daemon.log());

    // The new life cannot write anything; as soon as there is room, it does.
    lives.daemon.wait_for_log("journal cannot be written");
    state.empty();
    let relieved = Instant::now();
    lives.daemon.wait_for_log("journal is written again");
    assert!(relieved.elapsed() < RECOVERY, "{:?}", relieved.elapsed());
    for number in 0..20 {
        changes.write(&later.join(number.to_string()));
    }
    std::thread::sleep(Duration::from_millis(500));
    lives.kill_and_begin_again();
    recorder.wait_until_answered(&changes, || lives.daemon.log());
}

#[test]
fn with_a_read_only_state_directory_runs_go_on_and_the_warning_comes_once() {
    if !require_root("with_a_read_only_state_directory_runs_go_on_and_the_warning_comes_once") {
        return;
    }
    let place = Place::new(0);
    let state = SmallState::mount(&place);
    let recorder = Recorder::new(&place, 4, "");
    let input = place.input();
    let rules = recorder.rule("rule", &input, "concurrency = 4");
    let (mut lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    lives.daemon.stop();
    mount(&["-o", "remount,ro"], &state.0);
    lives.begin_again();
    for number in 0..50 {
        changes.write(&input.join(number.to_string()));
    }
    recorder.wait_until_answered(&changes, || lives.daemon.log());
    lives.daemon.wait_for_log("journal cannot be written");
    mount(&["-o", "remount,rw"], &state.0);
    let relieved = Instant::now();
    lives.daemon.wait_for_log("journal is written again");
    assert!(relieved.elapsed() < RECOVERY, "{:?}", relieved.elapsed());
    assert_eq!(lives.daemon.log().matches("journal cannot be written").count(), 1);
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    if !require_root("a_log_that_nobody_reads_holds_nothing_up") {
        return;
    }
    let place = Place::new(0);
    let chatter =
        "i=0; while [ $i -lt 200 ]; do echo \"line $i of a command that talks much\"; i=$((i + 1)); done";
    let recorder = Recorder::new(&place, 4, chatter);
    let input = place.input();
    place.file("facron.toml", &recorder.rule("rule", &input, "concurrency = 4"));
    let mut command = facron();
    command.args(["run", "-v", "-c"]).arg(place.path("facron.toml"));
    command.env("STATE_DIRECTORY", place.path("state")).env("RUNTIME_DIRECTORY", place.path("run"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("facron starts");
    let socket = place.path("run/control");
    wait_until(
        || fs::read_dir(place.path("run")).is_ok_and(|entries| entries.count() > 0),
        || format!("no {socket:?}"),
    );

    let mut changes = Changes::default();
    // Until a first run comes, it may not be ready yet.
    wait_until(
        || {
            changes.write(&input.join("first"));
            std::thread::sleep(Duration::from_millis(20));
            recorder.history().runs() > 0
        },
        || "no run".to_owned(),
    );
    for number in 0..500 {
        changes.write(&input.join(number.to_string()));
    }
    recorder.wait_until_answered(&changes, String::new);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid is small"));
    nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).expect("it is alive");
    let stopped = Instant::now();
    wait_until(|| child.try_wait().expect("it is our child").is_some(), || "it does not stop".to_owned());
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
}

#[test]
fn counters_add_up_at_any_moment() {
    if !require_root("counters_add_up_at_any_moment") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 2, "");
    let input = place.input();
    let rules = recorder.rule("skips", &input, "on-busy = 'skip'\nconcurrency = 2")
        + &recorder.rule("waits", &input, "debounce = '50ms'\nmax-wait = '200ms'\nqueue-limit = 20");
    let (lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    for round in 0..40 {
        for number in 0..25 {
            changes.write(&input.join(format!("{}", (round * 7 + number) % 60)));
        }
        let status = status(&place);
        for rule in status["rules"].as_array().expect("rules") {
            let number = |key: &str| rule[key].as_u64().unwrap_or_else(|| panic!("no {key} in {rule}"));
            let dropped = rule["dropped"].as_object().expect("by reason").iter();
            // What a run of the rule caused itself has not matched.
            let dropped: u64 = dropped
                .filter(|(reason, _)| *reason != "itself")
                .map(|(_, count)| count.as_u64().expect("a number"))
                .sum();
            assert_eq!(number("matched"), number("covered") + dropped + number("waiting"), "{rule}");
        }
    }
    assert!(lives.daemon.log().contains("dropped"), "the test has seen a drop");

    lives.daemon.signal(libc::SIGUSR2);
    let lines = || -> Vec<String> {
        let log = lives.daemon.log();
        log.lines().filter(|line| line.contains("status rule=")).map(str::to_owned).collect()
    };
    wait_until(|| lines().len() >= 2, || lives.daemon.log());
    for line in lines() {
        let word = |key: &str| {
            let mut words = line.split(' ').filter_map(|word| word.split_once('='));
            words.find(|(name, _)| *name == key).unwrap_or_else(|| panic!("no {key} in {line}")).1.to_owned()
        };
        let number = |key: &str| word(key).parse::<u64>().unwrap_or_else(|_| panic!("{key} in {line}"));
        assert_eq!(number("matched"), number("covered") + number("dropped") + number("waiting"), "{line}");
        let reasons = word("reasons");
        let by_reason = reasons.split(',').filter_map(|reason| reason.split_once(':'));
        let by_reason: u64 = by_reason.map(|(_, count)| count.parse::<u64>().expect("a number")).sum();
        assert_eq!(by_reason, number("dropped"), "{line}");
    }
}

fn status(place: &Place) -> serde_json::Value {
    let mut command = facron();
    command.args(["status", "--format", "json"]).env("RUNTIME_DIRECTORY", place.path("run"));
    let output = command.output().expect("facron starts");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn what_found_no_room_is_found_by_one_walk_that_waits_for_room() {
    if !require_root("what_found_no_room_is_found_by_one_walk_that_waits_for_room") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 8, "");
    let (input, other) = (place.input(), place.directory("other"));
    let rules = recorder.rule("crowded", &input, "queue-limit = 40\nconcurrency = 8")
        + &recorder.rule("other", &other, "queue-limit = 4\nconcurrency = 8");
    let (lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    lives.daemon.signal(libc::SIGSTOP);
    for number in 0..1_500 {
        changes.write(&input.join(number.to_string()));
    }
    // Another rule that owes a walk does not wait for the first.
    for number in 0..20 {
        changes.write(&other.join(format!("other-{number}")));
    }
    lives.daemon.signal(libc::SIGCONT);
    let log =
        || lives.daemon.log().lines().filter(|line| !line.contains(" run ")).collect::<Vec<_>>().join("\n");
    recorder.wait_until_answered(&changes, log);
    let walks = lives.daemon.log().matches("rescan rule=crowded").count();
    assert!((1..=2).contains(&walks), "{walks} walks\n{}", log());
    // Those that ran before the walk are found once more, and no others.
    let runs = recorder.history().runs();
    assert!(runs <= 1_520 + 200, "{runs} runs\n{}", log());
}

#[test]
fn a_flood_of_names_stays_within_fixed_memory_and_loses_nothing() {
    if !require_root("a_flood_of_names_stays_within_fixed_memory_and_loses_nothing") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::of_batches(&place);
    let input = place.input();
    let count = if setting("FACRON_FLOOD", 0) == 1 { 1_000_000 } else { 100_000 };
    // A page for each file.
    mount(&["-o", "remount,size=6g,nr_inodes=2m"], &place.path(""));
    for directory in 0..100 {
        fs::create_dir(input.join(directory.to_string())).expect("mkdir");
    }
    let keys = "scope = 'tree'\nbatch = true\ndebounce = '200ms'\nmax-wait = '2s'\nqueue-limit = 1000000";
    let rules = recorder.rule("flood", &input, keys).replace("'{path}'", "'{paths}'");
    let daemon = Daemon::start(&place, &rules);
    let mut changes = Changes::default();
    for number in 0..count {
        changes.write(&input.join(format!("{}/{number}", number % 100)));
    }
    recorder.wait_until_answered(&changes, || {
        daemon.log().lines().rev().take(20).map(|line| format!("{line}\n")).collect()
    });
    // The pages of the program itself are the build's: in a debug build they are three times as many.
    let peak = memory(daemon.pid(), "VmHWM:") - memory(daemon.pid(), "RssFile:");
    assert!(peak <= 64 * 1024, "{peak} KiB at the most");
}
