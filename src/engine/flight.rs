//! Runs in flight: from the decision to start one until it is reaped.
//!
//! ```text
//!            timeout, restart, shutdown        kill-after
//! running ───────────────────────────► asked ────────────► killed
//!    │          stop-signal              │       SIGKILL      │
//!    └──────────────────────► exited ◄───┴────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::lane::LaneId;
use super::retry::Refusal;
use super::size::Size;
use super::{Entry, Outcome, Purpose, Run, StopSignal};
use crate::event::RunId;
use crate::moment::Moment;
use crate::rule::Rule;

/// One run in flight.
#[derive(Debug)]
pub(super) struct Flight {
    /// Its number.
    pub id: RunId,
    /// Whose.
    pub lane: LaneId,
    /// The rule as it was when the run was decided.
    pub rule: Arc<Rule>,
    /// Which of its commands.
    pub purpose: Purpose,
    /// From 1.
    pub attempt: u32,
    /// Its paths, each with what is known of it.
    pub entries: Vec<(Arc<Path>, Entry)>,
    /// Where the system has refused to start it before.
    pub refusal: Option<Refusal>,
    /// When it was handed out.
    pub started: Moment,
    /// Why it is being stopped, and what comes next.
    stop: Option<Stop>,
}

/// Why a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// It outlived `timeout`.
    Timeout,
    /// `on-busy = "restart"`.
    Restart,
    /// The daemon stops.
    Shutdown,
}

#[derive(Clone, Copy, Debug)]
struct Stop {
    reason: StopReason,
    kill_at: Option<Moment>,
}

impl Flight {
    /// Handed out at `started`.
    pub(super) fn new(
        id: RunId,
        lane: LaneId,
        rule: Arc<Rule>,
        purpose: Purpose,
        attempt: u32,
        started: Moment,
    ) -> Flight {
        Flight { id, lane, rule, purpose, attempt, entries: Vec::new(), refusal: None, started, stop: None }
    }

    /// The run as the rest of the daemon sees it.
    pub(super) fn run(&self) -> Run {
        let events = self.entries.iter().map(|(_, entry)| entry.event.clone()).collect();
        let rule = Arc::clone(&self.rule);
        Run { id: self.id, rule, purpose: self.purpose.clone(), attempt: self.attempt, events }
    }

    /// Whether it is one of those that `concurrency` bounds.
    pub(super) fn is_command(&self) -> bool {
        self.purpose == Purpose::Command
    }

    /// Why it is being stopped, if it is.
    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        self.stop.map(|stop| stop.reason)
    }

    /// How many matched events it answers.
    pub(super) fn count(&self) -> u64 {
        self.entries.iter().map(|(_, entry)| entry.count).sum()
    }

    /// What it has.
    pub(super) fn size(&self) -> Size {
        self.entries.iter().map(|(_, entry)| &entry.event).sum()
    }

    /// How many runs in a row, this one not counted, seem to have been triggered by the run before them.
    pub(super) fn streak(&self) -> u32 {
        self.entries.iter().map(|(_, entry)| entry.streak).min().unwrap_or(0)
    }

    fn deadline(&self) -> Option<Moment> {
        match self.stop {
            None => self.rule.ending.timeout.map(|timeout| self.started + timeout),
            Some(stop) => stop.kill_at,
        }
    }
}

impl StopReason {
    /// The outcome of a run that was stopped for it.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            StopReason::Timeout => Outcome::Timeout,
            StopReason::Restart => Outcome::Restart,
            StopReason::Shutdown => Outcome::Shutdown,
        }
    }
}

/// Every run in flight, with their deadlines in order.
#[derive(Debug, Default)]
pub(super) struct Flights {
    all: BTreeMap<RunId, Flight>,
    deadlines: BTreeSet<(Moment, RunId)>,
}

impl Flights {
    /// How many are alive.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// That of this number, unless it is over.
    pub(super) fn get(&self, run: RunId) -> Option<&Flight> {
        self.all.get(&run)
    }

    /// Every run in flight, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.all.values()
    }

    /// A run was handed out.
    pub(super) fn insert(&mut self, flight: Flight) {
        self.deadlines.extend(flight.deadline().map(|deadline| (deadline, flight.id)));
        self.all.insert(flight.id, flight);
    }

    /// A run is over.
    pub(super) fn remove(&mut self, run: RunId) -> Option<Flight> {
        let flight = self.all.remove(&run)?;
        if let Some(deadline) = flight.deadline() {
            self.deadlines.remove(&(deadline, run));
        }
        Some(flight)
    }

    /// Begins to stop a run, unless that has begun already: the first reason holds. What is to be sent to it.
    pub(super) fn stop(&mut self, run: RunId, reason: StopReason, now: Moment) -> Option<StopSignal> {
        let flight = self.all.get_mut(&run).filter(|flight| flight.stop.is_none())?;
        if let Some(deadline) = flight.deadline() {
            self.deadlines.remove(&(deadline, run));
        }
        let kill_at = now + flight.rule.ending.kill_after;
        flight.stop = Some(Stop { reason, kill_at: Some(kill_at) });
        self.deadlines.insert((kill_at, run));
        Some(StopSignal::Ask(flight.rule.ending.stop_signal))
    }

    /// The next signal that is due, and to whom.
    pub(super) fn next_signal(&mut self, now: Moment) -> Option<(RunId, StopSignal)> {
        let (deadline, run) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now)?;
        let flight = self.all.get_mut(&run).expect("only runs in flight have deadlines");
        match &mut flight.stop {
            None => Some((run, self.stop(run, StopReason::Timeout, now)?)),
            Some(stop) => {
                stop.kill_at = None;
                self.deadlines.remove(&(deadline, run));
                Some((run, StopSignal::Kill))
            }
        }
    }

    /// When the next signal is due.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}
