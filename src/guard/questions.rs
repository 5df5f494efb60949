//! Which run decides which question: what the daemon remembers between somebody's asking and a run's end. Pure.
//!
//! ```text
//!   asked ──► waits for a run of its path ──started──► waits for that run ──ended──► verdict
//!                    ▲                                       │
//!                    └────────── another try, restart ───────┘
//! ```
//!
//! A question goes into the engine as an ordinary event of its rule and its path; so `concurrency`, coalescing and
//! all the rest hold for it, and nothing in the engine has to know that somebody waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::wire::QuestionId;
use crate::engine::{DropReason, Exit, Outcome, Purpose, Report, Run, Then};
use crate::event::RunId;

/// What is decided about the openers of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

impl Verdict {
    /// The rule file's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
        }
    }
}

/// The open questions.
#[derive(Debug, Default)]
pub struct Questions {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    id: QuestionId,
    rule: Arc<str>,
    path: PathBuf,
    default: Verdict,
    run: Option<RunId>,
}

impl Questions {
    /// Somebody asks; the event goes into the engine after this.
    pub fn ask(&mut self, id: QuestionId, rule: &Arc<str>, path: &Path, default: Verdict) {
        self.open.push(Open { id, rule: Arc::clone(rule), path: path.to_owned(), default, run: None });
    }

    /// The guard has given the default by itself, or is gone.
    pub fn forget(&mut self, id: QuestionId) {
        self.open.retain(|open| open.id != id);
    }

    /// Every guard is gone.
    pub fn forget_all(&mut self) {
        self.open.clear();
    }

    /// Follows what the engine reports; gives the verdicts that come of it.
    pub fn follow(&mut self, report: &Report) -> Vec<(QuestionId, Verdict)> {
        if self.open.is_empty() {
            return Vec::new();
        }
        match report {
            Report::Started(run) => self.bind(run),
            Report::Ended { run, outcome, then, .. } => return self.decide(run, outcome, *then),
            Report::Dropped { rule, path, reason, .. } => {
                return self.drop_of(rule, path.as_deref(), *reason);
            }
            Report::OverLimit { .. } | Report::StartLimited { .. } | Report::LoopSuspected { .. } => {}
        }
        Vec::new()
    }

    /// What waited for a run of these paths waits for this one.
    fn bind(&mut self, run: &Run) {
        if run.purpose != Purpose::Command {
            return;
        }
        for open in self.open.iter_mut().filter(|open| open.run.is_none() && open.rule == run.rule.name) {
            if run.events.iter().any(|event| event.path == open.path) {
                open.run = Some(run.id);
            }
        }
    }

    fn decide(&mut self, run: &Run, outcome: &Outcome, then: Then) -> Vec<(QuestionId, Verdict)> {
        let decided = match (outcome, then) {
            // What was asked is asked again: the limit goes on.
            (Outcome::Restart, _) | (_, Then::Retry(_)) => {
                for open in self.open.iter_mut().filter(|open| open.run == Some(run.id)) {
                    open.run = None;
                }
                return Vec::new();
            }
            (Outcome::Ended(Exit::Code(0)), _) => Some(Verdict::Allow),
            (Outcome::Ended(Exit::Code(_) | Exit::Signal(_)), _) => Some(Verdict::Deny),
            (Outcome::Timeout | Outcome::Shutdown | Outcome::NotStarted(_), _) => None,
        };
        self.close(|open| open.run == Some(run.id), |open| decided.unwrap_or(open.default))
    }

    /// No run will come.
    fn drop_of(&mut self, rule: &str, path: Option<&Path>, reason: DropReason) -> Vec<(QuestionId, Verdict)> {
        let is_concerned = |open: &Open| {
            open.run.is_none() && *open.rule == *rule && path.is_none_or(|path| path == open.path)
        };
        let verdict = |open: &Open| match reason {
            // A run of the rule itself asked.
            DropReason::Itself => Verdict::Allow,
            DropReason::Skip | DropReason::Leading | DropReason::Removed | DropReason::GaveUp => open.default,
        };
        self.close(is_concerned, verdict)
    }

    fn close(
        &mut self,
        is_concerned: impl Fn(&Open) -> bool,
        verdict: impl Fn(&Open) -> Verdict,
    ) -> Vec<(QuestionId, Verdict)> {
        let closed = self.open.extract_if(.., |open| is_concerned(open));
        closed.map(|open| (open.id, verdict(&open))).collect()
    }
}
