//! What a rule has seen and done, in numbers that add up.

use std::path::Path;
use std::sync::Arc;

use super::{DropReason, Outcome};
use crate::event::{Event, RunId};

/// The numbers of one rule since the daemon started, or since the rule appeared.
///
/// At any instant `matched == covered + dropped + waiting`, where `waiting` is [`Status::waiting`] and `dropped`
/// is [`Counters::dropped_in_all`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that the rule asks for; a group (inner array of `on`) that became whole is one.
    pub matched: u64,
    /// Events answered by a run that started at or after them, whatever its outcome, or by a rescan that did. What
    /// a run gives back (stopped by `restart` or at shutdown, failed with a try left) is waiting again.
    pub covered: u64,
    /// Events that no run will answer, by reason, in the order of [`DropReason::ALL`].
    dropped: [u64; DropReason::ALL.len()],
    /// Runs that ended as `success-codes` asks.
    pub ok: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Runs that were stopped for a restart or a shutdown: neither.
    pub stopped: u64,
}

impl Counters {
    /// Events that no run will answer for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Matched events that no run will answer, over all reasons; `itself` is none of them, since what a run of the
    /// rule caused has not matched.
    pub fn dropped_in_all(&self) -> u64 {
        let counted = DropReason::ALL.into_iter().filter(|reason| *reason != DropReason::Itself);
        counted.map(|reason| self.dropped(reason)).sum()
    }

    /// Matched events that are neither covered nor dropped yet.
    pub(super) fn waiting(&self) -> u64 {
        self.matched - self.covered - self.dropped_in_all()
    }

    /// Counts events that no run will answer.
    pub(super) fn count_dropped(&mut self, reason: DropReason, count: u64) {
        self.dropped[reason as usize] += count;
    }
}

/// One rule as it stands, for `status` and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its numbers.
    pub counters: Counters,
    /// Matched events that wait: for their debounce, a slot, their path, a retry, or a rescan.
    pub waiting: u64,
    /// The paths of those that wait for a run.
    pub waiting_paths: usize,
    /// Runs of its command that are alive.
    pub running: usize,
    /// Runs of its `on-failure` that are alive, or wait for a slot of the daemon.
    pub running_on_failure: usize,
    /// Whether a rescan is owed, and not asked for yet.
    pub owes_rescan: bool,
    /// Whether a rescan was asked for, and is not done yet.
    pub is_rescanning: bool,
    /// Whether what arrives waits until `resume`.
    pub is_paused: bool,
    /// How its last run ended.
    pub last: Option<LastRun>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// Which.
    pub run: RunId,
    /// How.
    pub outcome: Outcome,
    /// Whether that is a failure.
    pub is_failure: bool,
}

/// What a rule has not answered yet, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub rule: Arc<str>,
    /// Each path that waits or is in a run, once, with everything that happened to it, bytewise order.
    pub events: Vec<Event>,
    /// What is kept besides.
    pub state: KeptState,
}

/// What is kept of a rule besides its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptState {
    /// Whether a rescan is owed or under way.
    pub owes_rescan: bool,
    /// Whether it is paused.
    pub is_paused: bool,
}

/// Something of which the kept state may have changed with the last input: see [`super::Engine::changes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A path of a rule waits, waits for more, or is answered.
    Path {
        /// The rule's name.
        rule: Arc<str>,
        /// The path.
        path: Arc<Path>,
    },
    /// The rule owes a rescan or does not any more, was paused or resumed, or is gone.
    Rule {
        /// The rule's name.
        rule: Arc<str>,
    },
}
