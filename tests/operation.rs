//! The daemon among its neighbours: a service manager, a bus that never answers, a reader of the log that stops.
#![expect(clippy::disallowed_methods, reason = "the daemon and its neighbours are processes")]

#[expect(dead_code, reason = "this test needs only a part of it")]
mod common;
#[expect(dead_code, reason = "this test needs only a part of it")]
#[path = "common/daemon.rs"]
mod harness;

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use harness::{PATIENCE, Place, facron, wait_until};

/// `facron run` as whoever tests, with a log or without.
struct Daemon(Child);

impl Daemon {
    fn start(place: &Place, change: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = facron();
        command.arg("run").arg("-c").arg(place.path("facron.toml"));
        command.env("STATE_DIRECTORY", place.path("state")).env("RUNTIME_DIRECTORY", place.path("run"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        change(&mut command);
        Daemon(command.spawn().expect("facron starts"))
    }

    fn is_ready(&self, place: &Place) -> bool {
        let (status, _) = ask(place, &["status", "--format", "json"]);
        status.contains("\"state\":\"armed\"") && !status.contains("\"state\":\"arming\"")
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.0.id()).expect("a pid is small");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it is alive");
    }

    /// SIGTERM; gives its exit status and how long that took.
    fn stop(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal(nix::sys::signal::Signal::SIGTERM);
        wait_until(|| matches!(self.0.try_wait(), Ok(Some(_))), || "it does not stop".to_owned());
        (self.0.wait().expect("it is ours"), start.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn place(rules: &str) -> Place {
    let place = Place::new(nix::unistd::geteuid().as_raw());
    let root = place.path("");
    place.file("facron.toml", &rules.replace("ROOT", root.to_str().expect("UTF-8").trim_end_matches('/')));
    place
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// Asks the daemon; what is said on the standard output, and on the other.
fn ask(place: &Place, arguments: &[&str]) -> (String, String) {
    let mut command = facron();
    command.args(arguments).env("RUNTIME_DIRECTORY", place.path("run"));
    let output = command.output().expect("facron starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_status_tells_of_the_kernel_and_of_rules_that_are_switched_off() {
    let place = place(
        "[[rule]]\nname = 'on'\npath = 'ROOT/in'\ncommand = '/bin/true'\n\
         [[rule]]\nname = 'off'\npath = 'ROOT/in'\ncommand = '/bin/true'\nenabled = false\n",
    );
    let mut daemon = Daemon::start(&place, |_| {});
    wait_until(|| daemon.is_ready(&place), || "it is not ready".to_owned());
    let (status, _) = ask(&place, &["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("readable");
    assert_eq!(status["daemon"]["kernel"]["release"], release.trim());
    for feature in ["marks", "objects", "causes", "cgroup", "pid-namespace"] {
        assert!(status["daemon"]["kernel"][feature].is_string(), "{feature}: {status}");
    }
    assert_eq!(status["rules"][0]["state"], "armed");
    assert_eq!(status["rules"][1]["state"], "disabled");
    assert!(ask(&place, &["status", "off"]).0.starts_with("off: disabled\n"));
    let (_, refusal) = ask(&place, &["trigger", "off"]);
    assert!(refusal.contains("`off` is disabled"), "{refusal}");
    assert!(daemon.stop().0.success());
}

#[test]
fn losing_all_rules_is_a_warning() {
    let place = place("[[rule]]\nname = 'on'\npath = 'ROOT/in'\ncommand = '/bin/true'\nenabled = false\n");
    let log = place.path("log");
    let warnings = || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.lines().filter(|line| line.contains("WARN  there is no rule: nothing is watched")).count()
    };
    let mut daemon = Daemon::start(&place, |command| {
        command.stderr(fs::File::create(&log).expect("a log"));
    });
    wait_until(|| warnings() == 1, || fs::read_to_string(&log).unwrap_or_default());
    place.file("facron.toml", "");
    assert_eq!(ask(&place, &["reload"]), (String::new(), String::new()));
    wait_until(|| warnings() == 2, || fs::read_to_string(&log).unwrap_or_default());
    assert!(daemon.stop().0.success());
}

#[test]
fn a_trigger_says_what_is_wrong_with_the_path() {
    let place = place("[[rule]]\nname = 'on'\npath = 'ROOT/in'\ncommand = '/bin/true'\n");
    let mut daemon = Daemon::start(&place, |_| {});
    wait_until(|| daemon.is_ready(&place), || "it is not ready".to_owned());
    let (path, other) = (place.path("in/../in/f"), place.path("other"));
    let said = |path: &Path| ask(&place, &["trigger", "on", path.to_str().expect("UTF-8")]).1;
    assert!(said(&path).ends_with("has a `..`; name the path without it\n"), "{}", said(&path));
    assert!(said(&other).ends_with("is not below a path of rule on\n"), "{}", said(&other));
    assert!(daemon.stop().0.success());
}

#[test]
fn a_state_directory_that_others_may_write_is_logged_with_a_way_out_on_the_same_line() {
    let place = place("[[rule]]\nname = 'on'\npath = 'ROOT/in'\ncommand = '/bin/true'\n");
    let (log, open) = (place.path("log"), place.directory("open"));
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).expect("ours");
    let mut daemon = Daemon::start(&place, |command| {
        command.env("STATE_DIRECTORY", &open).stderr(fs::File::create(&log).expect("a log"));
    });
    let text = || fs::read_to_string(&log).unwrap_or_default();
    wait_until(|| text().contains("(mode 1777); help: use a directory where only"), text);
    assert!(daemon.stop().0.success());
}

#[test]
fn whoever_waits_for_the_events_of_a_path_that_is_not_there_is_told() {
    let place = place("");
    let (log, path) = (place.path("log"), place.path("in/nothing"));
    let mut command = facron();
    command.arg("events").arg(&path).stdin(Stdio::null()).stdout(Stdio::null());
    let log_file = fs::File::create(&log).expect("a log");
    let mut events = Daemon(command.stderr(log_file).spawn().expect("facron starts"));
    let expected = format!("facron events: waiting for {} to appear\n", path.display());
    let said = || fs::read_to_string(&log).unwrap_or_default();
    wait_until(|| said() == expected, said);
    assert!(events.stop().0.success());
}

#[test]
fn the_service_manager_hears_of_everything_and_commands_of_nothing() {
    let place = place(
        "[[rule]]\nname = 'a'\npath = 'ROOT/in'\nshell = 'env > ROOT/new; mv ROOT/new ROOT/environment'\n\
         inherit-env = ['NOTIFY_SOCKET', 'WATCHDOG_USEC']\n",
    );
    let socket = UnixDatagram::bind(place.path("notify")).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut daemon = Daemon::start(&place, |command| {
        command.env("NOTIFY_SOCKET", place.path("notify")).env("WATCHDOG_USEC", "1000000");
    });
    let wait_for = |words: &str| {
        let mut bytes = [0; 4096];
        loop {
            let count = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no {words}: {error}"));
            let message = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if message.contains(words) {
                return message;
            }
        }
    };
    let ready = wait_for("READY=1");
    assert!(ready.contains("STATUS="), "{ready}");
    wait_for("WATCHDOG=1");
    wait_for("WATCHDOG=1");

    fs::write(place.input().join("x"), "").expect("written");
    wait_until(|| place.path("environment").exists(), || "the command does not run".to_owned());
    let environment = fs::read_to_string(place.path("environment")).expect("readable");
    assert!(environment.contains("FACRON_RULE=a"), "{environment}");
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "RUNTIME_DIRECTORY", "STATE_DIRECTORY"] {
        assert!(!environment.contains(variable), "{environment}");
    }

    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    let reloading = wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    wait_for("READY=1");
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    wait_for("STOPPING=1");
    assert!(daemon.0.wait().expect("it is ours").success());
}

#[test]
fn a_bus_that_never_answers_delays_no_run_and_not_the_end() {
    let place = place(
        "[[rule]]\nname = 'fails'\npath = 'ROOT/in'\ninclude = ['bad*']\nconcurrency = 10\n\
         shell = 'echo >> ROOT/fails; exit 3'\n\
         [[rule]]\nname = 'works'\npath = 'ROOT/in'\ninclude = ['good*']\nconcurrency = 10\n\
         shell = 'echo >> ROOT/works'\n",
    );
    let _silent = UnixListener::bind(place.path("bus")).expect("bound");
    let address = format!("unix:path={}", place.path("bus").display());
    let mut daemon = Daemon::start(&place, |command| {
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
    });
    wait_until(|| daemon.is_ready(&place), || "it does not start".to_owned());
    let start = Instant::now();
    for number in 0..20 {
        fs::write(place.input().join(format!("bad{number}")), "").expect("written");
        fs::write(place.input().join(format!("good{number}")), "").expect("written");
    }
    let has_run = || lines(&place.path("fails")) == 20 && lines(&place.path("works")) == 20;
    wait_until(has_run, || "runs are missing".to_owned());
    // The helper of a notification may live for five seconds.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let (status, took) = daemon.stop();
    assert!(status.success() && took < Duration::from_secs(4), "{status} after {took:?}");
}

#[test]
fn a_reader_of_the_log_that_stops_delays_no_run_and_not_the_end() {
    // 64 KiB of output a run fill the pipe with the first one, and our own queue with the rest.
    let place = place(
        "[[rule]]\nname = 'talks'\npath = 'ROOT/in'\nconcurrency = 4\n\
         shell = 'seq 1 11000; echo >> ROOT/runs'\n",
    );
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    let mut daemon = Daemon::start(&place, |command| {
        command.stderr(writer);
    });
    wait_until(|| daemon.is_ready(&place), || "it does not start".to_owned());
    for number in 0..150 {
        fs::write(place.input().join(number.to_string()), "").expect("written");
    }
    let runs = || lines(&place.path("runs"));
    wait_until(|| runs() == 150, || format!("{} of 150 runs", runs()));
    let (status, took) = daemon.stop();
    assert!(status.success() && took < Duration::from_secs(20), "{status} after {took:?}");
}

#[test]
fn a_daemon_that_is_stopping_does_not_reload() {
    let place = place(
        "[[rule]]\nname = 'slow'\npath = 'ROOT/in'\n\
         shell = 'echo >> ROOT/runs; until [ -e ROOT/go ]; do sleep 0.05; done'\n",
    );
    let log = fs::File::create(place.path("log")).expect("made");
    let mut daemon = Daemon::start(&place, |command| {
        command.stderr(log);
    });
    let said = |words: &str| fs::read_to_string(place.path("log")).expect("readable").contains(words);
    wait_until(|| daemon.is_ready(&place), || "it does not start".to_owned());
    fs::write(place.input().join("file"), "").expect("written");
    wait_until(|| lines(&place.path("runs")) == 1, || "it does not run".to_owned());
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    wait_until(|| said("stopping"), || "it does not begin to stop".to_owned());

    let (_, error) = ask(&place, &["reload"]);
    assert!(error.contains("the daemon is stopping"), "{error}");
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    let refusals = || {
        let log = fs::read_to_string(place.path("log")).expect("readable");
        log.lines().filter(|line| line.contains("reload refused")).count()
    };
    wait_until(|| refusals() == 2, || format!("{} of 2 refusals", refusals()));
    assert!(!said("reloaded"));

    fs::write(place.path("go"), "").expect("written");
    let (status, _) = daemon.stop();
    assert!(status.success(), "{status}");
}

#[test]
fn a_second_instance_leaves_the_first_alone_and_a_killed_one_leaves_the_place() {
    let place = place("[[rule]]\nname = 'a'\npath = 'ROOT/in'\nshell = 'echo >> ROOT/runs'\n");
    let mut first = Daemon::start(&place, |_| {});
    wait_until(|| first.is_ready(&place), || "it does not start".to_owned());
    let mut second = Daemon::start(&place, |_| {});
    wait_until(|| matches!(second.0.try_wait(), Ok(Some(_))), || "the second one does not end".to_owned());
    assert_eq!(second.0.wait().expect("it is ours").code(), Some(3));
    fs::write(place.input().join("x"), "").expect("written");
    wait_until(|| lines(&place.path("runs")) == 1, || "the first one does not work any more".to_owned());

    first.0.kill().expect("it is alive");
    first.0.wait().expect("it is ours");
    let mut third = Daemon::start(&place, |_| {});
    wait_until(|| third.is_ready(&place), || "the place is not free".to_owned());
    assert!(third.stop().0.success());
}
