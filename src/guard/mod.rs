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
mod roster;
mod station;
mod walk;
mod wire;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Report;
use crate::guardable::Facts;
use crate::moment::Moment;
use crate::rule::Rule;
use crate::sys::mounts::Mountinfo;
use crate::sys::names::NameWatcher;
use crate::sys::poller::{Interest, Poller};
use crate::sys::process::{Child, Ended, Spawner};
use process::Process;
use questions::Questions;
use roster::Roster;
use station::Station;
use wire::Order;

pub use keeper::keep;
pub use notice::{GuardNotice, GuardStatus};
pub use questions::Verdict;
pub use wire::{Counts, PostId, QuestionId};

/// Before a guard that was lost is started again; doubles up to [`DELAY_MAX`].
const DELAY_MIN: Duration = Duration::from_secs(1);

/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// Before what the system refused for want of means (descriptors, memory, posts) is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A guard that stood for so long has earned a short delay again.
const STOOD_WELL: Duration = Duration::from_secs(60);

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
    sessions: BTreeSet<i32>,
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
            sessions: BTreeSet::new(),
            cgroup: None,
            leaving: Vec::new(),
            started: Moment::default(),
            delay: DELAY_MIN,
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
        for rule in rules.iter().filter(|rule| crate::guardable::wants_permission(rule)) {
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

    /// Members of this session are never asked about: it is a run's. Its children are not either, whether they are
    /// told of or not, as long as they descend from the daemon; this only makes it cheap.
    pub fn exempt(&mut self, session: i32) {
        if self.sessions.insert(session) {
            self.say(&Order::Exempt { session });
        }
    }

    /// … and the run is over.
    pub fn unexempt(&mut self, session: i32) {
        if self.sessions.remove(&session) {
            self.say(&Order::Unexempt { session });
        }
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

    fn start(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        let started = Process::start(&self.program, &mut self.spawner)
            .and_then(|process| self.poller.add(process.as_fd(), SOCKET, READING).map(|()| process));
        match started {
            Ok(process) => {
                self.process = Some(process);
                self.started = now;
                for session in self.sessions.clone() {
                    self.say(&Order::Exempt { session });
                }
                if let Some(path) = self.cgroup.clone() {
                    self.say(&Order::ExemptCgroup { path: &path });
                }
            }
            Err(error) => self.put_off(now, &format!("the guard cannot be started: {error}"), notices),
        }
    }

    /// The next guard is started later.
    fn put_off(&mut self, now: Moment, reason: &str, notices: &mut Vec<GuardNotice>) {
        if now.since(self.started) >= STOOD_WELL {
            self.delay = DELAY_MIN;
        }
        self.next_start = Some(now + self.delay);
        let reason = format!("{reason}; tried again in {}", humantime::format_duration(self.delay));
        for station in &mut self.stations {
            station.lose(&reason, notices);
        }
        self.delay = (self.delay * 2).min(DELAY_MAX);
    }

    /// Any path may lead elsewhere: looks at all of them again.
    fn refresh_all(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        self.next_look = None;
        if self.stations.is_empty() {
            self.outside = None;
        } else if let Err(error) = self.look_outside() {
            let message =
                format!("guard: cannot watch for paths that change, only a reload finds them: {error}");
            notices.push(GuardNotice::Warned { message });
        }
        for index in 0..self.stations.len() {
            self.refresh(index, now, notices);
        }
        self.forget_names();
        self.watch_room();
        self.dismiss_idle();
    }

    fn look_outside(&mut self) -> io::Result<()> {
        if self.outside.is_none() {
            let (mountinfo, bell) = (Mountinfo::open()?, Mountinfo::open()?);
            let outside = Outside { names: NameWatcher::new()?, mountinfo, bell };
            self.poller.add(outside.names.as_fd(), NAMES, READING)?;
            self.poller.add(outside.bell.as_fd(), BELL, Interest::default())?;
            self.outside = Some(outside);
        }
        Ok(())
    }

    fn names_changed(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        let changes = self.outside.as_mut().map(|outside| outside.names.changes());
        let Some(Ok(changes)) = changes else { return };
        for index in 0..self.stations.len() {
            if self.stations[index].is_concerned_by(&changes) {
                self.refresh(index, now, notices);
            }
        }
        self.forget_names();
        self.watch_room();
    }

    /// Brings the guard to what a rule's paths lead to at this moment.
    fn refresh(&mut self, index: usize, now: Moment, notices: &mut Vec<GuardNotice>) {
        let (station, Some(outside)) = (&mut self.stations[index], &mut self.outside) else { return };
        let facts = Facts {
            rule_files: &self.surroundings.rule_files,
            programs: &self.surroundings.programs,
            own_directories: &self.surroundings.own_directories,
            ..Facts::default()
        };
        let mounts = outside.mountinfo.read().unwrap_or_default();
        let places = station.look(&facts, &mounts, &mut outside.names);
        if let Some(process) = &mut self.process {
            station.move_to(places, &mut self.roster, process);
            station.tell(&self.roster, notices);
        }
        if station.is_short_of_means {
            let next_look = now + LOOK_AGAIN;
            self.next_look = Some(self.next_look.map_or(next_look, |next| next.min(next_look)));
        }
    }

    /// Watches no names any more that no rule's paths go by.
    fn forget_names(&mut self) {
        if let Some(outside) = &mut self.outside {
            let steps = self.stations.iter().flat_map(|station| &station.steps);
            outside.names.keep_only(&steps.map(|step| step.directory.as_path()).collect());
        }
    }

    fn retire(&mut self, posts: impl Iterator<Item = PostId>) {
        for post in posts {
            self.say(&Order::Retire { post });
        }
    }

    /// Lets a guard go that has nothing to guard, and nobody waiting.
    fn dismiss_idle(&mut self) {
        if self.stations.is_empty() && self.roster.is_empty() {
            (self.next_start, self.next_look) = (None, None);
            self.delay = DELAY_MIN;
            if let Some(process) = self.process.take() {
                self.let_go(process);
            }
        }
    }

    fn let_go(&mut self, process: Process) {
        let child = process.dismiss();
        if self.poller.add(child.as_fd(), LEAVING, READING).is_err() {
            // Nobody would tell when it has ended; it is on its way, and is reaped at the next occasion.
            log::debug!("guard: cannot wait for the end of process {}", child.pid());
        }
        self.leaving.push(child);
    }

    fn reap(&mut self, notices: &mut Vec<GuardNotice>) {
        for child in self.leaving.extract_if(.., |child| child.peek().is_some()) {
            let pid = child.pid();
            if let Ended::Signal(number) = child.reap() {
                let message = format!("guard: process {pid} ended by signal {}", crate::signal::name(number));
                notices.push(GuardNotice::Warned { message });
            }
        }
    }

    fn say(&mut self, order: &Order<'_>) {
        if let Some(process) = &mut self.process {
            // A guard that is gone shows as the end of the socket.
            let _ = process.say(order, None);
            self.watch_room();
        }
    }

    fn watch_room(&self) {
        if let Some(process) = &self.process {
            let interest = Interest { is_writing: process.wants_room(), ..READING };
            // Without it, what waits is said with the next order or word.
            let _ = self.poller.modify(process.as_fd(), SOCKET, interest);
        }
    }
}

impl AsFd for Guard {
    /// Readable when [`Guard::ready`] is to be called; the same for life.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
