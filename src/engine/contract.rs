//! What goes into the engine and what comes out of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Exit, Outcome, StartFailure};
use crate::event::{Event, RunId};
use crate::rule::{Rule, RuleId, RuleSet};

/// Something that the engine has to know.
#[derive(Clone, Debug)]
pub enum Input {
    /// An event that a rule's watch, filter and `on` let through (`arrived` and the like included).
    Event {
        /// Whose.
        rule: RuleId,
        /// What.
        event: Event,
    },
    /// A spawned run has come to its end: its main process is reaped, and, where it was being stopped or has
    /// `leftover = "kill"`, everything that it started is gone.
    Exited {
        /// Which.
        run: RunId,
        /// How.
        exit: Exit,
    },
    /// A run that was to be spawned never became a process of the command.
    SpawnFailed {
        /// Which.
        run: RunId,
        /// Why.
        failure: StartFailure,
    },
    /// A deadline may have come.
    Tick,
    /// New rules take the place of the old, at once; what stays is known by its name.
    Reload(Arc<RuleSet>),
    /// Events of these rules may have been lost: each whose `on-overflow` says so owes a rescan that starts after
    /// this. Those that ask for `q-overflow` get that as an event besides.
    Overflow {
        /// Whose.
        rules: Vec<RuleId>,
    },
    /// A rescan that was owed has been carried out: its findings came as events before this.
    RescanDone(RuleId),
    /// What arrives for the rule waits from now on.
    Pause(RuleId),
    /// … and runs again.
    Resume(RuleId),
    /// What waited when the last life of the daemon ended (journal): runs as if it had just come.
    Restore {
        /// Whose.
        rule: RuleId,
        /// The waiting paths, each with what happened to it.
        events: Vec<Event>,
        /// Whether the rule owed a rescan.
        owes_rescan: bool,
    },
    /// No new runs; those in flight get `shutdown-timeout`, then they are stopped.
    Stop,
    /// No new runs; those in flight are stopped now.
    StopNow,
}

/// Something that is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Start this run; answered by `Exited` or `SpawnFailed`, exactly once.
    Spawn(Run),
    /// Signal the processes of a run.
    Signal {
        /// Which run.
        run: RunId,
        /// With what.
        signal: StopSignal,
    },
    /// Find what changed for this rule by a walk; answered by `RescanDone`, exactly once (under the id that the rule
    /// has then; if a reload has removed it, not at all).
    Rescan(RuleId),
    /// Tell people.
    Report(Report),
}

/// The two steps of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// The rule's `stop-signal`, by number, and SIGCONT.
    Ask(i32),
    /// SIGKILL to everything that the run started.
    Kill,
}

/// One try at running a rule's command, from its decision to its outcome.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The rule as it was when the run was decided; a reload does not change a run in flight.
    pub rule: Arc<Rule>,
    /// The rule's command, or its `on-failure`.
    pub purpose: Purpose,
    /// From 1.
    pub attempt: u32,
    /// Its paths, each once, with everything that happened to it; at least one. Shared: there may be very many.
    pub events: Arc<[Event]>,
}

/// Which of a rule's commands a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `command` or `shell`.
    Command,
    /// `on-failure`, after this outcome of the last try.
    OnFailure(Outcome),
}

/// Something that people want to know: log, status, journal and desktop are made from these.
#[derive(Clone, Debug)]
pub enum Report {
    /// A run was handed to the supervisor.
    Started(Run),
    /// A run came to its end.
    Ended {
        /// Which.
        run: Run,
        /// How.
        outcome: Outcome,
        /// From its start to its end.
        took: Duration,
        /// Whether it is a failure (by `success-codes`).
        is_failure: bool,
        /// What comes of it: another try, `on-failure`, or nothing.
        then: Then,
    },
    /// An event or trigger will not be answered by a run.
    Dropped {
        /// Whose.
        rule: Arc<str>,
        /// Which path; none where it is about several.
        path: Option<PathBuf>,
        /// Why.
        reason: DropReason,
        /// How many events.
        count: u64,
    },
    /// A last try failed, and the rule's `on-failure` will not run: the daemon is stopping.
    OnFailureLeftOut {
        /// Whose.
        rule: Arc<str>,
        /// What `on-failure` would have been told.
        outcome: Outcome,
        /// The first path of the failed run.
        path: Option<PathBuf>,
    },
    /// The rule's `queue-limit`, or that of all rules, is reached: from now on it owes a rescan.
    OverLimit {
        /// Whose.
        rule: Arc<str>,
    },
    /// An event waits because of the rule's `start-limit`.
    StartLimited {
        /// Whose.
        rule: Arc<str>,
    },
    /// Two rules or a rule and itself seem to feed each other without a cause that is known; starts are slowed down.
    LoopSuspected {
        /// Whose.
        rule: Arc<str>,
    },
}

/// What comes after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// Another try, after this delay.
    Retry(Duration),
    /// The rule's `on-failure` command.
    OnFailure,
}

/// Why an event is not answered by a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// `on-busy = "skip"`, and the rule or the path was busy.
    Skip,
    /// `edge = "leading"`, within `debounce` of a run's trigger.
    Leading,
    /// The rule was removed by a reload.
    Removed,
    /// The last try never became a process of the command.
    GaveUp,
    /// A run of the rule caused it (`ignore-self`); not counted as matched.
    Itself,
}

impl DropReason {
    /// Every reason, in the order in which they are shown.
    pub const ALL: [DropReason; 5] =
        [DropReason::Skip, DropReason::Leading, DropReason::Removed, DropReason::GaveUp, DropReason::Itself];

    /// The word in log and status.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::Skip => "skip",
            DropReason::Leading => "leading",
            DropReason::Removed => "removed",
            DropReason::GaveUp => "gave-up",
            DropReason::Itself => "itself",
        }
    }
}
