//! The engine decides: which triggers become runs, when, and how a run ends.
//!
//! Pure: no descriptor, no clock, no error. Time comes with each input, and what is to be done comes back as
//! a list of actions. Contract: `now` never goes back; [`Engine::handle`] never blocks, fails or panics; after
//! it every deadline is later than `now`; actions are carried out in order; nothing is spawned after
//! [`Input::Stop`]; every matching event ends as a run that starts at or after it, or as a
//! [`Report::Dropped`] that says why.
//!
//! What the words mean:
//!
//! - An event *matches* a rule when the rule asks for it. A group (an inner array of `on`) matches as a whole, once.
//! - An event is *covered* by a run that starts at or after it, whatever comes of that run: a command that failed
//!   did run. An event that came when the queue was full is covered by the rescan that starts after it.
//! - It *waits* until then, and again when its run gives it back: because the run was stopped (`restart`, shutdown), or
//!   failed with another try left, or the system refused to start it for the moment.
//! - It is *dropped* when no run will answer it: see [`DropReason`]. *Gave up* means that the last try never became a
//!   process of the command.
//!
//! Events come in at `admit.rs`, gather in a lane (`lane.rs`, `gather.rs`), become runs in `schedule.rs`; `end.rs`
//! says what follows a run's end, `reload.rs` what becomes of everything when the rules change.

mod admit;
mod agenda;
mod contract;
mod counters;
mod dirty;
mod end;
mod entry;
mod flight;
mod gather;
mod group;
mod lane;
mod lanes;
mod leading;
mod lineage;
mod outcome;
mod path_map;
mod queue;
mod reload;
mod rescan;
mod retry;
mod schedule;
mod size;
mod starts;
mod streak;
mod take;
mod view;
mod window;

pub use contract::{Action, DropReason, Input, Purpose, Report, Run, StopSignal, Then};
pub use counters::{Change, Counters, Kept, KeptState, LastRun, Status};
pub use outcome::{Exit, Outcome, START_FAILURES, StartFailure, StartFailureClass};
pub use size::{BYTES_MAX, PATHS_MAX, RULE_BYTES_MAX};

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::event::RunId;
use crate::moment::Moment;
use crate::rule::{RuleId, RuleSet};
use agenda::Agenda;
use entry::Entry;
use flight::{Flight, Flights, StopReason};
use lane::{Lane, LaneId};
use lanes::Lanes;
use lineage::{Lineage, Lineages};

/// Every decision of the daemon, from events to processes and back.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    now: Moment,
    lanes: Lanes,
    /// The lane of each rule, by its id.
    ids: Vec<LaneId>,
    flights: Flights,
    lineages: Lineages,
    /// Runs of `on-failure` that wait for a slot of the daemon.
    on_failures: VecDeque<Flight>,
    agenda: Agenda,
    /// Lanes that the input concerns.
    touched: BTreeSet<LaneId>,
    /// Whether [`PATHS_MAX`] or [`BYTES_MAX`] was passed, and not enough has gone since.
    is_over: bool,
    /// Lanes that owe a rescan and wait for room in all.
    owing: BTreeSet<LaneId>,
    life: Life,
    last: Numbers,
    changes: Vec<Change>,
    actions: Vec<Action>,
}

/// Whether runs may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    /// No new runs; those in flight are stopped at this moment, or have been.
    Stopping(Option<Moment>),
}

/// The last number given to each kind of thing.
#[derive(Debug, Default)]
struct Numbers {
    run: u64,
    order: u64,
}

impl Engine {
    /// An engine with these rules, at the start of time.
    pub fn new(rules: Arc<RuleSet>) -> Engine {
        let mut engine = Engine {
            rules: Arc::default(),
            now: Moment::default(),
            lanes: Lanes::default(),
            ids: Vec::new(),
            flights: Flights::default(),
            lineages: Lineages::default(),
            on_failures: VecDeque::new(),
            agenda: Agenda::default(),
            touched: BTreeSet::new(),
            is_over: false,
            owing: BTreeSet::new(),
            life: Life::Running,
            last: Numbers::default(),
            changes: Vec::new(),
            actions: Vec::new(),
        };
        engine.reload(rules);
        engine
    }

    /// Takes in what happened by `now`, and says what is to be done, in order.
    pub fn handle(&mut self, now: Moment, input: Input) -> Vec<Action> {
        self.now = self.now.max(now);
        self.changes.clear();
        // What was due before an event came is not about that event. All else that comes late comes first: a run that
        // has ended is not stopped, and nothing starts before a pause or a stop.
        if matches!(input, Input::Event { .. }) {
            self.settle();
        }
        match input {
            Input::Event { rule, event } => self.on_event(rule, event),
            Input::Exited { run, exit } => self.on_end(run, Outcome::Ended(exit)),
            Input::SpawnFailed { run, failure } => self.on_end(run, Outcome::NotStarted(failure)),
            Input::Tick => {}
            Input::Reload(rules) => self.reload(rules),
            Input::Overflow { rules } => self.on_overflow(&rules),
            Input::RescanDone(rule) => self.on_rescan_done(rule),
            Input::Pause(rule) => self.pause(rule, true),
            Input::Resume(rule) => self.pause(rule, false),
            Input::Restore { rule, events, owes_rescan } => self.on_restore(rule, events, owes_rescan),
            Input::Stop => self.stop(self.now + self.rules.daemon.shutdown_timeout),
            Input::StopNow => self.stop(self.now),
        }
        self.settle();
        std::mem::take(&mut self.actions)
    }

    /// When something will happen by itself; later than the last `now`.
    pub fn next_deadline(&self) -> Option<Moment> {
        let shutdown = match self.life {
            Life::Running => None,
            Life::Stopping(ask_at) => ask_at,
        };
        [self.agenda.next_deadline(), self.flights.next_deadline(), shutdown].into_iter().flatten().min()
    }

    /// Whether it has been told to stop and no run is alive any more.
    pub fn is_finished(&self) -> bool {
        self.is_stopping() && self.flights.len() == 0
    }

    fn is_stopping(&self) -> bool {
        self.life != Life::Running
    }

    fn lane_id(&self, rule: RuleId) -> Option<LaneId> {
        self.ids.get(rule.0 as usize).copied()
    }

    fn touch(&mut self, id: LaneId) {
        self.touched.insert(id);
    }

    /// No new runs; those in flight are stopped at this moment.
    fn stop(&mut self, ask_at: Moment) {
        let ask_at = match self.life {
            Life::Running => Some(ask_at),
            Life::Stopping(before) => before.map(|before| before.min(ask_at)),
        };
        self.life = Life::Stopping(ask_at);
        for flight in std::mem::take(&mut self.on_failures) {
            let lane = &mut self.lanes[flight.lane];
            lane.running_on_failure -= 1;
            lane.running_size -= flight.size();
            if let Purpose::OnFailure(outcome) = &flight.purpose {
                self.leave_out_on_failure(&flight, outcome.clone());
            }
        }
        self.touched.extend(self.lanes.iter().map(|(id, _)| id));
    }

    fn pause(&mut self, rule: RuleId, is_paused: bool) {
        let Some(id) = self.lane_id(rule) else { return };
        let lane = &mut self.lanes[id];
        if lane.is_paused && !is_paused {
            lane.accept_all();
        }
        lane.is_paused = is_paused;
        self.changes.push(Change::Rule { rule: Arc::clone(&lane.rule.name) });
        self.touch(id);
    }

    /// The next number of a run.
    fn next_run(&mut self) -> RunId {
        self.last.run += 1;
        RunId(self.last.run)
    }
}
