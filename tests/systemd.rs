//! The real service manager: systemd as process 1 of namespaces of its own, with the unit as it is shipped and the
//! real binary. Mocks say what we believe of systemd (`manager.rs`, `kept.rs`); here it says what it does.
#![expect(clippy::disallowed_methods, reason = "systemd is a process, and the clock says when to give up")]

mod common;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::require_root;

/// How long systemd may take to start the probe, and the probe to come to its end.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(240);

/// What the probe is to find, in order.
const FACTS: &str = "\
start 0
status: watching by 3 rules
inherited: 0
cgroup: /system.slice/facron.service/facron/
reload 0
reload with a mistake 1, then active
reload 0
restarts: 1
stop 0: success
start 0
restart 0
left running: 0
hardened: start 0
hardened cgroup: /system.slice/facron.service/facron/
hardened: says 2 restrictions
hardened: user 65534, left running 0
forbidden: 1: 77
own mounts: said 1
start 0
well after 10 s: yes
start with a mistake 1: 78, restarts 0
verify: 0
";

/// A machine that is booted.
struct Machine {
    work: tempfile::TempDir,
    cgroup: PathBuf,
    systemd: Child,
}

impl Machine {
    /// None: this machine has no hierarchy of control groups for it.
    fn boot() -> Option<Machine> {
        let mounted = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let hierarchy = mounted.into_iter().find(|at| at.join("cgroup.procs").exists())?;
        let cgroup = hierarchy.join(format!("facron-test-{}", std::process::id()));
        fs::create_dir(&cgroup).ok()?;
        let work = tempfile::Builder::new().prefix("facron-test-").tempdir_in("/run").expect("a directory");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd/boot.sh");
        let systemd = Command::new(script)
            .args([work.path(), env!("CARGO_BIN_EXE_facron").as_ref(), &cgroup])
            .stdin(Stdio::null())
            .stdout(fs::File::create(work.path().join("boot.log")).expect("made"))
            .stderr(fs::File::create(work.path().join("boot.err")).expect("made"))
            .spawn()
            .expect("bash starts");
        Some(Machine { work, cgroup, systemd })
    }

    /// A file that the probe writes.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.work.path().join(name)).unwrap_or_default()
    }

    /// Whether the probe makes this file in time; not when the machine is off.
    fn reaches(&mut self, name: &str, patience: Duration) -> bool {
        let (path, end) = (self.work.path().join(name), Instant::now() + patience);
        while !path.exists() {
            if Instant::now() > end || self.systemd.try_wait().expect("our child").is_some() {
                return path.exists();
            }
            sleep(Duration::from_millis(50));
        }
        true
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::write(self.cgroup.join("cgroup.kill"), "1");
        let _ = self.systemd.kill();
        let _ = self.systemd.wait();
        let end = Instant::now() + Duration::from_secs(10);
        while self.cgroup.exists() && Instant::now() < end {
            remove_groups(&self.cgroup);
            sleep(Duration::from_millis(20));
        }
    }
}

/// Those below it first.
fn remove_groups(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&below.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// What stands between this machine and a systemd of its own, whatever its privileges.
fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED the_unit_does_what_it_says: {reason}");
}

#[test]
fn the_unit_does_what_it_says() {
    if !require_root("the_unit_does_what_it_says") {
        return;
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return skip("no systemd here");
    }
    let Some(mut machine) = Machine::boot() else { return skip("no control groups of version 2 here") };
    if !machine.reaches("out/log", BOOT_PATIENCE) {
        let said = machine.read("boot.err");
        return skip(&format!("systemd does not start in namespaces here: {said}"));
    }
    let is_done = machine.reaches("out/done", PATIENCE);
    let log = machine.read("out/log");
    assert!(is_done, "the probe does not come to its end:\n{log}");
    assert_eq!(machine.read("out/facts"), FACTS, "{log}");
}
