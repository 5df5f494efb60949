//! What holds the processes of a run together, so that all can be signalled, ended and found gone.

use std::os::unix::fs::MetadataExt as _;

use nix::errno::Errno;

use super::cgroups::Leaf;
use crate::sys::cgroup::{self, ControlGroup};
use crate::sys::process::{self, Child, Stranger};

/// Processes other than the main one that a stop signal is sent to; SIGKILL has no such limit.
const ASKED_MAX: usize = 4096;

/// How the processes of one run are held.
#[derive(Debug)]
pub enum Hold {
    /// By their session: what makes a session of its own escapes.
    Session,
    /// By a control group.
    Cgroup(Leaf),
    /// By a PID namespace, which ends with the main process.
    Namespace(Namespace),
}

/// A PID namespace: its first process, which is a holder (see `namespaces`), and its inode.
#[derive(Debug)]
pub struct Namespace {
    init: Child,
    inode: Option<u64>,
}

impl Hold {
    /// Sends a signal to every process of the run, to each once.
    ///
    /// The main process leads its session and process group, and is not reaped; so neither id can be another's.
    pub fn signal_all(&self, main: &Child, number: i32) {
        // Whoever is gone already needs no signal.
        let _ = main.signal_group(number);
        for pid in self.others(main).into_iter().take(ASKED_MAX) {
            self.signal_other(main, pid, number);
        }
    }

    /// Ends every process of the run; without its main process where that is reaped.
    pub fn kill_all(&self, main: Option<&Child>) {
        match self {
            Hold::Session => {}
            // A group that is gone has nobody in it.
            Hold::Cgroup(leaf) => {
                let _ = leaf.group.kill();
            }
            Hold::Namespace(namespace) => {
                let _ = namespace.init.signal(libc::SIGKILL);
            }
        }
        let Some(main) = main else { return };
        // Where a control group holds it, it may have left that, if it is root's.
        let _ = main.signal_group(libc::SIGKILL);
        if matches!(self, Hold::Session) {
            for pid in self.others(main) {
                self.signal_other(main, pid, libc::SIGKILL);
            }
        }
    }

    /// Whether nobody but the main process is left.
    pub fn is_empty(&self, main: Option<&Child>) -> bool {
        match self {
            Hold::Session => main.is_none_or(|main| self.others(main).into_iter().all(process::is_zombie)),
            // Where it cannot be asked, for want of descriptors, somebody may be there.
            Hold::Cgroup(leaf) => match leaf.group.is_populated() {
                Ok(is_populated) => !is_populated,
                Err(errno) => matches!(errno, Errno::ENOENT | Errno::ENODEV),
            },
            Hold::Namespace(namespace) => namespace.init.peek().is_some(),
        }
    }

    /// Whether all processes end when the main process has, at the latest when it is reaped.
    pub fn ends_with_main(&self) -> bool {
        matches!(self, Hold::Namespace(_))
    }

    /// The first process of a PID namespace, whose end is that of all.
    pub fn first_process(&self) -> Option<&Child> {
        match self {
            Hold::Namespace(namespace) => Some(&namespace.init),
            Hold::Session | Hold::Cgroup(_) => None,
        }
    }

    /// The control group.
    pub fn group(&self) -> Option<&ControlGroup> {
        match self {
            Hold::Cgroup(leaf) => Some(&leaf.group),
            Hold::Session | Hold::Namespace(_) => None,
        }
    }

    /// Who belonged to the run a moment ago, without the main process.
    fn others(&self, main: &Child) -> Vec<i32> {
        let candidates = match self {
            Hold::Cgroup(leaf) => leaf.group.members(),
            Hold::Session | Hold::Namespace(_) => process::all().collect(),
        };
        candidates.into_iter().filter(|pid| *pid != main.pid() && self.has(main, *pid)).collect()
    }

    fn has(&self, main: &Child, pid: i32) -> bool {
        match self {
            Hold::Session => process::session_of(pid) == Ok(main.pid()),
            Hold::Cgroup(leaf) => cgroup::path_of(pid).is_some_and(|path| path.starts_with(&leaf.path)),
            Hold::Namespace(namespace) => {
                pid != namespace.init.pid()
                    && namespace.inode.is_some()
                    && namespace_of(pid) == namespace.inode
            }
        }
    }

    /// Signals one of [`Hold::others`], who may be another by now: so it is held first and then asked again. Who is in
    /// the main process's group has got the signal with it.
    fn signal_other(&self, main: &Child, pid: i32, number: i32) {
        let signalled = Stranger::open(pid).and_then(|stranger| {
            let is_meant = self.has(main, pid) && process::group_of(pid) != Ok(main.pid());
            if is_meant { stranger.signal(number) } else { Err(Errno::ESRCH) }
        });
        // Gone, or not ours: nothing is left to do about it.
        let _ = signalled;
    }
}

impl Namespace {
    /// That of a first process.
    pub fn of(init: Child) -> Namespace {
        let inode = namespace_of(init.pid());
        Namespace { init, inode }
    }

    /// Its first process.
    pub fn init(&self) -> &Child {
        &self.init
    }

    /// Ends it, if it has not ended.
    pub fn end(self) {
        let _ = self.init.signal(libc::SIGKILL);
        self.init.reap();
    }
}

/// The inode of a process's PID namespace; none: it is gone, or not ours to ask.
fn namespace_of(pid: i32) -> Option<u64> {
    std::fs::metadata(format!("/proc/{pid}/ns/pid")).ok().map(|metadata| metadata.ino())
}
