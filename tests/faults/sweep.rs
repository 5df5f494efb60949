//! The n-th system call fails: strace(1) injects an error into the loop or into the journal's writer, for one n after
//! another. Either the daemon goes on as if nothing had been, or it ends with a message; never does it hang, panic, or
//! lose what a healthy life after it could still answer.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{require, require_root};
use crate::harness::{Place, facron};
use crate::history::{Changes, Recorder};
use crate::lives::Lives;
use crate::setting;

/// System calls of the loop, and the errors that they may give.
const CALLS: &[(&str, &[&str])] = &[
    ("openat", &["EMFILE", "ENOMEM", "EINTR"]),
    ("read", &["EINTR", "EAGAIN", "EIO"]),
    ("mmap", &["ENOMEM"]),
    ("clone3,clone,vfork", &["EAGAIN", "ENOMEM"]),
    ("pipe2", &["EMFILE", "ENFILE"]),
    ("epoll_wait,epoll_pwait,epoll_pwait2", &["EINTR"]),
    ("epoll_ctl", &["ENOMEM", "ENOSPC"]),
    ("fanotify_init", &["EMFILE", "ENOMEM"]),
    ("fanotify_mark", &["ENOMEM", "ENOSPC"]),
    ("statx,newfstatat,fstat", &["EIO", "ENOMEM"]),
    ("waitid,wait4", &["EINTR"]),
    ("pidfd_open", &["EMFILE", "ENOMEM"]),
    ("mkdir,mkdirat", &["ENOSPC", "EROFS"]),
    // The loop itself writes to eventfds only, which know neither full disks nor bad ones; the journal has its own test.
    ("write", &["EINTR"]),
    ("getdents64", &["EIO"]),
    ("name_to_handle_at", &["EIO", "ENOMEM"]),
];

/// How long a daemon may take until it has run, or has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a life with a fault in it.
#[derive(Debug, PartialEq)]
enum Fate {
    /// It ran for the change and stopped on request.
    WentOn,
    /// It ended by itself, with this status and something to say.
    GaveUp(i32),
}

#[test]
fn whichever_system_call_of_the_loop_fails_it_goes_on_or_says_why_not() {
    let test = "whichever_system_call_of_the_loop_fails_it_goes_on_or_says_why_not";
    if !require_root(test) || !require(test, "strace(1)", has_strace()) {
        return;
    }
    let is_full = setting("FACRON_SWEEP", 0) == 1;
    let before_main = calls_before_main();
    let (mut went_on, mut gave_up) = (0, 0);
    for (calls, errors) in CALLS {
        // An early fault hits the dynamic loader, whose end says nothing about us.
        let is_meant = |call: &&String| calls.split(',').any(|name| name == *call);
        let skipped = u32::try_from(before_main.iter().filter(is_meant).count()).expect("few calls");
        for (place, error) in errors.iter().enumerate() {
            // Without the flag only one call in all its kinds of trouble, and not always the first.
            let only = u32::try_from(place * 3).expect("few errors") + 1;
            let numbers = if is_full { 1..=300 } else { only..=only };
            for number in numbers.map(|number| skipped + number) {
                match live_with(calls, error, number) {
                    (Fate::WentOn, true) => went_on += 1,
                    // Fewer calls than that: the rest of the sweep would be the same.
                    (Fate::WentOn, false) => break,
                    (Fate::GaveUp(_), _) => gave_up += 1,
                }
            }
        }
    }
    // While it starts it may give up, with a word; once it runs it goes on.
    assert!(went_on > 0 && gave_up > 0, "{went_on} went on, {gave_up} gave up");
}

/// The names of the system calls that the dynamic loader and the runtime make before main: the last thing that they
/// do is to ask for the signal stack, and to set one.
fn calls_before_main() -> Vec<String> {
    let place = Place::new(0);
    let trace = place.path("trace");
    let mut command = Command::new("strace");
    command.arg("-o").arg(&trace).arg(facron().get_program()).arg("--version");
    assert!(command.stdout(Stdio::null()).status().expect("strace starts").success());
    let trace = fs::read_to_string(trace).expect("a trace");
    let calls: Vec<String> =
        trace.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name.to_owned()).collect();
    let mut stacks = calls.iter().enumerate().filter(|(_, name)| *name == "sigaltstack");
    let (end, _) = stacks.nth(1).expect("the runtime sets a signal stack");
    calls[..end].to_vec()
}

