//! Waking a thread that waits for descriptors: eventfd(2), poll(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// A descriptor that any thread can make readable.
#[derive(Debug)]
pub struct Wakeup(EventFd);

impl Wakeup {
    /// Makes one, not yet readable.
    ///
    /// # Errors
    /// eventfd(2) fails.
    pub fn new() -> io::Result<Wakeup> {
        Ok(Wakeup(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?))
    }

    /// Makes it readable; that it is already is fine.
    pub fn wake(&self) {
        // EAGAIN: the counter is full, so it is readable.
        while self.0.write(1) == Err(Errno::EINTR) {}
    }

    /// Makes it unreadable until the next [`Wakeup::wake`].
    pub fn clear(&self) {
        // EAGAIN: it was not readable.
        self.0.read().ok();
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until somebody wakes us, or `urgent` has something out of turn to tell (POLLPRI, as mountinfo has), or the
/// time is over; says which of the two it was. Blocks: never in the daemon's loop.
///
/// # Errors
/// poll(2) fails.
pub fn wait(wakeup: &Wakeup, urgent: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<(bool, bool)> {
    let mut polled =
        [PollFd::new(wakeup.as_fd(), PollFlags::POLLIN), PollFd::new(urgent, PollFlags::POLLPRI)];
    // Rounded up: a wait that ends a fraction early would be a busy loop.
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        PollTimeout::try_from(timeout + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => {
            let [woken, urgent] = polled.map(|fd| fd.any().unwrap_or(false));
            Ok((woken, urgent))
        }
        Err(errno) => Err(errno.into()),
    }
}
