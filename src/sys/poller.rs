//! A set of descriptors with one descriptor of its own: epoll(7), level-triggered.
//!
//! The set can itself be polled, so a part of the daemon with many descriptors offers only one to the loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Events that one call of [`Poller::ready`] gives at most; the rest comes with the next.
const READY_MAX: usize = 64;

/// A set of descriptors, each with a token.
#[derive(Debug)]
pub struct Poller(Epoll);

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Bytes or a client can be read.
    pub is_reading: bool,
    /// There is room to write.
    pub is_writing: bool,
}

/// A descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Which.
    pub token: u64,
    /// Something can be read, or the end is there.
    pub can_read: bool,
    /// There is room to write.
    pub can_write: bool,
    /// Both directions are closed: reported whatever the interest is.
    pub is_closed: bool,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// epoll_create1(2) fails.
    pub fn new() -> io::Result<Poller> {
        Ok(Poller(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Takes a descriptor in.
    ///
    /// # Errors
    /// epoll_ctl(2) fails.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.0.add(fd, EpollEvent::new(flags(interest), token))?)
    }

    /// Changes what a descriptor is watched for.
    ///
    /// # Errors
    /// epoll_ctl(2) fails.
    pub fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.0.modify(fd, &mut EpollEvent::new(flags(interest), token))?)
    }

    /// Lets a descriptor go; a closed one goes by itself where no duplicate is left.
    ///
    /// # Errors
    /// epoll_ctl(2) fails.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(self.0.delete(fd)?)
    }

    /// Waits until something is ready, or this long; none: for ever. A signal may end it early.
    ///
    /// # Errors
    /// epoll_wait(2) fails.
    pub fn wait(&self, time_left: Option<Duration>) -> io::Result<()> {
        match self.0.wait(&mut [EpollEvent::empty()], time_left.map_or(EpollTimeout::NONE, timeout)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What is ready, without waiting.
    ///
    /// # Errors
    /// epoll_wait(2) fails.
    pub fn ready(&self) -> io::Result<Vec<Ready>> {
        Ok(self.wait_for(Duration::ZERO)?.collect())
    }

    /// What is ready, as soon as something is, or nothing after this long. Allocates nothing, unlike [`Poller::ready`].
    ///
    /// # Errors
    /// epoll_wait(2) fails.
    pub fn wait_for(&self, span: Duration) -> io::Result<impl Iterator<Item = Ready> + use<>> {
        let mut events = [EpollEvent::empty(); READY_MAX];
        let count = match self.0.wait(&mut events, timeout(span)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        Ok(events.into_iter().take(count).map(|event| ready(event.data(), event.events())))
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

/// Rounded up: a wait that ends before the deadline would be followed by another, and another.
fn timeout(span: Duration) -> EpollTimeout {
    EpollTimeout::from(u16::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u16::MAX))
}

fn flags(interest: Interest) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, interest.is_reading);
    flags.set(EpollFlags::EPOLLOUT, interest.is_writing);
    flags
}

fn ready(token: u64, flags: EpollFlags) -> Ready {
    Ready {
        token,
        can_read: flags.contains(EpollFlags::EPOLLIN),
        can_write: flags.contains(EpollFlags::EPOLLOUT),
        is_closed: flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
    }
}
