//! The board: what `status` shows of each rule besides the engine's numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::control::{Decision, Decisions, Done, LastRun, WirePath, stamp};
use crate::engine::{Outcome, Run};
use crate::event::{Event, RunId};
use crate::moment;
use crate::rule::RuleSet;

/// A book for each rule, by its name.
#[derive(Debug, Default)]
pub struct Board {
    /// Boxed: a map's nodes are half empty.
    books: BTreeMap<Arc<str>, Box<Book>>,
}

/// What is known of one rule.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// How it is watched; none: not yet.
    pub watched_by: Option<String>,
    /// How the processes of its runs are held together.
    pub contained_by: Option<String>,
    /// Why it is not watched, or not fully.
    pub reason: Option<String>,
    /// Why not all of it is guarded, where it asks for permission events.
    pub trouble: Option<String>,
    /// Why it is not armed at all: what it demands cannot be had here.
    pub refusal: Option<String>,
    /// Whether more waits than `queue-limit` allows, or starts exceed `start-limit`.
    pub is_over_limit: bool,
    /// The last run that ended.
    pub last: Option<Box<LastRun>>,
    /// The last decisions.
    pub decisions: Decisions,
}

impl Board {
    /// Keeps the books of rules that stay, opens one for each that came, closes the rest.
    pub fn set_rules(&mut self, rules: &RuleSet) {
        let mut old = std::mem::take(&mut self.books);
        for rule in &rules.rules {
            self.books.insert(Arc::clone(&rule.name), old.remove(&rule.name).unwrap_or_default());
        }
    }

    /// The book of a rule; none for a rule that is gone.
    pub fn book(&mut self, rule: &str) -> Option<&mut Book> {
        self.books.get_mut(rule).map(Box::as_mut)
    }

    /// The book of a rule, to read.
    pub fn read(&self, rule: &str) -> Option<&Book> {
        self.books.get(rule).map(Box::as_ref)
    }

    /// Notes what was done with an event, and gives it back for those who follow.
    pub fn decide(
        &mut self,
        rule: &str,
        event: &Event,
        done: Done,
        why: impl Into<Cow<'static, str>>,
        run: Option<RunId>,
    ) -> Decision {
        let decision = Decision::new(event, done, why, run);
        if let Some(book) = self.books.get_mut(rule) {
            book.decisions.push(decision.clone());
        }
        decision
    }

    /// Notes the end of a run.
    pub fn ended(
        &mut self,
        run: &Run,
        outcome: &Outcome,
        took: std::time::Duration,
        tail: &[u8],
        time: SystemTime,
    ) {
        let Some(book) = self.books.get_mut(&run.rule.name) else { return };
        let path = run.events.first().map(|event| WirePath::from(&*event.path)).unwrap_or_default();
        book.last = Some(Box::new(LastRun {
            run: run.id.0,
            time: stamp(time),
            outcome: outcome.to_string(),
            took: moment::told(took),
            path,
            error_output: String::from_utf8_lossy(tail).into_owned(),
        }));
    }
}
