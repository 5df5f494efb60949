//! How whole process trees are held and ended: control groups, PID namespaces, sessions. Needs root.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use facron::engine::{Exit, StopSignal};
use facron::supervisor::{Options, SupervisorNotice};
use facron::sys::cgroup::{Location, Version, path_of};
use facron::sys::{clock, process};

use crate::common;
use crate::supervised::*;

/// A supervisor that has tried everything.
fn contained() -> Supervised {
    let program = Some(env!("CARGO_BIN_EXE_facron").into());
    Supervised::with(Options { program, ..Options::default() })
}

/// The levels that hold everything, where they work here.
fn strong_levels(test: &str) -> Vec<&'static str> {
    let mut supervised = contained();
    let levels = ["cgroup", "pid-namespace"].into_iter().filter(|level| {
        let rule = rule(&["/bin/true"], &format!("contain = '{level}'"));
        let works = supervised.supervisor.can_contain(&rule.setting);
        common::require(test, &format!("{level}: {works:?}"), works.is_ok())
    });
    levels.collect()
}

/// The process ids that a run has written, one a line.
fn pids(supervised: &Supervised) -> Vec<i32> {
    let texts = supervised.notices.iter().filter_map(|notice| match notice {
        SupervisorNotice::Output { text, .. } => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    });
    texts.collect()
}

fn wait_for_lines(supervised: &mut Supervised, count: usize) {
    let end = clock::monotonic() + PATIENCE;
    while pids(supervised).len() < count {
        assert!(clock::monotonic() < end, "{:?}", supervised.notices);
        supervised.work_until(clock::monotonic() + Duration::from_millis(50));
    }
}

/// Whether the processes are still there, by the ids that they have in our namespace.
fn alive(pids: &[i32]) -> Vec<i32> {
    pids.iter().copied().filter(|pid| !process::is_zombie(*pid)).collect()
}

/// Ids of all processes with this word in their command line.
fn with_word(word: &str) -> Vec<i32> {
    let has_it = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    };
    process::all().filter(has_it).collect()
}

fn none() -> Vec<i32> {
    Vec::new()
}

/// Asks, waits a little, kills, and says how long it took from the kill to the end.
fn stop(supervised: &mut Supervised, run: facron::event::RunId) -> (Exit, Duration) {
    supervised.signal(run, StopSignal::Ask(libc::SIGTERM));
    supervised.work_until(clock::monotonic() + Duration::from_millis(100));
    supervised.signal(run, StopSignal::Kill);
    let killed = clock::monotonic();
    let exit = supervised.end_of(run).exit;
    (exit, clock::monotonic().since(killed))
}

#[test]
fn everything_that_a_run_started_is_gone_when_its_end_is_told() {
    const TEST: &str = "everything_that_a_run_started_is_gone_when_its_end_is_told";
    if !common::require_root(TEST) {
        return;
    }
    let hostile = [
        (
            "a daemon that ignores requests",
            "setsid sh -c 'trap \"\" TERM; (sleep WORD; :) & sleep WORD; :' & echo 1; sleep WORD",
        ),
        ("a double fork", "(setsid sh -c '(setsid sleep WORD &) ; sleep WORD' &) ; echo 1; sleep WORD"),
        (
            "a stopped tree",
            "trap '' TERM; sleep WORD & sleep WORD & echo 1; sleep 0.3; kill -STOP 0; sleep WORD",
        ),
        (
            "hoppers",
            "for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'n() { (sleep 0.01; n) & }; n; sleep WORD' & done; echo 1; sleep WORD",
        ),
    ];
    for (number, level) in strong_levels(TEST).into_iter().enumerate() {
        for (index, (what, text)) in hostile.iter().enumerate() {
            let word = format!("98765.{}{number}{index}", std::process::id());
            let mut supervised = contained();
            let rule = script(&text.replace("WORD", &word), &format!("contain = '{level}'"));
            let run = supervised.start(rule).expect("started");
            wait_for_lines(&mut supervised, 1);
            let end = clock::monotonic() + PATIENCE;
            while with_word(&word).len() < 2 {
                assert!(clock::monotonic() < end, "{what} under {level} does not start");
            }
            let (exit, took) = stop(&mut supervised, run);
            assert!(matches!(exit, Exit::Signal(_)), "{what} under {level}: {exit:?}");
            assert!(took < Duration::from_secs(1), "{what} under {level}: {took:?}");
            assert_eq!(with_word(&word), none(), "{what} under {level}");
        }
    }
}

