//! The supervisor: starts runs, pumps their output, stops whole process trees, knows which process belongs to
//! which run.
//!
//! It never blocks: the loop polls its one descriptor, calls [`Supervisor::ready`] when that is readable or
//! [`Supervisor::next_deadline`] has come, and gets notices.

mod capture;
mod cause;
mod cgroups;
mod containment;
mod environment;
mod follow;
mod hold;
mod holder;
mod identity;
mod input;
mod launch;
mod life;
mod lookups;
mod namespaces;
mod notice;
mod object;
mod output;
mod pids;
mod refusal;
mod start;
mod task;
mod token;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use capture::{ERROR_TAIL_LEN, LINE_LEN_MAX};
pub use containment::Level;
pub use environment::{LANG, PATH, Variables};
pub use holder::SUBCOMMAND as HOLDER_SUBCOMMAND;
pub use notice::{Amount, Stream, SupervisorNotice};

use cause::Causes;
use containment::Containment;
use launch::{Begun, Starting};
use lookups::Lookups;
use task::Task;
use token::Token;

use crate::engine::StopSignal;
use crate::event::RunId;
use crate::moment::Moment;
use crate::rule::Setting;
use crate::sys::pipes;
use crate::sys::poller::{Interest, Poller};
use crate::sys::process::{self, Spawner, Starter};
use crate::sys::signals;
use crate::throttle::Throttle;

/// Read from one pipe before the others have their turn: what a pipe holds.
const READ_LEN: usize = 64 * 1024;

/// Everything here is read, or is readable when it ends.
const READING: Interest = Interest { is_reading: true, is_writing: false };

/// What the daemon decides about all runs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The daemon's own environment, for `inherit-env`.
    pub inherited: Variables,
    /// Run programs as root that others may write (`--insecure`).
    pub is_insecure: bool,
    /// Reap children that nothing in this program has started by `sys::process`: from before it became facron, orphans
    /// where it is the first process of a container, and what a command makes our child (clone(2), CLONE_PARENT).
    pub reaps_strangers: bool,
    /// This program, which knows [`HOLDER_SUBCOMMAND`]; without it, only sessions hold runs.
    pub program: Option<PathBuf>,
}

/// Starts runs and follows them to their ends.
#[derive(Debug)]
pub struct Supervisor {
    options: Options,
    spawner: Spawner,
    /// For starts that may wait for somebody else.
    starter: Starter<Begun>,
    starting: BTreeMap<RunId, Starting>,
    containment: Containment,
    causes: Causes,
    poller: Poller,
    null: OwnedFd,
    nice: i32,
    resets_oom_score: bool,
    lookups: Lookups,
    /// Of `$+`, `$-` and `$=`.
    counter: u32,
    tasks: BTreeMap<RunId, Task>,
    /// When to look again at those that are on the way to their ends.
    ending: BTreeMap<RunId, Moment>,
    lingering: BTreeMap<(RunId, Stream), OwnedFd>,
    throttle: Throttle<Arc<str>, Amount>,
    buffer: Box<[u8]>,
}

impl Supervisor {
    /// A supervisor without runs.
    ///
    /// # Errors
    /// When there are no descriptors or no memory left, or no /dev/null.
    pub fn new(options: Options) -> io::Result<Supervisor> {
        signals::default_child_disposition();
        let (mut spawner, null) = (Spawner::new()?, pipes::null()?);
        let containment = Containment::try_out(options.program.as_deref(), &mut spawner, null.as_fd());
        let causes = Causes::try_out(|| containment.start_one(&mut spawner, null.as_fd()));
        let poller = Poller::new()?;
        if let Some(forks) = causes.descriptor() {
            poller.add(forks, Token::Forks.data(), READING)?;
        }
        let starter = Starter::new()?;
        poller.add(starter.as_fd(), Token::Starts.data(), READING)?;
        Ok(Supervisor {
            options,
            spawner,
            starter,
            starting: BTreeMap::new(),
            containment,
            causes,
            poller,
            null,
            nice: process::own_nice(),
            resets_oom_score: process::own_oom_score_adj() < 0,
            lookups: Lookups::default(),
            counter: 0,
            tasks: BTreeMap::new(),
            ending: BTreeMap::new(),
            lingering: BTreeMap::new(),
            throttle: Throttle::default(),
            buffer: vec![0; READ_LEN].into(),
        })
    }

