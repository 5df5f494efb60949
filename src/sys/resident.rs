//! What a process does to itself before others come to depend on it: it stays in memory, keeps its distance from
//! terminals, and has a timer in the kernel that ends it when it stops moving.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigEvent, SigSet, SigevNotify, SigmaskHow, Signal, sigprocmask};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::setsid;

/// Nice value of a process that others wait for.
const NICE: i32 = -15;

/// A timer of the kernel that kills this process unless it is pushed back in time: timer_create(2), SIGKILL.
///
/// It needs nobody's help: a process that is stopped, traced, loops or sleeps in the kernel is killed as well,
/// whatever else on the machine is stopped with it.
#[derive(Debug)]
pub struct DeadMansTimer(Timer);

impl DeadMansTimer {
    /// Sets it off.
    ///
    /// # Errors
    /// No timer left (RLIMIT_SIGPENDING).
    pub fn start(span: Duration) -> io::Result<DeadMansTimer> {
        let kill = SigevNotify::SigevSignal { signal: Signal::SIGKILL, si_value: 0 };
        let mut timer = DeadMansTimer(Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(kill))?);
        timer.push_back(span)?;
        Ok(timer)
    }

    /// From now on this long: timer_settime(2).
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub fn push_back(&mut self, span: Duration) -> io::Result<()> {
        Ok(self.0.set(Expiration::OneShot(span.into()), TimerSetTimeFlags::empty())?)
    }
}

/// Leaves the terminal and its signals: setsid(2), sigprocmask(2). The leader of a session stays what it is.
///
/// # Errors
/// The kernel refuses, which it has no reason to.
pub fn leave_terminal() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    match setsid() {
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Closes every descriptor from this number on: close_range(2), Linux 5.9.
///
/// # Errors
/// The kernel is older.
#[expect(unsafe_code, reason = "nix does not wrap close_range(2)")]
pub fn close_from(first: u32) -> io::Result<()> {
    let last = libc::c_uint::MAX;
    // SAFETY: close_range(2): our callers own none of these; they were inherited by mistake of whoever started us.
    let result = unsafe { libc::close_range(first, last, 0) };
    Ok(Errno::result(result).map(drop)?)
}

/// Keeps every page in memory, those to come included: mlockall(2).
///
/// # Errors
/// No CAP_IPC_LOCK, or not so much memory.
pub fn stay_in_memory() -> io::Result<()> {
    Ok(mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?)
}

/// Goes before others when the processor is short: setpriority(2).
///
/// # Errors
/// No CAP_SYS_NICE.
#[expect(unsafe_code, reason = "nix does not wrap setpriority(2)")]
pub fn go_first() -> io::Result<()> {
    // SAFETY: setpriority(2) takes numbers only; 0 is this process.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    Ok(Errno::result(result).map(drop)?)
}

/// Raises the limit of open descriptors to `wanted`, as far as this process may; says what it is: setrlimit(2).
///
/// # Errors
/// The kernel refuses, which it has no reason to.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    if descriptor_limit()? < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_err() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(wanted), hard)?;
    }
    descriptor_limit()
}

/// The limit of open descriptors as it is at this moment, whoever set it: getrlimit(2).
///
/// # Errors
/// The kernel refuses, which it has no reason to.
pub fn descriptor_limit() -> io::Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}