/// One life in which a call fails. Second: whether the fault was met at all.
fn live_with(calls: &str, error: &str, number: u32) -> (Fate, bool) {
    let what = format!("{calls} number {number} fails with {error}");
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 1, "");
    let input = place.input();
    place.file("facron.toml", &recorder.rule("sweep", &input, "catch-up = true"));
    let trace = place.path("trace");
    let mut command = Command::new("strace");
    command.arg("-qq").arg("-o").arg(&trace).args(["-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error={error}:when={number}")]);
    command.arg(facron().get_program()).args(["run", "-c"]).arg(place.path("facron.toml"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/");
    command.env("STATE_DIRECTORY", place.path("state")).env("RUNTIME_DIRECTORY", place.path("run"));
    let log = fs::File::create(place.path("traced-log")).expect("a log can be made");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut strace = command.spawn().expect("strace starts");
    let said =
        || String::from_utf8_lossy(&fs::read(place.path("traced-log")).unwrap_or_default()).into_owned();

    let (mut changes, started) = (Changes::default(), Instant::now());
    let path = input.join("x");
    let fate = loop {
        if let Some(status) = strace.try_wait().expect("it is our child") {
            let code = status.code().unwrap_or_else(|| panic!("{what}: {status}\n{}", said()));
            assert!(!matches!(code, 0 | 101 | 134), "{what}: exit status {code}\n{}", said());
            assert!(!said().is_empty(), "{what}: it ended with status {code} and said nothing");
            break Fate::GaveUp(code);
        }
        if said().contains("ready rules=") {
            changes.write(&path);
            std::thread::sleep(Duration::from_millis(30));
            if changes.unanswered(&recorder.history()).is_empty() {
                stop(&mut strace, &what, &said);
                break Fate::WentOn;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
        assert!(started.elapsed() < PATIENCE, "{what}: it neither runs nor ends\n{}", said());
    };
    assert!(!said().contains("panicked"), "{what}\n{}", said());
    recorder.history().judge();
    let is_met = fs::read_to_string(&trace).is_ok_and(|trace| trace.contains("(INJECTED)"));
    if fate != Fate::WentOn {
        // A healthy life makes good for what this one could not do.
        let lives = Lives::begin(&place, &fs::read_to_string(place.path("facron.toml")).expect("the rules"));
        changes.write(&path);
        recorder.wait_until_answered(&changes, || format!("{what}\n{}", lives.daemon.log()));
    }
    (fate, is_met)
}

/// SIGTERM to the daemon, not to strace.
fn stop(strace: &mut Child, what: &str, said: &impl Fn() -> String) {
    let children = format!("/proc/{0}/task/{0}/children", strace.id());
    let daemon = fs::read_to_string(children).expect("strace is alive");
    let daemon =
        daemon.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("strace has one child");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), nix::sys::signal::SIGTERM)
        .expect("it is alive");
    let asked = Instant::now();
    loop {
        if let Some(status) = strace.try_wait().expect("it is our child") {
            assert_eq!(status.code(), Some(0), "{what}\n{}", said());
            return;
        }
        assert!(asked.elapsed() < PATIENCE, "{what}: it does not stop\n{}", said());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn whatever_the_disk_answers_to_the_journal_runs_go_on() {
    let test = "whatever_the_disk_answers_to_the_journal_runs_go_on";
    if !require_root(test) || !require(test, "strace(1)", has_strace()) {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 4, "");
    let input = place.input();
    let rules = recorder.rule("sweep", &input, "concurrency = 4");
    let (mut lives, mut changes) = (Lives::begin(&place, &rules), Changes::default());
    for (calls, error) in [
        ("pwrite64", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("openat", "EMFILE"),
        ("fallocate", "ENOSPC"),
        ("unlinkat", "EIO"),
        ("fdatasync,fsync", "EIO"),
    ] {
        for thread in ["journal", "journal-sync"] {
            let mut strace = Command::new("strace");
            strace.args(["-qq", "-o", "/dev/null", "-p", &thread_id(lives.daemon.pid(), thread)]);
            strace.args(["-e", &format!("inject={calls}:error={error}:when=1+2")]);
            let mut strace = strace.stderr(Stdio::null()).spawn().expect("strace starts");
            for number in 0..40 {
                changes.write(&input.join(number.to_string()));
                std::thread::sleep(Duration::from_millis(10));
            }
            recorder.wait_until_answered(&changes, || lives.daemon.log());
            strace.kill().expect("it is our child");
            strace.wait().expect("it is our child");
        }
    }
    // Whatever trouble there was is over after the next try.
    for number in 0..40 {
        changes.write(&input.join(number.to_string()));
    }
    recorder.wait_until_answered(&changes, || lives.daemon.log());
    let log = lives.daemon.log();
    let (failed, recovered) =
        (log.matches("journal cannot be written").count(), log.matches("journal is written again").count());
    assert!(failed > 0, "the faults were met");
    assert!(recovered + 1 >= failed, "{failed} failed, {recovered} recovered\n{log}");
    lives.kill_and_begin_again();
    recorder.wait_until_answered(&changes, || lives.daemon.log());
}

/// The id of the thread of this name.
pub fn thread_id(pid: i32, name: &str) -> String {
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("it is alive") {
        let path = task.expect("a task").path();
        if fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name) {
            return path.file_name().expect("an id").to_string_lossy().into_owned();
        }
    }
    panic!("no thread {name}");
}

pub fn has_strace() -> bool {
    Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok()
}
