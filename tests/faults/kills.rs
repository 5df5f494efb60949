//! SIGKILL, SIGTERM and SIGSTOP at the worst of times.

use std::fs;
use std::time::Duration;

use crate::common::require_root;
use crate::harness::{Place, wait_until};
use crate::history::{Changes, Recorder};
use crate::lives::{Dice, Lives, keep_doing};
use crate::setting;

#[test]
fn a_daemon_that_is_killed_again_and_again_answers_every_change() {
    let test = "a_daemon_that_is_killed_again_and_again_answers_every_change";
    if !require_root(test) {
        return;
    }
    let (place, mut dice) = (Place::new(0), Dice::new(1));
    let recorder = Recorder::new(&place, 4, "sleep 0.02");
    let input = place.input();
    let rules = recorder.rule("kills", &input, "catch-up = true\nconcurrency = 4\ntimeout = '30s'");
    let (mut lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    for _ in 0..setting("FACRON_KILLS", 30) {
        let span = Duration::from_millis(dice.below(250));
        keep_doing(span, || changes.write(&input.join(dice.below(40).to_string())));
        lives.kill();
        // Nobody looks now.
        changes.write(&input.join(dice.below(40).to_string()));
        lives.begin_again();
    }
    recorder.wait_until_answered(&changes, || lives.daemon.log());
    assert_eq!(lives.daemon.stop().code(), Some(0));
    let history = recorder.history();
    history.judge();
    assert!(!lives.daemon.log().contains("journal cannot"), "{}", lives.daemon.log());
}

#[test]
fn what_waits_survives_a_kill_with_deletions_and_without_catching_up() {
    if !require_root("what_waits_survives_a_kill_with_deletions_and_without_catching_up") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 1, "");
    let input = place.input();
    let mut changes = Changes::default();
    for number in 0..60 {
        changes.write(&input.join(number.to_string()));
    }
    let rules = recorder.rule("waits", &input, "on = 'change'\ndebounce = '1500ms'");
    let mut lives = Lives::begin(&place, &rules);
    changes.forget();
    for number in 0..60 {
        let path = input.join(number.to_string());
        if number % 3 == 0 { changes.remove(&path) } else { changes.write(&path) }
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(recorder.history().runs(), 0, "everything waits");
    lives.kill_and_begin_again();
    recorder.wait_until_answered(&changes, || lives.daemon.log());
}

#[test]
fn what_runs_when_the_daemon_is_killed_runs_again_and_never_twice_at_once() {
    if !require_root("what_runs_when_the_daemon_is_killed_runs_again_and_never_twice_at_once") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 8, "sleep 3");
    let input = place.input();
    let rules = recorder.rule("runs", &input, "concurrency = 8");
    let (mut lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    for number in 0..8 {
        changes.write(&input.join(number.to_string()));
    }
    recorder.wait_until_answered(&changes, || lives.daemon.log());
    lives.kill_and_begin_again();
    wait_until(
        || recorder.history().starts.values().all(|found| found.len() >= 2),
        || format!("{:?}\n{}", recorder.history(), lives.daemon.log()),
    );
    recorder.history().judge();
    wait_until(|| recorder.history().ends >= 8, || lives.daemon.log());
    recorder.history().judge();
}

#[test]
fn a_stopped_daemon_keeps_what_waits_and_what_it_had_to_interrupt() {
    if !require_root("a_stopped_daemon_keeps_what_waits_and_what_it_had_to_interrupt") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 2, "sleep 2");
    let input = place.input();
    let rules = recorder.rule("stops", &input, "concurrency = 2");
    let rules = format!("[daemon]\nshutdown-timeout = '100ms'\n{rules}");
    let (mut lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    for number in 0..6 {
        changes.write(&input.join(number.to_string()));
    }
    wait_until(|| recorder.history().runs() == 2, || lives.daemon.log());
    assert_eq!(lives.daemon.stop().code(), Some(0));
    let interrupted = recorder.history();
    assert_eq!((interrupted.runs(), interrupted.ends), (2, 0));
    lives.begin_again();
    wait_until(
        || recorder.history().ends == 6,
        || format!("{:?}\n{}", recorder.history(), lives.daemon.log()),
    );
    recorder.history().judge();
    assert!(changes.unanswered(&recorder.history()).is_empty());
}

#[test]
fn a_pause_outlives_the_daemon_and_so_does_what_came_during_it() {
    if !require_root("a_pause_outlives_the_daemon_and_so_does_what_came_during_it") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 1, "");
    let input = place.input();
    let (mut lives, mut changes) =
        (Lives::begin(&place, &recorder.rule("paused", &input, "")), Changes::default());
    control(&place, &["pause", "paused"]);
    changes.write(&input.join("x"));
    std::thread::sleep(Duration::from_millis(200));
    lives.kill_and_begin_again();
    changes.write(&input.join("y"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(recorder.history().runs(), 0);
    control(&place, &["resume", "paused"]);
    recorder.wait_until_answered(&changes, || lives.daemon.log());
}

fn control(place: &Place, arguments: &[&str]) {
    let mut command = crate::harness::facron();
    command.args(arguments).env("RUNTIME_DIRECTORY", place.path("run"));
    let output = command.output().expect("facron starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_happens_while_the_daemon_stands_still_is_found_by_a_walk() {
    if !require_root("what_happens_while_the_daemon_stands_still_is_found_by_a_walk") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::of_batches(&place);
    let input = place.input();
    for directory in 0..40 {
        fs::create_dir(input.join(directory.to_string())).expect("mkdir");
    }
    let keys = "scope = 'tree'\nbatch = true\ndebounce = '100ms'\nqueue-limit = 100000";
    let rules = recorder.rule("flood", &input, keys).replace("'{path}'", "'{paths}'");
    let lives = Lives::begin(&place, &rules);
    lives.daemon.signal(libc::SIGSTOP);
    let mut changes = Changes::default();
    for number in 0..40_000 {
        changes.write(&input.join(format!("{}/{number}", number % 40)));
    }
    lives.daemon.signal(libc::SIGCONT);
    recorder.wait_until_answered(&changes, || lives.daemon.log());
    lives.daemon.wait_for_log("overflow");
}

#[test]
fn two_daemons_do_not_share_a_place() {
    if !require_root("two_daemons_do_not_share_a_place") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 1, "");
    let rules = recorder.rule("first", &place.input(), "");
    let (lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    for (what, runtime, state) in
        [("both", "run", "state"), ("runtime", "run", "other"), ("state", "other", "state")]
    {
        let started = std::time::Instant::now();
        let mut second = crate::harness::facron();
        second.args(["run", "-c"]).arg(place.path("facron.toml"));
        second.env("STATE_DIRECTORY", place.path(state)).env("RUNTIME_DIRECTORY", place.path(runtime));
        let output = second.output().expect("facron starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "the same {what}: {said}");
        assert!(started.elapsed() < Duration::from_secs(1), "the same {what}: {:?}", started.elapsed());
        assert!(said.contains(place.path("").to_str().expect("UTF-8")), "{said}");
    }
    changes.write(&place.input().join("x"));
    recorder.wait_until_answered(&changes, || lives.daemon.log());
}
