//! Which run caused an event: the kernel's events, real writers, most of them gone before they are looked at. Needs root.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use facron::engine::StopSignal;
use facron::event::RunId;
use facron::supervisor::Options;
use facron::sys::clock;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};

use crate::common;
use crate::supervised::*;

#[test]
#[expect(clippy::disallowed_methods, reason = "a fork of the test's own")]
fn who_does_not_listen_is_not_told_what_others_are_told() {
    use facron::sys::connector::{Connector, Filter, Heard};
    if !common::require_root("who_does_not_listen_is_not_told_what_others_are_told") {
        return;
    }
    let [listener, other] = [(); 2].map(|()| Connector::open(Filter::Everything).expect("root may"));
    let told = |connector: &Connector| {
        std::iter::from_fn(|| Some(connector.hear())).position(|heard| heard == Heard::Nothing)
    };
    for is_before in [true, false] {
        if !is_before {
            other.listen().expect("root may");
            other.ignore().expect("it listened");
            while other.hear() != Heard::Nothing {}
        }
        listener.listen().expect("root may");
        assert!(std::process::Command::new("/bin/true").status().expect("it starts").success());
        assert!(told(&listener) > Some(0), "the kernel tells of forks");
        assert_eq!(told(&other), Some(0), "before it listened: {is_before}");
        listener.ignore().expect("it listened");
    }
}

/// A directory whose closes after writing are reported with their process.
struct Watched {
    directory: tempfile::TempDir,
    group: Fanotify,
}

impl Watched {
    fn new() -> Watched {
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_NONBLOCK | InitFlags::FAN_CLOEXEC;
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC).expect("fanotify");
        let mask = MaskFlags::FAN_CLOSE_WRITE | MaskFlags::FAN_EVENT_ON_CHILD;
        group
            .mark(MarkFlags::FAN_MARK_ADD, mask, nix::fcntl::AT_FDCWD, Some(directory.path()))
            .expect("marked");
        Watched { directory, group }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The files that were closed, each with the run that did it.
    fn read(&self, supervised: &mut Supervised) -> Vec<(PathBuf, Option<RunId>)> {
        let events = self.group.read_events().unwrap_or_default();
        let read = events.iter().filter_map(|event| {
            let descriptor = event.fd()?.as_raw_fd();
            let path = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
            Some((path, supervised.supervisor.cause(event.pid())))
        });
        read.collect()
    }
}

fn with_everything() -> Supervised {
    let program = Some(env!("CARGO_BIN_EXE_facron").into());
    Supervised::with(Options { program, ..Options::default() })
}

/// Writes so many files by processes of nobody's run.
fn write_foreign(directory: &Path, count: usize) -> std::thread::JoinHandle<()> {
    let directory = directory.to_owned();
    let write = move || {
        for number in 0..count {
            let text = format!("touch {}/foreign-{number}", directory.display());
            #[expect(clippy::disallowed_methods, reason = "they are to be strangers")]
            let status = std::process::Command::new("/bin/sh").args(["-c", &text]).status();
            assert!(status.expect("sh runs").success());
        }
    };
    std::thread::Builder::new().spawn(write).expect("a thread")
}

