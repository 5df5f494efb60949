//! `edge = "leading"`: for how long after a trigger the events of its path are swallowed.

use std::collections::{BTreeMap, BTreeSet};
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
    by_end: BTreeSet<(Moment, Arc<Path>)>,
}

impl LeadingWindows {
    /// How many paths have one.
    pub(super) fn len(&self) -> usize {
        self.paths.len()
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
        if let Some(before) = self.paths.remove(path) {
            self.by_end.remove(&(before, Arc::clone(path)));
        }
        while self.paths.len() >= paths_max {
            let Some((_, oldest)) = self.by_end.pop_first() else { return };
            self.paths.remove(&oldest);
        }
        self.paths.insert(Arc::clone(path), until);
        self.by_end.insert((until, Arc::clone(path)));
    }

    fn expire(&mut self, now: Moment) {
        while let Some((_, path)) = self.by_end.first().filter(|(until, _)| *until <= now) {
            self.paths.remove(path);
            self.by_end.pop_first();
        }
    }
}
