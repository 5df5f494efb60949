//! A started process, until it is reaped: waitid(2), pidfd_send_signal(2).
//!
//! Its id stands for it and for nobody else as long as it is not reaped; so what is to be signalled is kept
//! unreaped, and signals to processes that are not our children go through descriptors that stand for them.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;

/// A child of ours that is not reaped.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
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
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Child {
        Child { pid, pidfd }
    }

    /// Its process id, which is that of its session and process group too.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it has ended, and how; it stays unreaped.
    pub fn peek(&self) -> Option<Ended> {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let found = wait(libc::P_PIDFD, self.pidfd.as_raw_fd().cast_unsigned(), flags);
        found.expect("our own child that is not reaped can be waited for").map(|(_, ended)| ended)
    }

    /// Reaps it when it has ended; waits until then.
    pub fn reap(self) -> Ended {
        let id = self.pidfd.as_raw_fd().cast_unsigned();
        loop {
            match wait(libc::P_PIDFD, id, libc::WEXITED) {
                Ok(Some((_, ended))) => return ended,
                Ok(None) | Err(Errno::EINTR) => {}
                Err(errno) => panic!("our own child cannot be waited for: {errno}"),
            }
        }
    }

    /// Reaps what never became a command, and has ended already or is about to.
    pub(super) fn reap_failed(self) {
        self.reap();
    }

    /// Signals it: pidfd_send_signal(2). Nothing happens to one that has ended.
    ///
    /// # Errors
    /// When we may not, or when it is gone.
    pub fn signal(&self, number: c_int) -> Result<(), Errno> {
        send(&self.pidfd, number)
    }

    /// Signals its process group, which cannot be another's, since its id is not free before we reap it: kill(2).
    ///
    /// # Errors
    /// When nobody in it may be signalled.
    pub fn signal_group(&self, number: c_int) -> Result<(), Errno> {
        // SAFETY: kill(2) takes plain numbers.
        Errno::result(unsafe { libc::kill(-self.pid.as_raw(), number) }).map(drop)
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
        send(&self.0, number)
    }
}

/// Some child that has ended, whoever started it; it stays unreaped.
pub fn peek_any() -> Option<(i32, Ended)> {
    wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT).ok().flatten()
}

/// Reaps a child that has ended, by its id.
pub fn reap(pid: i32) -> Option<Ended> {
    let found = wait(libc::P_PID, pid.cast_unsigned(), libc::WEXITED | libc::WNOHANG).ok().flatten();
    found.map(|(_, ended)| ended)
}

fn send(pidfd: &OwnedFd, number: c_int) -> Result<(), Errno> {
    let (descriptor, no_info) = (pidfd.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
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