    /// What the runs of a rule with these settings would be held by.
    ///
    /// # Errors
    /// Why what the rule demands (`contain`, `limits.pids`) cannot be had here: then it is not to be armed.
    pub fn can_contain(&mut self, setting: &Setting) -> Result<Level, String> {
        self.containment.level_for(setting)
    }

    /// What can hold runs here beside their sessions: that it works, or why it does not.
    pub fn levels(&self) -> impl Iterator<Item = (Level, Result<&'static str, &str>)> {
        self.containment.levels()
    }

    /// How many processes of runs of an earlier life were found and ended when this supervisor was made.
    pub fn ended_earlier(&self) -> usize {
        self.containment.cgroups().map_or(0, |cgroups| cgroups.ended_earlier)
    }

    /// The run that a process belongs to, or belonged to: a run in flight, or one that is over, where something of it
    /// goes on or it ended within the last two seconds. None: no run, or nobody knows any more.
    pub fn cause(&mut self, pid: i32) -> Option<RunId> {
        self.note_births();
        self.causes.of(pid, self.containment.cgroups())
    }

    /// Whether [`Supervisor::cause`] knows processes that are gone already.
    pub fn knows_the_dead(&self) -> bool {
        self.causes.knows_the_dead()
    }

    /// The control group that the groups of all runs are in, as /proc/PID/cgroup writes it.
    pub fn cgroup(&self) -> Option<&Path> {
        self.containment.cgroups().map(|cgroups| cgroups.life.path.as_path())
    }

    /// Signals the processes of a run. Nothing happens to one whose end has been told.
    pub fn signal(&mut self, now: Moment, run: RunId, signal: StopSignal) {
        let Some(task) = self.tasks.get_mut(&run) else { return self.signal_starting(now, run, signal) };
        task.signal(now, signal);
        if task.is_ending() {
            self.ending.insert(run, now);
        }
    }

    /// Handles what is ready and due.
    pub fn ready(&mut self, now: Moment, notices: &mut Vec<SupervisorNotice>) {
        // A failing look at the poller is made again: what is ready stays ready.
        for ready in self.poller.ready().unwrap_or_default() {
            match Token::from_data(ready.token) {
                Token::Process(run) => self.process_is_ready(now, run, notices),
                Token::Pipe(run, stream) => self.pump(now, run, stream, 1, notices),
                Token::Forks => self.hear(),
                Token::Starts => self.take_begun(now, notices),
            }
        }
        let due = self.ending.iter().filter(|(_, look_at)| **look_at <= now).map(|(run, _)| *run);
        for run in due.collect::<Vec<_>>() {
            self.go_on(now, run, notices);
        }
        let throttled = self.throttle.end_spans(now).into_iter();
        notices.extend(throttled.map(|(rule, amount)| SupervisorNotice::OutputThrottled { rule, amount }));
        self.starter.look_after(now);
        if self.options.reaps_strangers {
            process::reap_strangers();
        }
    }

    /// When [`Supervisor::ready`] is to be called even if nothing becomes readable.
    pub fn next_deadline(&self) -> Option<Moment> {
        let own = [self.throttle.next_deadline(), self.starter.next_deadline()];
        self.ending.values().copied().chain(own.into_iter().flatten()).min()
    }

    /// The runs that have started, or are being started, and whose end has not been told.
    pub fn running(&self) -> impl ExactSizeIterator<Item = RunId> {
        self.tasks.keys().chain(self.starting.keys()).copied().collect::<Vec<_>>().into_iter()
    }

    /// While nothing runs nobody is to be woken by the forks of others.
    fn rest_if_idle(&mut self) {
        if self.tasks.is_empty() && self.starting.is_empty() {
            self.causes.rest();
        }
    }

    fn watch(&self, task: &Task) -> io::Result<()> {
        for (stream, pipe) in task.pipes() {
            self.poller.add(pipe, Token::Pipe(task.run, stream).data(), READING)?;
        }
        for process in task.processes() {
            self.poller.add(process.as_fd(), Token::Process(task.run).data(), READING)?;
        }
        Ok(())
    }
}

impl AsFd for Supervisor {
    /// Readable when [`Supervisor::ready`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
