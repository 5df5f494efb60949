//! The queue of `on-busy = "queue"`: every trigger its own run, those that share a path in their order.
//!
//! Each path has a line of the triggers that want it. A trigger can run when it stands first in the line of each
//! of its paths and no run or retry has one of them; `blockers` counts what is missing, so that nothing is searched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use super::Entry;
use super::size::Size;
use crate::event::{Event, EventMask};

/// The triggers of one rule that wait.
#[derive(Debug, Default)]
pub(super) struct TriggerQueue {
    triggers: BTreeMap<i64, Trigger>,
    runnable: BTreeSet<i64>,
    lines: BTreeMap<Arc<Path>, Line>,
    size: Size,
    /// Places in the queue that were given away: at its end upwards, at its front downwards.
    back: i64,
    front: i64,
}

/// What one run is to answer.
#[derive(Debug)]
struct Trigger {
    entries: VecDeque<(Arc<Path>, Entry)>,
    blockers: usize,
}

/// The triggers that want a path, in order; and, since they may be many, what they come to.
#[derive(Debug)]
struct Line {
    places: VecDeque<i64>,
    /// How many of them have which kind of event.
    kinds: BTreeMap<EventMask, usize>,
    /// The event that came last.
    last: Event,
}

impl TriggerQueue {
    /// What waits, over all triggers.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Everything that waits, trigger by trigger.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.triggers.values().flat_map(|trigger| &trigger.entries).map(|(_, entry)| entry)
    }

    /// What waits for this path, as one event.
    pub(super) fn of_path(&self, path: &Path) -> Option<Event> {
        let line = self.lines.get(path)?;
        let mask = line.kinds.keys().fold(EventMask::EMPTY, |mask, kind| mask | *kind);
        Some(Event { mask, ..line.last.clone() })
    }

    /// Whether a trigger can run.
    pub(super) fn is_runnable(&self) -> bool {
        !self.runnable.is_empty()
    }

    /// A trigger comes, behind all that wait; `is_held` says of a path whether a run or a retry has it.
    pub(super) fn push(&mut self, entries: Vec<(Arc<Path>, Entry)>, is_held: impl Fn(&Path) -> bool) {
        self.back += 1;
        let mut blockers = 0;
        for (path, entry) in &entries {
            let line = self.lines.entry(Arc::clone(path)).or_insert_with(|| Line::new(&entry.event));
            if !line.places.is_empty() || is_held(path) {
                blockers += 1;
            }
            line.places.push_back(self.back);
            line.count(entry);
            line.last = entry.event.clone();
        }
        self.insert(self.back, entries, blockers);
    }

    /// A trigger comes back whose run has just let go of its paths: it stands before all that wait for them.
    pub(super) fn push_front(&mut self, entries: Vec<(Arc<Path>, Entry)>) {
        self.front -= 1;
        for (path, entry) in &entries {
            // Whoever stood first was blocked by the run, and is blocked by this trigger from here on.
            let line = self.lines.entry(Arc::clone(path)).or_insert_with(|| Line::new(&entry.event));
            line.places.push_front(self.front);
            line.count(entry);
        }
        self.insert(self.front, entries, 0);
    }

    /// A run or a retry has let go of the path.
    pub(super) fn release(&mut self, path: &Path) {
        let Some(place) = self.lines.get(path).and_then(|line| line.places.front()) else { return };
        let trigger = self.triggers.get_mut(place).expect("a line holds only triggers that wait");
        trigger.blockers -= 1;
        if trigger.blockers == 0 {
            self.runnable.insert(*place);
        }
    }

    /// Takes the first trigger that can run, for as long as `fits` says so of its entries, and at least one of
    /// them; the rest runs next. The paths taken are the run's from here on.
    pub(super) fn take(&mut self, mut fits: impl FnMut(&Entry) -> bool) -> Vec<(Arc<Path>, Entry)> {
        let Some(place) = self.runnable.first().copied() else { return Vec::new() };
        let trigger = self.triggers.get_mut(&place).expect("what can run waits");
        let mut taken = Vec::new();
        while let Some((_, entry)) = trigger.entries.front() {
            if !fits(entry) && !taken.is_empty() {
                break;
            }
            taken.extend(trigger.entries.pop_front());
        }
        if trigger.entries.is_empty() {
            self.triggers.remove(&place);
            self.runnable.remove(&place);
        }
        for (path, entry) in &taken {
            let line = self.lines.get_mut(path).expect("a trigger stands in the line of each of its paths");
            line.places.pop_front();
            line.discount(entry);
            if line.places.is_empty() {
                self.lines.remove(path);
            }
        }
        self.size -= taken.iter().map(|(_, entry)| &entry.event).sum();
        taken
    }

    /// Takes everything out, in the order in which it came.
    pub(super) fn drain(&mut self) -> Vec<(Arc<Path>, Entry)> {
        let all = std::mem::take(self);
        all.triggers.into_values().flat_map(|trigger| trigger.entries).collect()
    }

    fn insert(&mut self, place: i64, entries: Vec<(Arc<Path>, Entry)>, blockers: usize) {
        self.size += entries.iter().map(|(_, entry)| &entry.event).sum();
        if blockers == 0 {
            self.runnable.insert(place);
        }
        self.triggers.insert(place, Trigger { entries: entries.into(), blockers });
    }
}

impl Line {
    fn new(event: &Event) -> Line {
        Line { places: VecDeque::new(), kinds: BTreeMap::new(), last: event.clone() }
    }

    fn count(&mut self, entry: &Entry) {
        for kind in entry.event.mask.singles() {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }

    fn discount(&mut self, entry: &Entry) {
        for kind in entry.event.mask.singles() {
            let count = self.kinds.get_mut(&kind).expect("what stands in a line was counted");
            *count -= 1;
            if *count == 0 {
                self.kinds.remove(&kind);
            }
        }
    }
}