#[test]
fn of_own_and_foreign_writers_none_is_mistaken_for_the_other() {
    const TEST: &str = "of_own_and_foreign_writers_none_is_mistaken_for_the_other";
    if !common::require_root(TEST) {
        return;
    }
    let mut supervised = with_everything();
    let has_it = supervised.supervisor.knows_the_dead();
    if !common::require(TEST, "the process connector (CAP_NET_ADMIN, first namespaces)", has_it) {
        return;
    }
    let watched = Watched::new();
    let directory = watched.path().display();
    // A child, a child of a child with a session of its own, and one whose parent is gone already: 300 times.
    // The run goes on until everything is read: who belonged to one that is over is known for two seconds only.
    let text = format!(
        "i=0; while test $i -lt 300; do i=$((i+1));
            sh -c \"touch {directory}/own-a$i\"
            setsid sh -c \"(echo >{directory}/own-b$i); :\"
            (sh -c \"touch {directory}/own-c$i\" &)
        done; exec sleep 1000"
    );
    let run = supervised.start(script(&text, "output = 'discard'")).expect("started");
    let foreign = write_foreign(watched.path(), 900);
    let (mut own_count, mut foreign_count, mut wrong) = (0, 0, Vec::new());
    let end = clock::monotonic() + PATIENCE;
    let mut rounds = 0;
    while own_count + foreign_count < 1800 {
        assert!(clock::monotonic() < end, "only {own_count} own and {foreign_count} foreign events came");
        supervised.work_until(clock::monotonic() + Duration::from_millis([0, 1, 20][rounds % 3]));
        rounds += 1;
        for (path, cause) in watched.read(&mut supervised) {
            let is_own = path.file_name().expect("a file").to_string_lossy().starts_with("own");
            *(if is_own { &mut own_count } else { &mut foreign_count }) += 1;
            if cause != is_own.then_some(run) {
                wrong.push((path, cause));
            }
        }
    }
    foreign.join().expect("all written");
    supervised.signal(run, StopSignal::Kill);
    supervised.end_of(run);
    assert!(
        wrong.is_empty(),
        "{} of {own_count} + {foreign_count}: {:?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
}

#[test]
fn a_run_that_is_over_is_still_known_when_its_last_event_is_read() {
    const TEST: &str = "a_run_that_is_over_is_still_known_when_its_last_event_is_read";
    if !common::require_root(TEST) {
        return;
    }
    let mut supervised = with_everything();
    if !common::require(TEST, "the process connector", supervised.supervisor.knows_the_dead()) {
        return;
    }
    let watched = Watched::new();
    let mut runs = BTreeMap::new();
    for number in 0..50 {
        let text = format!("sh -c 'touch {}/{number}'", watched.path().display());
        let run = supervised.start(script(&text, "")).expect("started");
        runs.insert(number.to_string(), run);
        supervised.end_of(run);
        for (path, cause) in watched.read(&mut supervised) {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            assert_eq!(cause, runs.get(&name).copied(), "{name}");
        }
    }
}

#[test]
fn where_the_kernel_does_not_tell_of_forks_the_living_are_asked() {
    const TEST: &str = "where_the_kernel_does_not_tell_of_forks_the_living_are_asked";
    if !common::require_root(TEST) {
        return;
    }
    // Without a program to try with there is neither a connector nor a control group.
    let mut supervised = Supervised::new();
    assert!(!supervised.supervisor.knows_the_dead());
    let watched = Watched::new();
    let directory = watched.path().display();
    let text = format!(
        "sh -c 'echo >{directory}/a; sleep 1000' &
         setsid sh -c 'echo >{directory}/b; while test -e {directory}/b; do sleep 0.05; done' & wait"
    );
    let run = supervised.start(script(&text, "")).expect("started");
    let mut causes = BTreeMap::new();
    let end = clock::monotonic() + PATIENCE;
    while causes.len() < 2 {
        assert!(clock::monotonic() < end, "{causes:?}");
        supervised.work_until(clock::monotonic() + Duration::from_millis(10));
        causes.extend(watched.read(&mut supervised));
    }
    assert_eq!(causes[&watched.path().join("a")], Some(run), "it is in the run's session");
    assert_eq!(causes[&watched.path().join("b")], None, "it has left the session, and nothing else holds it");
    assert_eq!(supervised.supervisor.cause(1), None);
    assert_eq!(supervised.supervisor.cause(0), None);
    supervised.signal(run, StopSignal::Kill);
    supervised.end_of(run);
}

#[test]
fn what_was_left_running_belongs_to_its_run_as_long_as_a_control_group_holds_it() {
    const TEST: &str = "what_was_left_running_belongs_to_its_run_as_long_as_a_control_group_holds_it";
    if !common::require_root(TEST) {
        return;
    }
    let mut supervised = with_everything();
    let works = supervised.supervisor.can_contain(&rule(&["/bin/true"], "contain = 'cgroup'").setting);
    if !common::require(TEST, &format!("control groups: {works:?}"), works.is_ok()) {
        return;
    }
    let watched = Watched::new();
    let directory = watched.path().display();
    let text = format!(
        "setsid sh -c 'while ! test -e {directory}/go; do sleep 0.01; done; echo >{directory}/late; exec sleep 1000' \
         >/dev/null 2>&1 & echo $!"
    );
    let run = supervised.start(script(&text, "contain = 'cgroup'")).expect("started");
    let left: i32 = supervised.end_of(run).out.trim().parse().expect("its id");
    // Longer than the dead are remembered.
    supervised.work_until(clock::monotonic() + Duration::from_secs(3));
    std::fs::write(watched.path().join("go"), "").expect("written");
    let mut causes = BTreeMap::new();
    let end = clock::monotonic() + PATIENCE;
    while !causes.contains_key(&watched.path().join("late")) {
        assert!(clock::monotonic() < end, "{causes:?}");
        supervised.work_until(clock::monotonic() + Duration::from_millis(10));
        causes.extend(watched.read(&mut supervised));
    }
    assert_eq!(causes[&watched.path().join("late")], Some(run));
    assert_eq!(causes[&watched.path().join("go")], None, "that were we");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), nix::sys::signal::Signal::SIGKILL)
        .expect("killed");
}
