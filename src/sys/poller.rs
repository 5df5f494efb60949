//! A set of descriptors with one descriptor of its own: epoll(7), level-triggered.
//!
//! The set can itself be polled, so a part of the daemon with many descriptors offers only one to the loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

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

    /// What is ready, without waiting.
    ///
    /// # Errors
    /// epoll_wait(2) fails.
    pub fn ready(&self) -> io::Result<Vec<Ready>> {
        let mut events = [EpollEvent::empty(); READY_MAX];
        let count = match self.0.wait(&mut events, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        Ok(events[..count].iter().map(|event| ready(event.data(), event.events())).collect())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
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
