//! Which run a process belongs to, so that a rule can pass over what it caused itself (`ignore-self`).
//!
//! A writer is often gone before its event is read: of `sh -c 'touch f'` nearly all are after 0.2 ms. Where the kernel
//! tells of forks ([`Connector`]), every process of a run is known from its start, dead or alive. Elsewhere the living
//! are asked: their session, and, where control groups hold the runs, their control group; the dead are unknown, which
//! can cost a run too many, never one too few.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use super::cgroups::Cgroups;
use crate::event::RunId;
use crate::moment::Moment;
use crate::sys::connector::{Connector, Filter, Fork, Heard};
use crate::sys::{clock, process};

/// Processes that are known at once. Beyond that the dead are forgotten.
const MEMBERS_MAX: usize = 32 * 1024;

/// How long a process is remembered that the kernel no longer tells about: its number is not given to another so soon.
const MEMORY: Duration = Duration::from_secs(2);

/// Datagrams read in one go.
const HEARD_MAX: usize = 64 * 1024;

/// The processes of runs.
#[derive(Debug, Default)]
pub struct Causes {
    connector: Option<Connector>,
    /// Whether the kernel tells of forks at the moment; if not, since when.
    listening: Listening,
    /// Whether every process of the runs in flight is among `members`.
    is_complete: bool,
    members: HashMap<i32, Member>,
    /// Runs in flight by their main process, which is not reaped.
    sessions: BTreeMap<i32, RunId>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    run: RunId,
    since: Moment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Listening {
    On,
    #[default]
    Never,
    Until(Moment),
}

impl Causes {
    /// Uses the kernel's word of forks where it gives it, which is found by trying: `start_one` starts a process and
    /// waits for its end.
    pub fn try_out(mut start_one: impl FnMut() -> Option<i32>) -> Causes {
        let filters = [Filter::Forks, Filter::Everything].into_iter();
        let connector = filters.filter_map(|filter| Connector::open(filter).ok()).find(|connector| {
            let is_heard = connector.listen().is_ok() && hears(connector, start_one());
            connector.ignore().is_ok() && is_heard
        });
        Causes { connector, ..Causes::default() }
    }

    /// Whether dead processes are known too.
    pub fn knows_the_dead(&self) -> bool {
        self.connector.is_some()
    }

    /// To be called before a run is started: from then on nothing of it is missed.
    pub fn prepare(&mut self) {
        let Some(connector) = &self.connector else { return };
        if self.listening == Listening::On {
            return;
        }
        // While nobody listened, numbers may have been given to others.
        if !self.is_remembered() {
            self.members.clear();
        }
        if connector.listen().is_ok() {
            self.listening = Listening::On;
            self.is_complete = true;
        }
    }

    /// A run has started.
    pub fn started(&mut self, run: RunId, main: i32) {
        self.sessions.insert(main, run);
        if self.listening == Listening::On {
            self.remember(main, Member { run, since: clock::monotonic() });
        }
    }

    /// The main process of a run is reaped, and its number not its own any more. [`Causes::hear`] was called before.
    pub fn reaped(&mut self, main: i32) {
        self.sessions.remove(&main);
    }

    /// No run is in flight any more: nobody is to be woken by the forks of others.
    pub fn rest(&mut self) {
        if self.listening != Listening::On {
            return;
        }
        if let Some(connector) = &self.connector {
            // A kernel that goes on telling wakes us in vain, and no more.
            let _ = connector.ignore();
        }
        self.hear();
        self.listening = Listening::Until(clock::monotonic());
    }

    /// The run that a process belongs to, or belonged to.
    pub fn of(&mut self, pid: i32, cgroups: Option<&Cgroups>) -> Option<RunId> {
        let is_lingering = cgroups.is_some_and(|cgroups| cgroups.life.is_lingering());
        let is_nobody = self.members.is_empty() && self.sessions.is_empty() && !is_lingering;
        if pid <= 0 || is_nobody {
            return None;
        }
        if self.listening == Listening::On {
            self.hear();
        }
        if self.is_remembered()
            && let Some(member) = self.members.get(&pid)
        {
            return Some(member.run);
        }
        if self.listening == Listening::On && self.is_complete && !is_lingering {
            return None;
        }
        let by_session =
            process::session_of(pid).ok().and_then(|session| self.sessions.get(&session)).copied();
        by_session.or_else(|| cgroups?.run_of(pid))
    }

    /// Readable when the kernel has told of a fork.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.connector.as_ref().map(|connector| connector.as_fd())
    }

    /// Takes in what the kernel has told so far; what it tells unasked is read and passed over, or it would wake us for
    /// ever.
    pub fn hear(&mut self) {
        for _ in 0..HEARD_MAX {
            let Some(connector) = &self.connector else { return };
            match connector.hear() {
                Heard::Nothing => return,
                Heard::Fork(_) | Heard::Lost | Heard::Other if self.listening != Listening::On => {}
                Heard::Fork(fork) => self.forked(fork),
                Heard::Lost => self.is_complete = false,
                Heard::Other => {}
            }
        }
    }

    fn forked(&mut self, fork: Fork) {
        match self.members.get(&fork.parent).copied() {
            Some(parent) => {
                let since = clock::monotonic();
                self.remember(fork.child, Member { run: parent.run, since });
            }
            // A run of ours, which is remembered already.
            None if self.sessions.contains_key(&fork.child) => {}
            // The number of one that is gone was given to another.
            None => drop(self.members.remove(&fork.child)),
        }
    }

    fn remember(&mut self, pid: i32, member: Member) {
        if self.members.len() >= MEMBERS_MAX {
            let is_recent = |known: &Member| member.since.since(known.since) < MEMORY;
            self.members.retain(|pid, known| is_recent(known) || process::session_of(*pid).is_ok());
        }
        if self.members.len() < MEMBERS_MAX {
            self.members.insert(pid, member);
        } else {
            self.is_complete = false;
        }
    }

    /// Whether `members` still says who is who.
    fn is_remembered(&self) -> bool {
        match self.listening {
            Listening::On => true,
            Listening::Never => false,
            Listening::Until(moment) => clock::monotonic().since(moment) < MEMORY,
        }
    }
}

/// Whether the kernel has told of the fork that made this process.
fn hears(connector: &Connector, child: Option<i32>) -> bool {
    loop {
        match connector.hear() {
            Heard::Fork(fork) if Some(fork.child) == child => return true,
            Heard::Fork(_) | Heard::Other | Heard::Lost => {}
            Heard::Nothing => return false,
        }
    }
}
