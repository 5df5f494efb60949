//! `edge = "leading"`: for how long after a trigger the events of its path are swallowed.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use crate::moment::Moment;

/// The windows of one rule: one a path, or under `batch` one for all.
///
/// Nothing is lost with a window: an event comes through that would have been swallowed. So there are only so many.
#[derive(Debug, Default)]
pub(super) struct LeadingWindows {
    whole_rule: Option<Moment>,
    paths: BTreeMap<Arc<Path>, Moment>,
    by_age: VecDeque<(Moment, Arc<Path>)>,
}

impl LeadingWindows {
    /// How many paths have one.
    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Whether an event on this path (none: of the rule, under `batch`) is swallowed.
    pub(super) fn swallows(&mut self, path: Option<&Path>, now: Moment) -> bool {
        self.expire(now);
        let until = path.map_or(self.whole_rule, |path| self.paths.get(path).copied());
        until.is_some_and(|until| now < until)
    }

    /// A trigger opens a window. Where there are `paths_max` already, the oldest closes early.
    pub(super) fn open(&mut self, path: Option<&Arc<Path>>, until: Moment, paths_max: usize) {
        let Some(path) = path else {
            self.whole_rule = Some(until);
            return;
        };
        while self.by_age.len() >= paths_max {
            if !self.close_oldest() {
                return;
            }
        }
        self.paths.insert(Arc::clone(path), until);
        self.by_age.push_back((until, Arc::clone(path)));
    }

    /// Every window of a rule is equally long, so they close in the order in which they opened.
    fn expire(&mut self, now: Moment) {
        while self.by_age.front().is_some_and(|(until, _)| *until <= now) {
            self.close_oldest();
        }
    }

    fn close_oldest(&mut self) -> bool {
        let Some((until, path)) = self.by_age.pop_front() else { return false };
        // A trigger that was asked for by hand may have opened a later one.
        if self.paths.get(&path) == Some(&until) {
            self.paths.remove(&path);
        }
        true
    }
}