#[test]
fn a_request_reaches_processes_that_made_sessions_of_their_own() {
    const TEST: &str = "a_request_reaches_processes_that_made_sessions_of_their_own";
    if !common::require_root(TEST) {
        return;
    }
    for level in strong_levels(TEST) {
        let text = "setsid sh -c 'trap \"echo 2; exit\" TERM; echo 1; while :; do sleep 0.02; done' & \
                    trap 'sleep 0.3; exit 4' TERM; while :; do sleep 0.02; done";
        let mut supervised = contained();
        let run = supervised.start(script(text, &format!("contain = '{level}'"))).expect("started");
        wait_for_lines(&mut supervised, 1);
        supervised.signal(run, StopSignal::Ask(libc::SIGTERM));
        let end = supervised.end_of(run);
        assert_eq!((end.exit, end.out.as_str()), (Exit::Code(4), "1\n2\n"), "{level}");
    }
}

#[test]
fn a_command_in_a_pid_namespace_is_not_its_first_process_and_takes_signals() {
    const TEST: &str = "a_command_in_a_pid_namespace_is_not_its_first_process_and_takes_signals";
    if !common::require_root(TEST) || !strong_levels(TEST).contains(&"pid-namespace") {
        return;
    }
    let mut supervised = contained();
    let run = supervised.start(script("echo $$; sleep 1000", "contain = 'pid-namespace'")).expect("started");
    wait_for_lines(&mut supervised, 1);
    assert_eq!(pids(&supervised), vec![2]);
    supervised.signal(run, StopSignal::Ask(libc::SIGTERM));
    assert_eq!(supervised.end_of(run).exit, Exit::Signal(libc::SIGTERM));
    // What it leaves running ends with it.
    let word = format!("98764.{}", std::process::id());
    let rule = script(&format!("setsid sleep {word} & sleep 0.2; exit 6"), "contain = 'pid-namespace'");
    assert_eq!(supervised.run(rule).exit, Exit::Code(6));
    assert_eq!(with_word(&word), none());
}

#[test]
fn what_is_left_running_goes_on_and_its_group_goes_when_it_has_ended() {
    const TEST: &str = "what_is_left_running_goes_on_and_its_group_goes_when_it_has_ended";
    if !common::require_root(TEST) || !strong_levels(TEST).contains(&"cgroup") {
        return;
    }
    let mut supervised = contained();
    let word = format!("98763.{}", std::process::id());
    let text = format!("setsid sleep {word} >/dev/null 2>&1 & echo $!");
    assert_eq!(supervised.run(script(&text, "contain = 'cgroup'")).exit, Exit::Code(0));
    let left = pids(&supervised);
    assert_eq!(alive(&left), left);
    let group = path_of(left[0]).expect("it is somewhere");
    // Neither the end of this supervisor nor the start of another ends it.
    drop(supervised);
    let mut supervised = contained();
    assert_eq!(alive(&left), left);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(left[0]), nix::sys::signal::Signal::SIGKILL)
        .expect("killed");
    assert_eq!(supervised.run(script("exit 0", "contain = 'cgroup'")).exit, Exit::Code(0));
    let own = Location::own(Version::Two).expect("there");
    let group = own.directory.join(group.strip_prefix(&own.path).expect("below ours"));
    let end = clock::monotonic() + PATIENCE;
    while group.exists() {
        assert!(clock::monotonic() < end, "{} is left", group.display());
        drop(contained());
    }
}

