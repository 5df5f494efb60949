//! A private place on the file system for one test: a tmpfs of its own where the test runs as root, else a
//! directory; gone with all that is mounted in it when the test ends.

#[path = "copy.rs"]
mod copy;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::geteuid;

/// The place.
pub struct Ground {
    directory: tempfile::TempDir,
    mounts: Vec<PathBuf>,
}

impl Ground {
    /// An empty one.
    pub fn new() -> Ground {
        // In memory for a user too, where the machine has that for everybody.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory =
            tempfile::Builder::new().prefix("facron-test-").tempdir_in(parent).expect("a directory");
        let path = directory.path().canonicalize().expect("it is there");
        let mut ground = Ground { directory, mounts: Vec::new() };
        if geteuid().is_root() {
            ground.mount("tmpfs", &path, "tmpfs", MsFlags::empty(), Some("mode=777"));
        }
        ground
    }

    /// Its path, without links.
    pub fn path(&self) -> PathBuf {
        self.directory.path().canonicalize().expect("it is there")
    }

    /// A path in it.
    pub fn at(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path().join(name.as_ref())
    }

    /// Mounts something, to be unmounted at the end.
    pub fn mount(&mut self, source: &str, target: &Path, kind: &str, flags: MsFlags, data: Option<&str>) {
        mount(Some(source), target, Some(kind), flags, data)
            .unwrap_or_else(|errno| panic!("cannot mount {kind} on {}: {errno}", target.display()));
        self.mounts.push(target.to_owned());
    }

    /// Notes that something else mounted this, to be unmounted at the end.
    pub fn mounted(&mut self, target: &Path) {
        self.mounts.push(target.to_owned());
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for target in self.mounts.iter().rev() {
            // It may be unmounted already.
            umount2(target, MntFlags::MNT_DETACH).ok();
        }
    }
}

/// Unmounts; somebody may be looking at a file there just then, but not for long.
pub fn unmount(target: &Path) {
    for _ in 0..1000 {
        match umount2(target, MntFlags::empty()) {
            Ok(()) => return,
            Err(errno) => assert_eq!(errno, nix::errno::Errno::EBUSY, "{}", target.display()),
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("{} stays busy", target.display());
}

/// Runs a shell script with `$1`, `$2`, … in a process of its own, and asserts that it succeeds.
#[expect(clippy::disallowed_methods, reason = "a test is nobody's daemon")]
pub fn shell(script: &str, arguments: &[&Path]) {
    let status = Command::new("/bin/sh").arg("-ec").arg(script).arg("sh").args(arguments).status();
    assert!(status.expect("a shell").success(), "{script} {arguments:?}");
}

/// Whether this process is the ordinary user that a test is about. Root runs the test again as nobody, in a process of
/// its own, and asserts that it succeeds.
#[expect(clippy::disallowed_methods, reason = "a test is nobody's daemon")]
pub fn is_user(test: &str) -> bool {
    if !geteuid().is_root() {
        return true;
    }
    let place = tempfile::Builder::new().prefix("facron-test-").tempdir().expect("a directory");
    shell("chmod 755 \"$1\"", &[place.path()]);
    let program = place.path().join("test");
    let own = std::env::current_exe().expect("this program");
    // The build directory may be nobody's to enter.
    copy::copy_program(own, &program);
    copy::copy_program(env!("CARGO_BIN_EXE_facron"), place.path().join("facron"));
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--"]);
    command.arg(program).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env("FACRON_TEST_BINARY", place.path().join("facron"));
    let status = command.current_dir("/").status().expect("setpriv of util-linux");
    assert!(status.success(), "{test} fails as a user");
    false
}

/// Whether the machine has a program.
#[expect(clippy::disallowed_methods, reason = "a test is nobody's daemon")]
pub fn can(program: &str) -> bool {
    let found = Command::new("/bin/sh").args(["-c", "command -v \"$1\" > /dev/null", "sh", program]).status();
    found.expect("a shell").success()
}
