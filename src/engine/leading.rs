//! `edge = "leading"`: for how long after a trigger the events of its path are swallowed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::size::Size;
use crate::moment::Moment;

/// The windows of one rule: one a path, or under `batch` one for all.
///
/// Nothing is lost with a window: an event comes through that would have been swallowed. So there are only so many.
#[derive(Debug, Default)]
pub(super) struct LeadingWindows {
    whole_rule: Option<Moment>,
    paths: BTreeMap<Arc<Path>, Moment>,
    by_end: BTreeSet<(Moment, Arc<Path>)>,
    size: Size,
}

impl LeadingWindows {
    /// What has one.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Whether an event on this path (none: of the rule, under `batch`) is swallowed.
    pub(super) fn swallows(&mut self, path: Option<&Path>, now: Moment) -> bool {
        self.expire(now);
        let until = path.map_or(self.whole_rule, |path| self.paths.get(path).copied());
        until.is_some_and(|until| now < until)
    }

    /// A trigger opens a window. Where there would be more than `max`, the oldest close early.
    pub(super) fn open(&mut self, path: Option<&Arc<Path>>, until: Moment, max: Size) {
        let Some(path) = path else {
            self.whole_rule = Some(until);
            return;
        };
        let size = Size::of_path(path);
        if let Some(before) = self.paths.remove(path) {
            self.by_end.remove(&(before, Arc::clone(path)));
            self.size -= size;
        }
        while !self.size.has_room_for(size, max) {
            let Some((_, oldest)) = self.by_end.pop_first() else { return };
            self.size -= Size::of_path(&oldest);
            self.paths.remove(&oldest);
        }
        self.size += size;
        self.paths.insert(Arc::clone(path), until);
        self.by_end.insert((until, Arc::clone(path)));
    }

    fn expire(&mut self, now: Moment) {
        while self.by_end.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, path)) = self.by_end.pop_first()
        {
            self.size -= Size::of_path(&path);
            self.paths.remove(&path);
        }
    }
}