#[test]
fn what_ran_when_an_earlier_life_ended_is_ended_before_anything_runs() {
    const TEST: &str = "what_ran_when_an_earlier_life_ended_is_ended_before_anything_runs";
    if !common::require_root(TEST) || !strong_levels(TEST).contains(&"cgroup") {
        return;
    }
    let word = format!("98762.{}", std::process::id());
    let mut supervised = contained();
    let text = format!("trap '' TERM; setsid sleep {word} & sleep {word}; echo never");
    supervised.start(script(&text, "contain = 'cgroup'")).expect("started");
    let end = clock::monotonic() + PATIENCE;
    while with_word(&word).len() < 2 {
        assert!(clock::monotonic() < end, "it does not start");
    }
    // The end of a daemon alone ends nothing; the start of another does, be it that of another test.
    supervised.leaves_all_running = true;
    drop(supervised);
    drop(contained());
    assert_eq!(with_word(&word), none());
}

#[test]
fn a_fork_bomb_stays_within_its_limit_and_is_ended() {
    const TEST: &str = "a_fork_bomb_stays_within_its_limit_and_is_ended";
    if !common::require_root(TEST) {
        return;
    }
    let mut supervised = contained();
    let text = "bomb() { bomb & bomb & sleep 0.05; }; echo $$; bomb; while :; do bomb; done";
    let rule = script(text, "limits = { pids = 64 }");
    let works = supervised.supervisor.can_contain(&rule.setting);
    if !common::require(TEST, &format!("the pids controller: {works:?}"), works.is_ok()) {
        return;
    }
    let run = supervised.start(rule).expect("started");
    wait_for_lines(&mut supervised, 1);
    let session = pids(&supervised)[0];
    let is_of_run = |pid: &i32| process::session_of(*pid) == Ok(session);
    // Those that have ended wait for whoever inherits orphans on this machine, and are counted until then.
    let mut most = 0;
    let end = clock::monotonic() + Duration::from_millis(500);
    while clock::monotonic() < end {
        most = most.max(process::all().filter(is_of_run).count());
        supervised.work_until(clock::monotonic() + Duration::from_millis(5));
    }
    assert!((32..=64).contains(&most), "{most} processes at once");
    let (_, took) = stop(&mut supervised, run);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(process::all().filter(is_of_run).filter(|pid| !process::is_zombie(*pid)).count(), 0);
}

#[test]
fn what_does_not_work_here_is_refused_with_the_reason() {
    // Without a program to try with nothing but sessions can be had.
    let mut supervised = Supervised::new();
    for keys in ["contain = 'cgroup'", "contain = 'pid-namespace'"] {
        let rule = rule(&["/bin/true"], keys);
        let reason = supervised.supervisor.can_contain(&rule.setting).expect_err(keys);
        assert!(reason.contains("does not work here"), "{reason}");
        let failure = supervised.start(rule).expect_err(keys);
        assert_eq!(failure.class.as_str(), "containment");
    }
    let rule = rule(&["/bin/true"], "contain = 'group'");
    assert_eq!(supervised.supervisor.can_contain(&rule.setting).map(|level| level.as_str()), Ok("group"));
    assert_eq!(supervised.run(rule).exit, Exit::Code(0));
}

