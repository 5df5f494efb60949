//! A lane: everything that the engine knows of one rule, by its name, across reloads.
//!
//! Here is what waits, and who has which path. How it gets there is in `gather.rs`, how it becomes a run in `take.rs`,
//! what `on-busy` makes of it in `schedule.rs`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::dirty::{DirtySet, Stage};
use super::group::Groups;
use super::leading::LeadingWindows;
use super::path_map::PathMap;
use super::queue::TriggerQueue;
use super::rescan::Rescan;
use super::retry::{Refusal, Retries};
use super::size::{RULE_MAX, Size};
use super::starts::Starts;
use super::streak::Echoes;
use super::window::Window;
use super::{Counters, Entry, LastRun};
use crate::event::RunId;
use crate::moment::Moment;
use crate::rule::{OnBusy, Rule, RuleId};

/// A lane's number: never used twice in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(pub u64);

/// One rule at work.
#[derive(Debug)]
pub(super) struct Lane {
    /// The rule as it is.
    pub rule: Arc<Rule>,
    /// Its present id; none once a reload has removed it: then its runs go on to their end, and nothing more.
    pub id: Option<RuleId>,
    /// What waits for its debounce, a slot or its path.
    pub dirty: DirtySet,
    /// Under `on-busy = "queue"`: the triggers that wait.
    pub queue: TriggerQueue,
    /// What waits for another try.
    pub retries: Retries,
    /// Parts of groups.
    pub groups: Groups,
    /// Under `edge = "leading"`: what is swallowed.
    pub leading: LeadingWindows,
    /// Under `batch`: whether more is gathered, and until when.
    pub window: Window,
    /// Who has which path.
    pub held: PathMap<Holder>,
    /// For `start-limit`.
    pub starts: Starts,
    /// Rescans owed and under way.
    pub rescan: Rescan,
    /// Runs that have just ended.
    pub echoes: Echoes,
    /// Its numbers.
    pub counters: Counters,
    /// How its last run ended.
    pub last: Option<LastRun>,
    /// Runs of its command that are alive, the oldest first.
    pub running: BTreeSet<RunId>,
    /// Runs of its `on-failure` that are alive, or wait for a slot of the daemon.
    pub running_on_failure: usize,
    /// What the runs have that are alive, those of its `on-failure` included.
    pub running_size: Size,
    /// Whether what arrives waits until it is resumed.
    pub is_paused: bool,
    /// Whether its `queue-limit` or its share of bytes was passed, and not enough has gone since.
    pub is_over: bool,
    /// Paths that became due and of which `on-busy` has not said what becomes of them.
    pub undecided: Vec<Arc<Path>>,
    /// Under `batch`, the streak of its last run.
    pub batch_streak: u32,
    /// What stands for it among the engine's deadlines, turns and sums.
    pub place: Place,
}

/// Who has a path: no run of it may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A run in flight; the path is this one among its paths.
    Run(RunId, usize),
    /// A retry that waits.
    Retry(u64),
}

/// What stands for a lane in the engine's own collections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Its deadline.
    pub deadline: Option<Moment>,
    /// Its turn to start a run.
    pub turn: Option<u64>,
    /// What of it is in the sums.
    pub load: Load,
}

/// What a lane holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Paths that wait or run.
    pub entries: Size,
    /// Paths with parts of groups.
    pub parts: Size,
    /// Paths with leading windows.
    pub windows: Size,
}

/// What a run is to be made of.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its paths.
    pub entries: Vec<(Arc<Path>, Entry)>,
    /// The number of the try.
    pub attempt: u32,
    /// Where the system has refused it before.
    pub refusal: Option<Refusal>,
}

impl Lane {
    /// A rule that has just appeared.
    pub(super) fn new(rule: Arc<Rule>, id: RuleId) -> Lane {
        Lane {
            rule,
            id: Some(id),
            dirty: DirtySet::default(),
            queue: TriggerQueue::default(),
            retries: Retries::default(),
            groups: Groups::default(),
            leading: LeadingWindows::default(),
            window: Window::default(),
            held: PathMap::default(),
            starts: Starts::default(),
            rescan: Rescan::default(),
            echoes: Echoes::default(),
            counters: Counters::default(),
            last: None,
            running: BTreeSet::new(),
            running_on_failure: 0,
            running_size: Size::default(),
            is_paused: false,
            is_over: false,
            undecided: Vec::new(),
            batch_streak: 0,
            place: Place::default(),
        }
    }

    /// Whether every trigger is to have its own run.
    pub(super) fn is_queueing(&self) -> bool {
        self.rule.schedule.on_busy == OnBusy::Queue
    }

    /// Whether all paths that wait go into one run.
    pub(super) fn is_batch(&self) -> bool {
        self.rule.gather.batch
    }

    /// Whether every slot of the rule is taken.
    pub(super) fn is_full(&self) -> bool {
        let slots = self.rule.schedule.concurrency.map_or(usize::MAX, |slots| slots.get() as usize);
        self.running.len() >= slots
    }

    /// How many paths wait for a run.
    pub(super) fn waiting_paths(&self) -> usize {
        self.waiting_size().paths
    }

    /// What waits for a run or is in one.
    pub(super) fn size(&self) -> Size {
        self.waiting_size() + self.running_size
    }

    fn waiting_size(&self) -> Size {
        self.dirty.size() + self.queue.size() + self.retries.size()
    }

    /// Everything that waits for a run.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.dirty.iter().chain(self.queue.iter()).chain(self.retries.iter())
    }

    /// The run because of which a path that is due cannot run.
    pub(super) fn blocking_run(&self, path: &Path) -> Option<RunId> {
        match self.held.get(path) {
            Some(Holder::Run(run, _)) if self.dirty.stage(path) == Some(Stage::Blocked) => Some(*run),
            _ => None,
        }
    }

    /// Whether a batch that has just become due finds every slot taken.
    pub(super) fn is_batch_waiting_for_a_slot(&self) -> bool {
        let newest = self.dirty.ready().next_back().and_then(|path| self.dirty.get(path));
        let is_new = newest.is_some_and(|entry| entry.order > self.window.rest_until);
        is_new && self.is_batch() && self.is_full()
    }

    /// What waits by now is let through, whatever `on-busy` says.
    pub(super) fn accept_all(&mut self) {
        self.dirty.iter_mut().for_each(|entry| entry.is_accepted = true);
    }

    /// Notices when half of `queue-limit` and of its share of bytes is free again.
    pub(super) fn notice_room(&mut self) {
        let is_crowded = self.waiting_paths() > self.rule.schedule.queue_limit / 2;
        self.is_over &= is_crowded || !self.size().is_half_free(RULE_MAX);
    }

    /// What it holds in memory.
    pub(super) fn load(&self) -> Load {
        Load { entries: self.size(), parts: self.groups.size(), windows: self.leading.size() }
    }
}
