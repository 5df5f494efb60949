//! What holds the processes of a run together, so that all can be signalled, ended and found gone.

use nix::errno::Errno;

use crate::sys::process::{self, Child, Stranger};

/// Processes other than the main one that a stop signal is sent to; SIGKILL has no such limit.
const ASKED_MAX: usize = 4096;

/// How the processes of one run are held.
#[derive(Debug)]
pub enum Hold {
    /// By their session: what makes a session of its own escapes.
    Session,
}

impl Hold {
    /// Sends a signal to every process of the run, to each once.
    ///
    /// The main process leads its session and process group, and is not reaped; so neither id can be another's.
    pub fn signal_all(&self, main: &Child, number: i32) {
        // Whoever is gone already needs no signal.
        let _ = main.signal_group(number);
        for pid in self.others(main.pid()).take(ASKED_MAX) {
            self.signal_other(main, pid, number);
        }
    }

    /// Ends every process of the run.
    pub fn kill_all(&self, main: &Child) {
        let _ = main.signal(libc::SIGKILL);
        let _ = main.signal_group(libc::SIGKILL);
        for pid in self.others(main.pid()) {
            self.signal_other(main, pid, libc::SIGKILL);
        }
    }

    /// Whether nobody but the main process is left.
    pub fn is_empty(&self, main: &Child) -> bool {
        match self {
            Hold::Session => !self.others(main.pid()).any(|pid| !process::is_zombie(pid)),
        }
    }

    /// Ids that belonged to the run a moment ago, without the main process's.
    fn others(&self, main: i32) -> impl Iterator<Item = i32> {
        process::all().filter(move |pid| *pid != main && process::session_of(*pid) == Ok(main))
    }

    /// Signals one of [`Hold::others`], who may be another by now: so it is held first and then asked again.
    fn signal_other(&self, main: &Child, pid: i32, number: i32) {
        let main = main.pid();
        let signalled = Stranger::open(pid).and_then(|stranger| {
            let is_ours = process::session_of(pid) == Ok(main);
            let is_in_group = process::group_of(pid) == Ok(main);
            if is_ours && !is_in_group { stranger.signal(number) } else { Err(Errno::ESRCH) }
        });
        // Gone, or not ours: nothing is left to do about it.
        let _ = signalled;
    }
}
