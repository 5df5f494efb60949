//! Waiting for one descriptor, for those who may block: never in the daemon's loop.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::moment::Moment;
use crate::sys::clock;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Bytes, a client, or the end.
    Reading,
    /// Room.
    Writing,
}

/// Waits until the descriptor is ready, or `deadline` is there (poll(2)); says whether it is ready.
///
/// # Errors
/// The system refuses to wait.
pub fn until(fd: BorrowedFd<'_>, what: For, deadline: Option<Moment>) -> io::Result<bool> {
    let flags = match what {
        For::Reading => PollFlags::POLLIN,
        For::Writing => PollFlags::POLLOUT,
    };
    loop {
        let timeout = match deadline.map(|deadline| deadline.since(clock::monotonic())) {
            None => PollTimeout::NONE,
            // Rounded up: a wait that ends a fraction early would be a busy loop.
            Some(rest) => {
                PollTimeout::try_from(rest + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut [PollFd::new(fd, flags)], timeout) {
            Ok(0) if deadline.is_some_and(|deadline| deadline > clock::monotonic()) => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
