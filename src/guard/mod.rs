//! The guard: permission events. A process of its own answers whoever opens a guarded file; this is the daemon's
//! side of it, and `keeper` the guard's.
//!
//! The daemon never holds a group whose openers wait, so nothing that happens to it, nor to a command, can keep
//! anybody waiting: the guard answers `verdict-default` in time by itself. What happens to the guard is the
//! kernel's business: when the last descriptor of a group is closed, it lets everybody through, and a timer of the
//! kernel kills a guard that does not move.
//!
//! A question becomes an event of its rule, goes through the engine as any other, and is answered when the run
//! that took it has ended: [`Guard::follow`] is told every report of the engine.
//!
//! What can go wrong, and what happens then:
//!
//! | | openers who wait | openers who come |
//! | --- | --- | --- |
//! | the command fails, or ends by a signal | denied | asked anew |
//! | the command does not start, or outlives `timeout` | `verdict-default` | asked anew |
//! | the daemon hangs, is stopped, has no descriptors | `verdict-default` after `timeout` | the same |
//! | the daemon is killed | `verdict-default` at once | nothing is guarded until it starts again |
//! | the guard is killed, or hangs, or is stopped | let through, in 4 seconds at most | nothing is guarded until the daemon has started another, after a second and then ever longer |
//! | more than 4096 openers wait at once | go on waiting | `verdict-default` |
//! | the guard has no descriptors | who waited longest gets `verdict-default`, and makes room | the same |
//! | two rules guard one file | asked one after the other: the limits add up | the same |
//! | a guarded directory or file is replaced | answered | the new one is guarded a moment later |
//! | the whole control group is frozen with the guard in it (cgroup v1, a paused container) | wait until it thaws | the same |
//!
//! Not guarded at all: O_PATH, stat(2), rename(2), unlink(2), truncate(2), and what was open before. A denied
//! O_CREAT leaves an empty file behind. Other machines on a network file system are not asked; so none may be
//! guarded.

mod arming;
mod cache;
mod desk;
mod keeper;
mod hearing;
mod kin;
mod notice;
mod outbox;
mod place;
mod policy;
mod post;
mod process;
mod questions;
mod record;
mod roster;
mod station;
mod walk;
mod wire;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Report;
use crate::moment::Moment;
use crate::rule::Rule;
use crate::sys::mounts::Mountinfo;
use crate::sys::names::NameWatcher;
use crate::sys::poller::{Interest, Poller};
use crate::sys::process::{Child, Spawner};
use process::Process;
use questions::Questions;
use roster::Roster;
use station::Station;
use wire::Order;

pub use keeper::keep;
pub use notice::{GuardNotice, GuardStatus};
pub use questions::Verdict;
pub use wire::{Counts, PostId, QuestionId};

/// Sources of the guard's own poller.
const SOCKET: u64 = 0;
const NAMES: u64 = 1;
const LEAVING: u64 = 2;
const BELL: u64 = 3;

const READING: Interest = Interest { is_reading: true, is_writing: false };

/// What the guard has to keep its hands off, beside what no rule may guard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Every rule file, as named and with symbolic links followed.
    pub rule_files: Vec<PathBuf>,
    /// Every program that facron starts, and facron itself, as named and with symbolic links followed.
    pub programs: Vec<PathBuf>,
    /// The directories of facron's state and socket.
    pub own_directories: Vec<PathBuf>,
}

/// The daemon's side of the guard. No process, and nothing to wait for, while no rule asks for permission events.
#[derive(Debug)]
pub struct Guard {
    program: CString,
    spawner: Spawner,
    poller: Poller,
    surroundings: Surroundings,
    stations: Vec<Station>,
    outside: Option<Outside>,
    process: Option<Process>,
    roster: Roster,
    questions: Questions,
    cgroup: Option<Vec<u8>>,
    leaving: Vec<Child>,
    started: Moment,
    delay: Duration,
    next_start: Option<Moment>,
    next_look: Option<Moment>,
}

/// What tells that paths lead elsewhere.
#[derive(Debug)]
struct Outside {
    names: NameWatcher,
    mountinfo: Mountinfo,
    /// Only to be woken by: see [`Mountinfo::has_changed`].
    bell: Mountinfo,
}

impl Guard {
    /// No guard yet. `program` is facron itself, for which `/proc/self/exe` is a good name.
    ///
    /// # Errors
    /// No descriptor or memory left.
    pub fn new(program: CString) -> io::Result<Guard> {
        Ok(Guard {
            program,
            spawner: Spawner::new()?,
            poller: Poller::new()?,
            surroundings: Surroundings::default(),
            stations: Vec::new(),
            outside: None,
            process: None,
            roster: Roster::default(),
            questions: Questions::default(),
            cgroup: None,
            leaving: Vec::new(),
            started: Moment::default(),
            delay: arming::DELAY_MIN,
            next_start: None,
            next_look: None,
        })
    }

