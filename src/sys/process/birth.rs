//! A child between clone(2) and its program, for other threads than the one that waits for it.
//!
//! From the moment that a child has taken on a user's rights, that user may stop it, and its program may lie where the
//! user lets everybody wait; so whoever waits for it needs somebody who can end it.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::wait;

/// The child that a spawner makes at this moment, if there is one.
#[derive(Debug)]
pub struct Birth {
    /// Where the kernel puts the descriptor that stands for the child (CLONE_PIDFD).
    pidfd: AtomicI32,
    /// Whether the child has run, in our memory: then the descriptor is one.
    is_born: AtomicBool,
    /// The id of the last child, once the kernel has told it to the thread that waits; for whoever uses the descriptor, or
    /// takes it away.
    last: Mutex<Option<i32>>,
}

/// No descriptor.
const NONE: RawFd = -1;

impl Default for Birth {
    fn default() -> Birth {
        Birth { pidfd: AtomicI32::new(NONE), is_born: AtomicBool::new(false), last: Mutex::default() }
    }
}

impl Birth {
    /// The id of the child, if there is one, or of the last one, until that is forgotten.
    pub fn pid(&self) -> Option<i32> {
        let last = self.last();
        let Some(pidfd) = self.pidfd() else { return *last };
        // The number in our own namespace, whatever the child's own is: proc_pid_fdinfo(5).
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{pidfd}")).ok()?;
        let number = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
        number.trim().parse().ok().filter(|pid| *pid > 0)
    }

    /// Ends the child, if there is one.
    pub fn kill(&self) {
        let _last = self.last();
        if let Some(pidfd) = self.pidfd() {
            // One that has just ended is no matter.
            let _ = wait::send(pidfd, libc::SIGKILL);
        }
    }

    /// The child runs: said by itself, in our memory, before anything else.
    pub(super) fn begin(&self) {
        self.is_born.store(true, Ordering::Release);
    }

    /// Another start begins, which has made no child yet.
    pub(super) fn forget(&self) {
        *self.last() = None;
    }

    /// For the kernel to write to.
    pub(super) fn place(&self) -> *mut RawFd {
        self.pidfd.as_ptr()
    }

    /// The child of this id has a program, or is dead; or there was none.
    pub(super) fn end(&self, pid: Option<i32>) -> Option<OwnedFd> {
        let mut last = self.last();
        *last = pid;
        self.is_born.store(false, Ordering::Release);
        let pidfd = self.pidfd.swap(NONE, Ordering::AcqRel);
        // A child that was ended before it ran has one as well.
        // SAFETY: The kernel made the descriptor for the child that it tells of; it was here alone, and is so no more.
        (pid.is_some() && pidfd != NONE).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) })
    }

    fn pidfd(&self) -> Option<RawFd> {
        let is_born = self.is_born.load(Ordering::Acquire);
        is_born.then(|| self.pidfd.load(Ordering::Acquire)).filter(|pidfd| *pidfd != NONE)
    }

    fn last(&self) -> MutexGuard<'_, Option<i32>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
