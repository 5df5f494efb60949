//! Starts that somebody else holds up: the others go on, and the run can be ended all the same. Needs root.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use facron::engine::{Exit, StopSignal};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use facron::supervisor::SupervisorNotice;
use facron::sys::clock;

use crate::common;
use crate::supervised::*;

/// By which signal the holder is told (fcntl(2)); by default it is SIGIO, which would end us.
const F_SETSIG: i32 = 10;

/// Takes a lease on a program: who runs it waits until we give it back, or for `lease-break-time` (45 s).
fn lease(program: &Path) -> File {
    let file = File::open(program).expect("it is there");
    for (command, argument) in [(F_SETSIG, libc::SIGURG), (libc::F_SETLEASE, libc::F_WRLCK)] {
        let result = fcntl(&file, command, argument);
        Errno::result(result).expect("root may lease what nobody has open");
    }
    file
}

#[expect(unsafe_code, reason = "nix knows no leases")]
fn fcntl(file: &File, command: i32, argument: i32) -> i32 {
    // SAFETY: fcntl(2) with these commands takes a number.
    unsafe { libc::fcntl(file.as_raw_fd(), command, argument) }
}

#[test]
fn a_start_that_a_user_holds_up_holds_up_nobody_else_and_can_be_ended() {
    if !common::require_root("a_start_that_a_user_holds_up_holds_up_nobody_else_and_can_be_ended") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let program = directory.path().join("program");
    crate::copy::copy_program("/bin/true", &program);
    let lease = lease(&program);
    let mut supervised = Supervised::new();
    let held_up = |keys: &str| rule(&[program.to_str().expect("UTF-8")], &format!("user = 'nobody'\n{keys}"));
    let first = supervised.start(held_up("")).expect("it is on its way");
    let second = supervised.start(held_up("")).expect("it is on its way");
    // Those of root, and those of the same user behind them.
    assert_eq!(supervised.run(rule(&["/bin/true"], "")).exit, Exit::Code(0));
    assert_eq!(supervised.run(rule(&["/bin/true"], "user = 'nobody'")).exit, Exit::Code(0));
    assert_eq!(supervised.supervisor.running().collect::<Vec<_>>(), [first, second]);

    supervised.signal(first, StopSignal::Ask(libc::SIGTERM));
    supervised.signal(first, StopSignal::Kill);
    assert_eq!(supervised.end_of(first).exit, Exit::Signal(libc::SIGKILL));
    assert_eq!(supervised.supervisor.running().collect::<Vec<_>>(), [second]);
    drop(lease);
    assert_eq!(supervised.end_of(second).exit, Exit::Code(0));
}

#[test]
fn a_process_that_another_thread_has_started_is_known_before_that_is_told() {
    if !common::require_root("a_process_that_another_thread_has_started_is_known_before_that_is_told") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    let mut supervised = Supervised::new();
    for round in 0..20 {
        let said = directory.path().join(round.to_string());
        let text = format!("echo $$ > {0}.new && mv {0}.new {0}; exec sleep 1000", said.display());
        let run = supervised.start(script(&text, "user = 'nobody'")).expect("it is on its way");
        let end = clock::monotonic() + PATIENCE;
        while !said.exists() {
            assert!(clock::monotonic() < end, "it does not run");
        }
        // Nothing was taken in from the other thread meanwhile.
        let pid = fs::read_to_string(&said).expect("written").trim().parse().expect("a number");
        for _ in 0..100 {
            assert_eq!(supervised.supervisor.cause(pid), Some(run), "round {round}");
        }
        supervised.signal(run, StopSignal::Kill);
        supervised.end_of(run);
    }
}

#[test]
fn a_dead_process_that_is_traced_does_not_keep_the_loop_busy() {
    const TEST: &str = "a_dead_process_that_is_traced_does_not_keep_the_loop_busy";
    if !common::require_root(TEST) {
        return;
    }
    let mut supervised = Supervised::new();
    // Who traces a process hears of its end first; this one hears nothing any more.
    let text = "strace -qq -o /dev/null -p $$ & tracer=$!
        (while ! grep -q 'TracerPid:.*[1-9]' /proc/$$/status; do sleep 0.01; done
         kill -STOP $tracer; kill -KILL $$; echo $tracer) &
        sleep 1000";
    let run = supervised.start(script(text, "leftover = 'keep'")).expect("it starts");
    supervised.wait_for(|notice| matches!(notice, SupervisorNotice::Output { .. }));
    let Some(SupervisorNotice::Output { text: tracer, .. }) = supervised.notices.first() else {
        panic!("{:?}", supervised.notices)
    };
    let tracer = String::from_utf8_lossy(tracer).parse().expect("a number");
    let (end, mut turns) = (clock::monotonic() + Duration::from_secs(1), 0);
    while clock::monotonic() < end {
        supervised.work_until(end);
        turns += 1;
    }
    assert_eq!(supervised.supervisor.running().collect::<Vec<_>>(), [run], "it is not reaped");
    kill(Pid::from_raw(tracer), Signal::SIGKILL).expect("it is stopped");
    assert_eq!(supervised.end_of(run).exit, Exit::Signal(libc::SIGKILL));
    assert!(turns < 200, "{turns} turns in a second");
}
