//! A guard with a small daemon of its own, on a private tmpfs in a private mount namespace; and openers that cannot
//! hang for ever. Whatever a test does, its end kills daemon and guard, and so lets every opener go.
#![expect(clippy::disallowed_methods, reason = "tests start processes, and read the clock to measure them")]
#![expect(clippy::print_stderr, reason = "what went wrong is told where the test is read")]

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Pid;

use crate::harness::{Place, wait_until};

/// No opener lives longer than this, whatever happens.
const OPENER_LIFE: &str = "60";

/// Gives the calling thread, and the processes that it starts, mounts of their own.
pub fn privately() {
    unshare(CloneFlags::CLONE_NEWNS).expect("root may have mounts of its own");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("no mount leaks out");
}

/// A directory `in` to be guarded, and room beside it.
pub struct Ground {
    pub place: Place,
}

impl Ground {
    pub fn new() -> Ground {
        privately();
        Ground { place: Place::new(0) }
    }

    /// A file in the guarded directory.
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.place.input().join(name);
        fs::write(&path, "content\n").expect("the guarded directory can be written");
        path
    }

    /// One rule on the guarded directory.
    pub fn rule(&self, keys: &str) -> String {
        format!(
            "[[rule]]\nname = \"r\"\npath = {:?}\non = \"open-perm\"\ncommand = [\"/bin/true\"]\n{keys}\n",
            self.place.input()
        )
    }
}

/// The test's own daemon: this very test program in another role.
pub struct Warden {
    pub child: Child,
    log: PathBuf,
}

impl Warden {
    /// Starts it and waits until everything is guarded. `decide` is a program that decides about the path that it is
    /// given; without one nobody decides.
    pub fn start(ground: &Ground, rules: &str, decide: Option<&Path>) -> Warden {
        let warden = Warden::launch(ground, rules, decide);
        warden.wait_for("armed r");
        warden
    }

    pub fn launch(ground: &Ground, rules: &str, decide: Option<&Path>) -> Warden {
        Warden::launch_with(ground, rules, decide, Path::new(env!("CARGO_BIN_EXE_facron")))
    }

