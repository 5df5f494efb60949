//! The service manager, where there is one: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).
//!
//! It is spoken to when it asks by its variables. What it does not hear is no reason to stop, so nothing here fails.
#![expect(unsafe_code, reason = "descriptors that the manager hands over come as numbers")]

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::moment::Moment;

/// The service manager.
pub struct Manager {
    /// How often it wants to hear that the loop turns, and when it hears it next.
    watchdog: Option<(Duration, Moment)>,
    stored: Vec<(String, OwnedFd)>,
}

impl Manager {
    /// Reads what the manager has told us. To be called once: the descriptors that it kept for us have one owner.
    pub fn find(now: Moment) -> Manager {
        // Half of the limit, as sd_watchdog_enabled(3) recommends.
        let watchdog = sd_notify::watchdog_enabled().map(|limit| (limit / 2, now));
        let stored = match sd_notify::listen_fds_with_names() {
            // SAFETY: sd_listen_fds(3) promises that these are open and for us; the library has looked at each of
            // them, and we are called once.
            Ok(found) => found.map(|(fd, name)| (name, unsafe { OwnedFd::from_raw_fd(fd) })).collect(),
            Err(error) => {
                log::warn!(reason = error.to_string(); "cannot take over descriptors from the service manager");
                Vec::new()
            }
        };
        Manager { watchdog, stored }
    }

    /// The descriptors that a former life has [stored](Manager::store), with their names; the first time only.
    pub fn stored(&mut self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut self.stored)
    }

    /// We are ready, for the first time or after a reload; `status` is for people.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
    }

    /// A reload begins; [`Manager::ready`] ends it, however it went.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => {
                log::warn!(reason = error.to_string(); "cannot tell the service manager of the reload")
            }
        }
    }

    /// We are about to stop.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// How things are, for people.
    pub fn status(&self, status: &str) {
        tell(&[NotifyState::Status(&line(status))]);
    }

    /// When the manager has to hear from the loop; none: it does not ask.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.watchdog.map(|(_, next)| next)
    }

    /// Lets the manager hear from the loop, if it is time.
    pub fn tick(&mut self, now: Moment) {
        if let Some((interval, next)) = &mut self.watchdog
            && *next <= now
        {
            tell(&[NotifyState::Watchdog]);
            *next = now + *interval;
        }
    }

    /// Lets the manager keep a descriptor over the end of this process: it comes back by [`Manager::stored`].
    pub fn store(&self, name: &str, fd: BorrowedFd<'_>) {
        // FDPOLL=0: it is not to be dropped because something happens on it.
        let state = [NotifyState::FdStore, NotifyState::FdName(name), NotifyState::Custom("FDPOLL=0")];
        heard(sd_notify::notify_with_fds(&state, &[fd]));
    }

    /// Lets the manager drop what it keeps under this name.
    pub fn forget(&self, name: &str) {
        tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("watchdog", &self.watchdog).finish_non_exhaustive()
    }
}

fn tell(state: &[NotifyState<'_>]) {
    heard(sd_notify::notify(state));
}

fn heard(result: io::Result<()>) {
    if let Err(error) = result {
        log::warn!(reason = error.to_string(); "the service manager does not hear us");
    }
}

/// A second line would be another message to the manager.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
