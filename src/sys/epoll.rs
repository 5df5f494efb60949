//! Waiting for several descriptors, each with a number of the caller's choice: epoll(7).

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Descriptors told of by one wait; the rest is told of by the next.
const READY_MAX: usize = 32;

/// A set of descriptors.
#[derive(Debug)]
pub struct Waiter(Epoll);

/// What a wait found, in no order.
#[derive(Debug)]
pub struct Ready {
    events: [EpollEvent; READY_MAX],
    len: usize,
}

impl Waiter {
    /// An empty set.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Waiter> {
        Ok(Waiter(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Waits for input (and the end) of a descriptor too; closing it takes it away.
    ///
    /// # Errors
    /// It cannot be waited for, or is in the set already.
    pub fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.0.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Waits for room to write as well, or no longer.
    ///
    /// # Errors
    /// It is not in the set.
    pub fn watch_room(&self, descriptor: impl AsFd, token: u64, is_watched: bool) -> io::Result<()> {
        let room = if is_watched { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
        Ok(self.0.modify(descriptor, &mut EpollEvent::new(EpollFlags::EPOLLIN | room, token))?)
    }

    /// Waits until something is ready, or for this long: epoll_wait(2).
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub fn wait(&self, span: Duration) -> io::Result<Ready> {
        let mut ready = Ready { events: [EpollEvent::empty(); READY_MAX], len: 0 };
        // Rounded up: a wait that ends a fraction early would be a busy loop.
        let timeout = EpollTimeout::try_from(span + Duration::from_micros(999)).unwrap_or(EpollTimeout::MAX);
        match self.0.wait(&mut ready.events, timeout) {
            Ok(len) => ready.len = len,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(ready)
    }
}

impl Ready {
    /// The numbers of the descriptors that are ready.
    pub fn tokens(&self) -> impl Iterator<Item = u64> {
        self.events[..self.len].iter().map(EpollEvent::data)
    }
}
