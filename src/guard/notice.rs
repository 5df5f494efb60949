//! What the guard tells the daemon, in the daemon's words.

use std::sync::Arc;

use super::wire::{Counts, QuestionId};
use crate::event::Event;
use crate::rule::Rule;

/// Something that the daemon has to know.
#[derive(Clone, Debug)]
pub enum GuardNotice {
    /// Somebody opened what a rule guards. It goes into the engine like any event.
    Event {
        /// Whose.
        rule: Arc<Rule>,
        /// What, and who. Its cause is known by its process id alone.
        event: Event,
        /// The session of the cause, as it was while it waited: a run has its own.
        session: Option<i32>,
        /// That the opener waits, and for which answer; the end of a run gives it, or [`super::Guard::answer`].
        question: Option<QuestionId>,
    },
    /// All of the rule's paths are guarded.
    Armed {
        /// Which.
        rule: Arc<Rule>,
    },
    /// Not all of the rule's paths are guarded.
    Degraded {
        /// Which.
        rule: Arc<Rule>,
        /// Why: one line.
        reason: String,
    },
    /// Openers were let through whose events could not be told: the daemon did not listen for too long.
    Lost {
        /// Whose.
        rule: Arc<Rule>,
        /// How many.
        count: u64,
    },
    /// Openers got `verdict-default`, since nobody decided in time.
    Overdue {
        /// Whose.
        rule: Arc<Rule>,
    },
    /// Something that people should know, and that changes nothing: one line.
    Warned {
        /// What.
        message: String,
    },
}

/// How a rule is guarded, for status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardStatus {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Why not all of it is guarded.
    pub trouble: Option<String>,
    /// What happened since it was set up.
    pub counts: Counts,
}