    /// With this program as the guard.
    pub fn launch_with(ground: &Ground, rules: &str, decide: Option<&Path>, guard: &Path) -> Warden {
        let file = ground.place.file("rules.toml", rules);
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let log = ground.place.path(format!("warden-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let out = fs::File::create(&log).expect("a log can be made");
        let program = std::env::current_exe().expect("a test knows its program");
        let mut command = Command::new(program);
        command.args(["--exact", "warden", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("FACRON_TEST_RULES", file).env("FACRON_TEST_GUARD", guard).stdin(Stdio::piped());
        if let Some(decide) = decide {
            command.env("FACRON_TEST_DECIDE", decide);
        }
        command.stdout(out.try_clone().expect("a descriptor")).stderr(out);
        Warden { child: command.spawn().expect("a test can be started"), log }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log is UTF-8")
    }

    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        wait_until(|| self.log().contains(words), || format!("no {words:?} in the log:\n{}", self.log()));
    }

    /// How often a line of the log begins so.
    pub fn count(&self, words: &str) -> usize {
        self.log().lines().filter(|line| line.starts_with(words)).count()
    }

    /// Tells it something.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("its input is ours");
        // In one write, which the other side reads as one.
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it listens");
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The guard that stands at this moment.
    pub fn guard(&self) -> i32 {
        let log = self.log();
        let pid = log.lines().rev().find_map(|line| line.strip_prefix("guard "));
        pid.expect("a guard was started").parse().expect("a process id")
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- warden ---\n{}", self.log());
        }
    }
}

/// Somebody who opens a file, and reads it.
pub struct Opener {
    child: Child,
    started: Instant,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    pub is_allowed: bool,
    pub error: String,
    pub output: String,
    pub took: Duration,
}

impl Opener {
    pub fn start(path: &Path) -> Opener {
        Opener::run(&["cat".as_ref(), path])
    }

    pub fn run(command: &[&Path]) -> Opener {
        let child = Command::new("timeout")
            .args(["-s", "KILL", OPENER_LIFE])
            .args(command)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("timeout(1) can be started");
        Opener { child, started: Instant::now() }
    }

    pub fn is_waiting(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Whether it waits in the kernel for an answer.
    pub fn is_blocked(&self) -> bool {
        let wchan = |pid: &String| fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        self.processes().iter().any(|pid| wchan(pid).contains("fanotify"))
    }

    /// Kills it, and waits for its end.
    pub fn kill(&mut self) {
        for pid in self.processes() {
            let pid = Pid::from_raw(pid.parse().expect("a process id"));
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it lives");
        }
        self.child.wait().expect("it is our child");
    }

    /// What opens; `timeout` has it as its child.
    fn processes(&self) -> Vec<String> {
        let timeout = self.child.id();
        let children = fs::read_to_string(format!("/proc/{timeout}/task/{timeout}/children"));
        children.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    pub fn wait(self) -> Opened {
        let started = self.started;
        let output = self.child.wait_with_output().expect("it is our child");
        let took = started.elapsed();
        assert_ne!(output.status.code(), Some(137), "an opener hung until it was killed");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
        Opened { is_allowed: output.status.success(), error, output: output_text, took }
    }
}

pub fn open(path: &Path) -> Opened {
    Opener::start(path).wait()
}

/// How often each blow falls; FACRON_GUARD_ROUNDS=50 for the whole proof.
pub fn rounds() -> u32 {
    std::env::var("FACRON_GUARD_ROUNDS").map_or(1, |rounds| rounds.parse().expect("a number"))
}

/// Sets the limit of open descriptors of a process; gives the one before.
pub fn rlimit(pid: i32, limit: u64) -> u64 {
    let run = |arguments: &[String]| {
        let output = Command::new("prlimit").args(arguments).output().expect("prlimit(1)");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let pid = format!("--pid={pid}");
    let before = run(&[pid.clone(), "--nofile".into(), "--output=SOFT".into(), "--noheadings".into()]);
    run(&[pid, format!("--nofile={limit}:")]);
    before.trim().parse().expect("a number")
}

/// The kernel's own watchdog, set to a second while it lives, and what it said meanwhile: that an event was read and
/// not answered in time. It speaks of the whole machine, so no test runs beside it in which openers wait for longer.
pub struct Watchdog {
    test: &'static str,
    kmsg: fs::File,
    _quiet: RwLockReadGuard<'static, ()>,
}

static QUIET: RwLock<()> = RwLock::new(());

/// Keeps the tests away that listen to the watchdog: openers wait here for longer than it bears.
pub fn without_watchdog() -> RwLockWriteGuard<'static, ()> {
    QUIET.write().unwrap_or_else(PoisonError::into_inner)
}

/// How often a test has been run again, since the watchdog complained.
const AGAIN: &str = "FACRON_WATCHDOG_AGAIN";

const WATCHDOG: &str = "/proc/sys/fs/fanotify/watchdog_timeout";

/// How many tests use the watchdog at this moment, and how it was set before.
static WATCHDOGS: Mutex<(usize, String)> = Mutex::new((0, String::new()));

impl Watchdog {
    pub fn new(test: &'static str) -> Watchdog {
        let quiet = QUIET.read().unwrap_or_else(PoisonError::into_inner);
        let mut watchdogs = WATCHDOGS.lock().expect("no test panics while it has it");
        if watchdogs.0 == 0 {
            watchdogs.1 = fs::read_to_string(WATCHDOG).unwrap_or_default();
            // Kernels without it have nothing to say either.
            let _ = fs::write(WATCHDOG, "1");
        }
        watchdogs.0 += 1;
        let flags = OFlag::O_NONBLOCK.bits();
        let mut kmsg =
            fs::File::options().read(true).custom_flags(flags).open("/dev/kmsg").expect("root may");
        kmsg.seek(SeekFrom::End(0)).expect("it has an end");
        Watchdog { test, kmsg, _quiet: quiet }
    }

    /// It said nothing, or not each of three times that the test runs. Linux 6.18 does not set its count to zero when
    /// an event is made, so that an event which takes the memory of one that was seen waiting may be reported though
    /// it waits for milliseconds (ran), once for each piece of memory; and a machine may stand still. An event that
    /// nobody answers is reported each time.
    #[track_caller]
    pub fn assert_silent(mut self) {
        let Some(complaint) = self.complaint() else { return };
        let again = std::env::var(AGAIN).map_or(0, |times| times.parse().expect("a number")) + 1;
        assert!(again < 3, "{complaint}");
        eprintln!("{} runs again, since the kernel's watchdog said: {complaint}", self.test);
        let program = std::env::current_exe().expect("a test knows its program");
        let mut command = Command::new(program);
        command.args(["--exact", self.test, "--nocapture", "--test-threads=1"]).env(AGAIN, again.to_string());
        assert!(command.status().expect("this program").success(), "{complaint}");
    }

    fn complaint(&mut self) -> Option<String> {
        let mut record = [0; 8192];
        while let Ok(len) = self.kmsg.read(&mut record) {
            let record = String::from_utf8_lossy(&record[..len]);
            if record.contains("failed to respond to fanotify") {
                return Some(record.into_owned());
            }
        }
        None
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let mut watchdogs = WATCHDOGS.lock().unwrap_or_else(PoisonError::into_inner);
        watchdogs.0 -= 1;
        if watchdogs.0 == 0 {
            let _ = fs::write(WATCHDOG, &watchdogs.1);
        }
    }
}