#[test]
fn nothing_is_left_of_control_groups_when_a_supervisor_has_gone() {
    const TEST: &str = "nothing_is_left_of_control_groups_when_a_supervisor_has_gone";
    if !common::require_root(TEST) || !strong_levels(TEST).contains(&"cgroup") {
        return;
    }
    let mut supervised = contained();
    let own = Location::own(Version::Two).expect("there");
    let place_of = |end: &End| {
        let path = end.out.trim().strip_prefix("0::").expect("a path").to_owned();
        own.directory.join(Path::new(&path).strip_prefix(&own.path).expect("below ours"))
    };
    let first = place_of(&supervised.run(script("grep ^0: /proc/self/cgroup", "contain = 'cgroup'")));
    // An empty one serves the next run; one that is not as it was does not.
    let text = "grep ^0: /proc/self/cgroup; mkdir $0/below";
    let mut spoiling = script(text, "contain = 'cgroup'");
    if let facron::rule::Command::Argv(words) = &mut spoiling.command {
        words.push(facron::template::Template::literal(first.to_str().expect("UTF-8")));
    }
    assert_eq!(place_of(&supervised.run(spoiling)), first);
    assert!(!first.exists(), "{} is left", first.display());
    let third = place_of(&supervised.run(script("grep ^0: /proc/self/cgroup", "contain = 'cgroup'")));
    assert_ne!(third, first);
    let life = first.parent().expect("the life");
    assert!(life.exists());
    drop(supervised);
    assert!(!life.exists(), "{} is left", life.display());
}

#[test]
fn a_control_group_that_was_killed_serves_no_other_run() {
    const TEST: &str = "a_control_group_that_was_killed_serves_no_other_run";
    if !common::require_root(TEST) || !strong_levels(TEST).contains(&"cgroup") {
        return;
    }
    let mut supervised = contained();
    for _ in 0..3 {
        let run = supervised.start(rule(&["/bin/sleep", "1000"], "contain = 'cgroup'")).expect("started");
        supervised.signal(run, StopSignal::Kill);
        assert_eq!(supervised.end_of(run).exit, Exit::Signal(libc::SIGKILL));
        assert_eq!(supervised.run(rule(&["/bin/true"], "contain = 'cgroup'")).exit, Exit::Code(0));
    }
}

#[test]
fn who_cannot_be_ended_keeps_its_slot_and_is_said_once() {
    const TEST: &str = "who_cannot_be_ended_keeps_its_slot_and_is_said_once";
    if !common::require_root(TEST) {
        return;
    }
    // A daemon that is not root's, and a process of root's in the session of its run: nobody may signal that.
    let setpriv = Path::new("/usr/bin/setpriv");
    if !common::require(TEST, "setpriv(1)", setpriv.exists()) {
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").expect("a directory");
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).expect("mode set");
    let copy = place.path().join("setpriv");
    crate::copy::copy_program(setpriv, &copy);
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).expect("mode set");
    let go_on = place.path().join("go-on");
    std::fs::write(&go_on, "").expect("written");
    let text = format!(
        "{} --reuid 0 --regid 0 --clear-groups sh -c 'echo 1; while test -e {}; do sleep 0.05; done' & wait",
        copy.display(),
        go_on.display()
    );
    let nobody = std::thread::Builder::new().spawn(move || {
        super::identity::become_nobody_in_this_thread();
        let mut supervised = Supervised::new();
        let run = supervised.start(script(&text, "")).expect("started");
        wait_for_lines(&mut supervised, 1);
        supervised.signal(run, StopSignal::Kill);
        supervised.wait_for(|notice| matches!(notice, SupervisorNotice::Unkillable { .. }));
        // Longer than until the next look.
        let end = clock::monotonic() + Duration::from_millis(2500);
        while clock::monotonic() < end {
            supervised.work_until(end);
        }
        let is_said = |notice: &&SupervisorNotice| matches!(notice, SupervisorNotice::Unkillable { .. });
        assert_eq!(supervised.notices.iter().filter(is_said).count(), 1);
        assert_eq!(supervised.supervisor.running().len(), 1, "it keeps its slot");
        std::fs::remove_file(&go_on).expect_err("that is root's affair");
        (supervised, run)
    });
    let (mut supervised, run) = nobody.expect("a thread").join().expect("as expected");
    drop(place);
    assert_eq!(supervised.end_of(run).exit, Exit::Signal(libc::SIGKILL));
}