    /// These rules are guarded from now on, where they ask for permission events, and no others. Rules that stay as
    /// they are keep their guard; for one that changed there is no gap. Without rules nobody is asked any more; who
    /// waits is answered still, by verdict or limit.
    pub fn set_rules(
        &mut self,
        rules: &[Arc<Rule>],
        surroundings: Surroundings,
        now: Moment,
        notices: &mut Vec<GuardNotice>,
    ) {
        let is_same = self.surroundings == surroundings;
        self.surroundings = surroundings;
        let mut before = std::mem::take(&mut self.stations);
        for rule in rules.iter().filter(|rule| crate::guardable::wants_permission(&rule.watch)) {
            let known = before.iter().position(|station| station.rule.name == rule.name);
            let mut station = match known {
                Some(index) => before.swap_remove(index),
                None => Station::new(Arc::clone(rule)),
            };
            station.is_changed |= *station.rule != **rule || !is_same;
            station.rule = Arc::clone(rule);
            self.stations.push(station);
        }
        for station in before {
            self.retire(station.arriving.into_iter().chain(station.active));
        }
        if self.next_start.is_none() && self.process.is_none() && !self.stations.is_empty() {
            self.start(now, notices);
        }
        self.refresh_all(now, notices);
    }

    /// Processes in this control group, as /proc/PID/cgroup shows it, or below it are never asked about: the runs
    /// are there.
    pub fn exempt_cgroup(&mut self, path: &[u8]) {
        self.cgroup = Some(path.to_owned());
        self.say(&Order::ExemptCgroup { path });
    }

    /// Follows what the engine reports: the end of a run answers who waited for it.
    pub fn follow(&mut self, report: &Report) {
        for (question, verdict) in self.questions.follow(report) {
            self.say(&Order::Verdict { question, is_allowed: verdict == Verdict::Allow });
        }
    }

    /// Answers a question that does not go into the engine: its cause is none that the rule is about.
    pub fn answer(&mut self, question: QuestionId, verdict: Verdict) {
        self.questions.forget(question);
        self.say(&Order::Verdict { question, is_allowed: verdict == Verdict::Allow });
    }

    /// Deals with what the descriptor told.
    pub fn ready(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        let Ok(ready) = self.poller.ready() else { return };
        for source in ready {
            match source.token {
                SOCKET => self.hear(now, notices),
                NAMES => self.names_changed(now, notices),
                LEAVING => self.reap(notices),
                _ => {}
            }
        }
        let mountinfo = self.outside.as_ref().map(|outside| outside.mountinfo.has_changed());
        if matches!(mountinfo, Some(Ok(true))) {
            self.refresh_all(now, notices);
        }
        self.dismiss_idle();
    }

    /// A deadline may have come.
    pub fn tick(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        let is_there = |deadline: Option<Moment>| deadline.is_some_and(|deadline| deadline <= now);
        if is_there(self.next_start) {
            self.next_start = None;
            self.start(now, notices);
            self.refresh_all(now, notices);
        } else if is_there(self.next_look) {
            self.refresh_all(now, notices);
        }
    }

    /// When [`Guard::tick`] is to be called next.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.next_start.into_iter().chain(self.next_look).min()
    }

    /// Whether it is known of every rule whether it is guarded.
    pub fn is_settled(&self) -> bool {
        self.stations.iter().all(|station| station.told.is_some() && station.arriving.is_none())
    }

    /// The process ids of guards, which are to be left for this to reap.
    pub fn pids(&self) -> impl Iterator<Item = i32> {
        let leaving = self.leaving.iter().map(|child| child.pid());
        self.process.iter().map(Process::pid).chain(leaving)
    }

    /// How each rule is guarded, in the order of the rules.
    pub fn status(&self) -> impl Iterator<Item = GuardStatus> {
        self.stations.iter().map(|station| GuardStatus {
            rule: Arc::clone(&station.rule.name),
            trouble: match &station.told {
                Some(Ok(())) => None,
                Some(Err(reason)) => Some(reason.clone()),
                None => Some("not guarded yet".to_owned()),
            },
            counts: self.roster.counts(&station.rule.name),
        })
    }
}

impl AsFd for Guard {
    /// Readable when [`Guard::ready`] is to be called; the same for life.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
