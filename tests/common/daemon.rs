//! The real daemon on the real kernel, in a place of its own that goes away with it.
#![expect(clippy::disallowed_methods, reason = "tests start processes, and read the clock to give up")]

#[path = "copy.rs"]
mod copy;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; a test never waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// nobody: who tests run as when they are about a normal user.
pub const NOBODY: u32 = 65534;

const PROGRAM: &str = env!("CARGO_BIN_EXE_facron");

/// A directory that belongs to the test's user and to nobody else, with a tmpfs of its own where that user is root.
pub struct Place {
    root: PathBuf,
    is_mounted: bool,
    user: u32,
}

impl Place {
    /// For a daemon of this user. Root's stands below /run, since a rule file below /tmp is not trusted.
    pub fn new(user: u32) -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = if user == 0 { "/run" } else { "/tmp" };
        let root = PathBuf::from(format!("{parent}/facron-test-{}-{number}", std::process::id()));
        fs::create_dir(&root).expect("a directory for the test can be made");
        let is_mounted = is_root() && {
            let status = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=512m,mode=0755", "facron-test"])
                .arg(&root)
                .status();
            status.is_ok_and(|status| status.success())
        };
        let place = Place { root, is_mounted, user };
        place.give(&place.root);
        for directory in ["in", "state", "run"] {
            place.directory(directory);
        }
        fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o700)).expect("chmod");
        if place.is_of_another() {
            // Where it was built, other users may not get to it.
            copy::copy_program(PROGRAM, place.path("facron"));
        }
        place
    }

    /// Whether root tests here for another user.
    fn is_of_another(&self) -> bool {
        is_root() && self.user != 0
    }

    /// The binary where the place's user may run it.
    pub fn program(&self) -> PathBuf {
        if self.is_of_another() { self.path("facron") } else { PROGRAM.into() }
    }

    /// The binary as the place's user.
    pub fn facron(&self) -> Command {
        let mut command = with_clean_environment(&self.program());
        if self.is_of_another() {
            command.uid(self.user).gid(self.user);
        }
        command
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// The directory that rules watch.
    pub fn input(&self) -> PathBuf {
        self.path("in")
    }

    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a directory can be made");
        self.give(&path);
        path
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file can be written");
        self.give(&path);
        path
    }

    /// An executable script.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    fn give(&self, path: &Path) {
        if self.is_of_another() {
            std::os::unix::fs::chown(path, Some(self.user), Some(self.user)).expect("chown");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.root).status();
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// A running `facron run`.
pub struct Daemon {
    pub child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it as the place's user and waits until it says `ready`.
    pub fn start(place: &Place, rules: &str) -> Daemon {
        let daemon = Daemon::launch(place, rules);
        daemon.wait_for_log("ready rules=");
        daemon
    }

    /// Starts it without waiting.
    pub fn launch(place: &Place, rules: &str) -> Daemon {
        place.file("facron.toml", rules);
        Daemon::launch_with(place, &[])
    }

    /// Starts it with the rule file that is there, and more arguments.
    pub fn launch_with(place: &Place, arguments: &[&str]) -> Daemon {
        Daemon::launch_by(place.facron(), place, arguments)
    }

    /// Starts it where it does not hear of the mounts of other tests, and waits until it says `ready`.
    pub fn start_alone(place: &Place, rules: &str) -> Daemon {
        place.file("facron.toml", rules);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", PROGRAM]);
        let daemon = Daemon::launch_by(command, place, &[]);
        daemon.wait_for_log("ready rules=");
        daemon
    }

    fn launch_by(mut command: Command, place: &Place, arguments: &[&str]) -> Daemon {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Daemon::spawn(command, place, arguments)
    }

    /// Starts it by a command that comes to stand before its arguments, whose standard input and output are as
    /// they are.
    pub fn spawn(mut command: Command, place: &Place, arguments: &[&str]) -> Daemon {
        let log = place.path("log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log can be made");
        command.arg("run").arg("-c").arg(place.path("facron.toml")).args(arguments);
        command.env("STATE_DIRECTORY", place.path("state")).env("RUNTIME_DIRECTORY", place.path("run"));
        command.stderr(file);
        Daemon { child: command.spawn().expect("facron can be started"), log }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid is small")
    }

    pub fn log(&self) -> String {
        String::from_utf8(fs::read(&self.log).expect("the log can be read")).expect("the log is UTF-8")
    }

    pub fn wait_for_log(&self, words: &str) {
        wait_until(|| self.log().contains(words), || format!("no {words:?} in the log:\n{}", self.log()));
    }

    pub fn signal(&self, signal: i32) {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.pid()),
            nix::sys::signal::Signal::try_from(signal).expect("a signal"),
        )
        .expect("the daemon is alive");
    }

    /// SIGTERM, and its exit status.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait()
    }

    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < end, "the daemon does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("--- log ---\n{}", self.log()).as_bytes(),
            );
        }
    }
}

/// The binary, as the user who tests.
pub fn facron() -> Command {
    with_clean_environment(Path::new(PROGRAM))
}

fn with_clean_environment(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", "/");
    command
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Waits for a condition with [`PATIENCE`].
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool, complaint: impl FnOnce() -> String) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > end {
            panic!("{}", complaint());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
