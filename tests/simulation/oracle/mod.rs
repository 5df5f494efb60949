//! The oracle: judges from outside whether the engine keeps its promises.
//!
//! It shares no code with the engine and is written the naive way: it keeps lists, recomputes everything from the
//! definitions in SPEC.md, and looks through all of it after each input. It does not say what the engine has to do
//! next; it judges what it did, and what it should have done by then.

mod action;
mod book;
mod duty;
mod end;
mod input;
mod reload;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use facron::engine::{Action, DropReason, Input, Outcome, Purpose, Then};
use facron::event::{EventMask, RunId};
use facron::moment::Moment;
use facron::rule::{DaemonSettings, Rule, RuleId, RuleSet};

use crate::sometimes::Sometimes;
use crate::subject::Subject;
use book::{Book, Heap, Refusals};

/// What was broken: the invariants of RELIABILITY.md 4a by their numbers, and a few more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Never more runs than slots, of the rule and of the daemon.
    Slots = 1,
    /// Never two runs for one path of one rule.
    Path = 2,
    /// Every run past its timeout is asked, and then killed, at the exact instant.
    Timeout = 3,
    /// At rest nothing is owed.
    Covered = 4,
    /// No signal to a run that is over, no number twice.
    Reaped = 5,
    /// Each overflow is answered by one rescan that starts after it.
    Rescan = 6,
    /// No run is due later than `max-wait` after the first event.
    MaxWait = 7,
    /// Nothing starts after a stop.
    Stopped = 8,
    /// So many tries, so far apart.
    Retry = 9,
    /// The counters add up.
    Counters = 10,
    /// The engine's idea of what is alive is the world's.
    Alive = 11,
    /// A run starts when it is due: not before, and not after if there is a slot.
    Due = 12,
    /// After a shutdown nothing is alive.
    Finished = 13,
    /// What waits has a timer, or waits for a run.
    Armed = 14,
    /// At a stop every run is asked in time.
    Asked = 15,
    /// No deadline lies in the past.
    BusyLoop = 16,
    /// No more waits than the limit allows.
    Limit = 17,
    /// A reload keeps what waits, and what runs.
    Reload = 18,
    /// Never more starts than `start-limit` allows.
    StartLimit = 19,
    /// A run has the paths that it answers, and is told what happened to them.
    Paths = 20,
    /// The same seed gives the same trace.
    Trace = 21,
    /// What is dropped is dropped for the reason that is told, and told.
    Dropped = 22,
    /// `on-busy` is obeyed.
    OnBusy = 23,
    /// Rules take turns.
    Fairness = 24,
    /// What has to outlive the process is known.
    Kept = 25,
    /// How a run ended and what follows is told as it is.
    Told = 26,
}

/// An invariant that was broken, and how.
pub struct Violation {
    pub invariant: Invariant,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{} {:?}: {}", self.invariant as u32, self.invariant, self.what)
    }
}

pub type Verdict = Result<(), Violation>;

/// Judges that something holds.
pub fn hold(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

/// Everything that was seen so far.
pub struct Oracle {
    now: Moment,
    daemon: DaemonSettings,
    /// The rules by their present ids.
    ids: Vec<Arc<str>>,
    books: BTreeMap<Arc<str>, Book>,
    runs: BTreeMap<RunId, Track>,
    /// The rules that each run descends from.
    lineages: BTreeMap<RunId, BTreeSet<Arc<str>>>,
    last_run: RunId,
    next_order: u64,
    stop: Stop,
    /// Failures that `on-failure` has to answer.
    on_failures: Vec<OnFailure>,
    /// Failures that are not answered because of a stop, to be told.
    left_out: Vec<LeftOut>,
    /// The end that has to be told after the last input.
    ending: Option<Ending>,
    /// Drops that have to be told after the last input.
    drops: Vec<(Arc<str>, Option<PathBuf>, DropReason, u64)>,
    /// Rules of which it has to be told that they are over the limit.
    over: Vec<Arc<str>>,
    /// How many inputs there were.
    inputs: u64,
    journal: BTreeMap<Arc<str>, BTreeMap<PathBuf, EventMask>>,
    pub sometimes: Sometimes,
}

/// Whether the daemon is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    At(Moment),
    Asked,
}

/// A run that is alive.
struct Track {
    name: Arc<str>,
    rule: Arc<Rule>,
    purpose: Purpose,
    attempt: u32,
    heaps: Vec<Heap>,
    refusals: Option<Refusals>,
    started: Moment,
    asked: Option<(Moment, Outcome)>,
    is_killed: bool,
}

/// A failure to answer.
struct OnFailure {
    name: Arc<str>,
    rule: Arc<Rule>,
    outcome: Outcome,
    attempt: u32,
    paths: Vec<PathBuf>,
    lineage: BTreeSet<Arc<str>>,
}

/// A failure that will not be answered: whose, what, and its first path.
type LeftOut = (Arc<str>, Outcome, Option<PathBuf>);

/// What has to be told of the end of a run.
struct Ending {
    run: RunId,
    outcome: Outcome,
    took: Duration,
    is_failure: bool,
    then: Then,
}

impl Oracle {
    pub fn new(rules: &RuleSet) -> Oracle {
        let mut oracle = Oracle {
            now: Moment::default(),
            daemon: DaemonSettings::default(),
            ids: Vec::new(),
            books: BTreeMap::new(),
            runs: BTreeMap::new(),
            lineages: BTreeMap::new(),
            last_run: RunId(0),
            next_order: 0,
            stop: Stop::No,
            on_failures: Vec::new(),
            left_out: Vec::new(),
            ending: None,
            drops: Vec::new(),
            over: Vec::new(),
            inputs: 0,
            journal: BTreeMap::new(),
            sometimes: Sometimes::default(),
        };
        oracle.reload(rules);
        oracle
    }

    /// Sees what goes in; then what comes out.
    pub fn see(&mut self, now: Moment, input: &Input) {
        self.now = now;
        self.inputs += 1;
        self.input(input);
        if self.stop == Stop::No {
            for book in self.books.values_mut().filter(|book| book.is_present) {
                book.seal(now);
            }
        }
    }

    /// Judges what came out.
    pub fn judge(&mut self, actions: &[Action], subject: &mut dyn Subject) -> Verdict {
        for action in actions {
            self.action(action)?;
        }
        if self.books.values().any(|book| book.rest > 0) {
            self.sometimes.saw("a batch cut in two");
        }
        self.decide()?;
        self.duties(subject)
    }

    /// Judges that nothing is owed when everything has come to rest.
    pub fn judge_rest(&self) -> Verdict {
        for (name, book) in &self.books {
            let waits = book.waiting_events() > 0 || !book.starts_nothing(self.now);
            hold(!waits, Invariant::Covered, || format!("{name}: something waits for ever"))?;
            let answered = book.covered + book.dropped_matched();
            hold(book.matched == answered, Invariant::Covered, || {
                format!("{name}: {} events matched, {answered} were answered", book.matched)
            })?;
        }
        hold(self.on_failures.is_empty(), Invariant::Covered, || "a failure was not answered".into())
    }

    fn book(&mut self, id: RuleId) -> Option<(&Arc<str>, &mut Book)> {
        let name = self.ids.get(id.0 as usize)?;
        Some((name, self.books.get_mut(name).expect("a rule has a book")))
    }

    fn is_stopping(&self) -> bool {
        self.stop != Stop::No
    }
}
