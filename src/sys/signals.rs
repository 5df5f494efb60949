//! What the daemon is told by signals: signalfd(2).
//!
//! The signals are blocked, so no handler ever runs. Children start with an empty mask all the same: see `process`.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal means to the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A child ended; one notice may stand for several.
    Child,
    /// Stop; a second one: at once.
    Stop,
    /// Read the rule files again.
    Reload,
    /// Log the status.
    Status,
}

/// Which signal means what.
pub const NOTICES: &[(Signal, Notice)] = &[
    (Signal::SIGCHLD, Notice::Child),
    (Signal::SIGTERM, Notice::Stop),
    (Signal::SIGINT, Notice::Stop),
    (Signal::SIGHUP, Notice::Reload),
    (Signal::SIGUSR1, Notice::Reload),
    (Signal::SIGUSR2, Notice::Status),
];

/// A descriptor that becomes readable when one of the signals of [`NOTICES`] comes.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals for this thread and those that it will start; so it is made before any thread.
    ///
    /// # Errors
    /// Those of signalfd(2).
    pub fn new() -> Result<Signals, Errno> {
        default_child_disposition();
        let mask: SigSet = NOTICES.iter().map(|(signal, _)| *signal).collect();
        mask.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// The next notice, if one is there.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&mut self) -> Result<Option<Notice>, Errno> {
        let Some(info) = self.0.read_signal()? else { return Ok(None) };
        let is_it = |signal: Signal| i64::from(signal as i32) == i64::from(info.ssi_signo);
        Ok(NOTICES.iter().find(|(signal, _)| is_it(*signal)).map(|(_, notice)| *notice))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sees to it that children can be waited for. Whoever started us may have ignored SIGCHLD, which passes through
/// execve(2) and makes the kernel throw their exit statuses away (wait(2)).
#[expect(unsafe_code, reason = "signal(2) is unsafe for the sake of handlers")]
pub fn default_child_disposition() {
    // SAFETY: No handler is installed, so none can run at a bad time.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.expect("SIGCHLD has a default disposition");
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn each_signal_has_its_notice_and_no_signal_none() {
        let mut signals = Signals::new().expect("descriptors");
        assert_eq!(signals.read(), Ok(None));
        // To this thread alone, which has them blocked; so nobody is ended by them.
        for (signal, notice) in NOTICES {
            raise(*signal).expect("raised");
            assert_eq!(signals.read(), Ok(Some(*notice)), "{signal}");
        }
        assert_eq!(signals.read(), Ok(None));
    }
}
