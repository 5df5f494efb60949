//! A started process, until it is reaped: waitid(2), pidfd_send_signal(2).
//!
//! Its id stands for it and for nobody else as long as it is not reaped; so what is to be signalled is kept
//! unreaped, and signals to processes that are not our children go through descriptors that stand for them.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

/// The children that [`reap_strangers`] leaves alone.
#[derive(Debug)]
struct Ours {
    /// The ids of all that a [`Child`] stands for.
    pids: BTreeSet<i32>,
    /// Those that are being made, whose ids are not known yet.
    births: usize,
}

static OURS: Mutex<Ours> = Mutex::new(Ours { pids: BTreeSet::new(), births: 0 });

/// A child of ours that is not reaped.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: OwnedFd,
}

/// How a process ended: wait(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Child {
    /// Makes a child by a function that gives its id and descriptor.
    pub(super) fn make(make: impl FnOnce() -> Result<(i32, OwnedFd), Errno>) -> Result<Child, Errno> {
        ours().births += 1;
        let made = make();
        let mut ours = ours();
        ours.births -= 1;
        let (pid, pidfd) = made?;
        ours.pids.insert(pid);
        Ok(Child { pid, pidfd })
    }

    /// Its process id, which is that of its session and process group too.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it has ended, and how; it stays unreaped.
    pub fn peek(&self) -> Option<Ended> {
        self.wait(libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
    }

    /// Reaps it, and waits for its end before that.
    pub fn reap(self) -> Ended {
        loop {
            if let Some(ended) = self.wait(libc::WEXITED) {
                return ended;
            }
        }
    }

    fn wait(&self, flags: c_int) -> Option<Ended> {
        match wait(libc::P_PIDFD, self.pidfd.as_raw_fd().cast_unsigned(), flags) {
            Ok(found) => found.map(|(_, ended)| ended),
            Err(Errno::ECHILD) => panic!("process {} was reaped by somebody else", self.pid),
            // Interrupted: it will be asked again.
            Err(_) => None,
        }
    }

    /// Signals it: pidfd_send_signal(2). Nothing happens to one that has ended.
    ///
    /// # Errors
    /// When we may not, or when it is gone.
    pub fn signal(&self, number: c_int) -> Result<(), Errno> {
        send(self.pidfd.as_raw_fd(), number)
    }

    /// Signals its process group, which cannot be another's, since its id is not free before we reap it: kill(2).
    ///
    /// # Errors
    /// When nobody in it may be signalled.
    pub fn signal_group(&self, number: c_int) -> Result<(), Errno> {
        // SAFETY: kill(2) takes plain numbers.
        Errno::result(unsafe { libc::kill(-self.pid, number) }).map(drop)
    }
}

impl Drop for Child {
    /// One that was not reaped becomes a stranger.
    fn drop(&mut self) {
        ours().pids.remove(&self.pid);
    }
}

impl AsFd for Child {
    /// Can be polled: readable when it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// A process that is not our child, held so that its id can mean nobody else: pidfd_open(2).
#[derive(Debug)]
pub struct Stranger(OwnedFd);

impl Stranger {
    /// Takes hold of whoever has this id. Whether it is the one that was meant has to be asked after that.
    ///
    /// # Errors
    /// When nobody has it.
    pub fn open(pid: i32) -> Result<Stranger, Errno> {
        // SAFETY: pidfd_open(2) takes plain numbers.
        let descriptor = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
        let descriptor = RawFd::try_from(descriptor).expect("a descriptor is an int");
        // SAFETY: The descriptor is new, and nobody else owns it.
        Ok(Stranger(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Signals it.
    ///
    /// # Errors
    /// When we may not, or when it is gone.
    pub fn signal(&self, number: c_int) -> Result<(), Errno> {
        send(self.0.as_raw_fd(), number)
    }
}

/// Reaps every child that has ended and that no [`Child`] stands for: from before this program became this process,
/// or orphans, where it is the first process of a container.
///
/// One of ours that has ended may hide those behind it; it is reaped soon, and then they are found. While one is being
/// made, nobody is reaped.
pub fn reap_strangers() {
    let ours = ours();
    while ours.births == 0
        && let Ok(Some((pid, _))) = wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
    {
        let is_reaped = !ours.pids.contains(&pid)
            && wait(libc::P_PID, pid.cast_unsigned(), libc::WEXITED | libc::WNOHANG).is_ok();
        if !is_reaped {
            break;
        }
    }
}

fn ours() -> MutexGuard<'static, Ours> {
    // Nothing that could panic is done while it is locked.
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// pidfd_send_signal(2) by the number of a descriptor.
pub(super) fn send(descriptor: RawFd, number: c_int) -> Result<(), Errno> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: pidfd_send_signal(2) with no siginfo acts as kill(2).
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, number, no_info, 0) })
        .map(drop)
}

/// waitid(2). Not nix's, which fails after the fact for a process that a real-time signal ended.
fn wait(kind: libc::idtype_t, id: libc::id_t, flags: c_int) -> Result<Option<(i32, Ended)>, Errno> {
    // SAFETY: All zero is a siginfo; with WNOHANG the kernel leaves its pid 0 when there is nothing to report.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: waitid(2) fills in the siginfo.
    Errno::result(unsafe { libc::waitid(kind, id, &raw mut info, flags) })?;
    // SAFETY: waitid(2) fills in the fields of SIGCHLD.
    let pid = unsafe { info.si_pid() };
    // SAFETY: waitid(2) fills in the fields of SIGCHLD.
    let status = unsafe { info.si_status() };
    if pid == 0 {
        return Ok(None);
    }
    let ended = if info.si_code == libc::CLD_EXITED { Ended::Code(status) } else { Ended::Signal(status) };
    Ok(Some((pid, ended)))
}
