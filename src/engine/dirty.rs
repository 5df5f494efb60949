//! The dirty set: the paths of one rule that wait for a run, each once.
//!
//! Memory follows distinct paths, never events. A path is in one of three stages:
//!
//! ```text
//!             due                      its path is released
//! Gathering ───────► Ready      Blocked ───────► Ready
//!     │                            ▲
//!     └──── due, path is busy ─────┘          an event sends each back to Gathering, if that makes it due later
//! ```
//!
//! Under `batch` nothing is gathering by itself: the rule's window decides for all (see `lane.rs`).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::Entry;
use super::path_map::PathMap;
use super::size::Size;
use crate::moment::Moment;

/// Where a path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Until this moment more may come.
    Gathering(Moment),
    /// Can run as soon as there is a slot.
    Ready,
    /// A run or a retry has the path.
    Blocked,
}

/// The paths of one rule that wait.
#[derive(Debug, Default)]
pub(super) struct DirtySet {
    /// In boxes of their own, since the nodes of the map are never full.
    entries: PathMap<Box<(Entry, Stage)>>,
    gathering: BTreeSet<(Moment, u64, Arc<Path>)>,
    ready: BTreeSet<(u64, Arc<Path>)>,
    size: Size,
}

impl DirtySet {
    /// What waits.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// What is known of a path that waits.
    pub(super) fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path).map(|known| &known.0)
    }

    /// The same, to be changed; order and paths must stay.
    pub(super) fn get_mut(&mut self, path: &Path) -> Option<&mut Entry> {
        self.entries.get_mut(path).map(|known| &mut known.0)
    }

    /// Where a path stands, if it waits.
    pub(super) fn stage(&self, path: &Path) -> Option<Stage> {
        self.entries.get(path).map(|known| known.1)
    }

    /// Every path that waits.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|known| &known.0)
    }

    /// The same, to be changed; order and paths must stay.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.values_mut().map(|known| &mut known.0)
    }

    /// Adds a path that does not wait yet.
    pub(super) fn insert(&mut self, path: Arc<Path>, entry: Entry, stage: Stage) {
        self.index(&path, entry.order, stage);
        self.size += Size::of(&entry.event);
        let before = self.entries.insert(path, Box::new((entry, stage)));
        debug_assert!(before.is_none(), "a path waits once");
    }

    /// Takes a path out.
    pub(super) fn remove(&mut self, path: &Path) -> Option<(Arc<Path>, Entry)> {
        let (path, known) = self.entries.remove(path)?;
        let (entry, stage) = *known;
        self.unindex(&path, entry.order, stage);
        self.size -= Size::of(&entry.event);
        Some((path, entry))
    }

    /// Puts a path that waits at another stage.
    pub(super) fn place(&mut self, path: &Arc<Path>, stage: Stage) {
        let Some(known) = self.entries.get_mut(path) else { return };
        let (entry, before) = &mut **known;
        let (order, before) = (entry.order, std::mem::replace(before, stage));
        self.unindex(path, order, before);
        self.index(path, order, stage);
    }

    /// A run or a retry has let go of the path.
    pub(super) fn release(&mut self, path: &Arc<Path>) {
        if self.stage(path) == Some(Stage::Blocked) {
            self.place(path, Stage::Ready);
        }
    }

    /// The next path whose gathering ends by itself, and when.
    pub(super) fn next_due(&self) -> Option<(Moment, &Arc<Path>)> {
        self.gathering.first().map(|(due, _, path)| (*due, path))
    }

    /// The paths that can run, in the order in which their first events came.
    pub(super) fn ready(&self) -> impl DoubleEndedIterator<Item = &Arc<Path>> {
        self.ready.iter().map(|(_, path)| path)
    }

    /// Takes everything out, in the order in which it came.
    pub(super) fn drain(&mut self) -> Vec<(Arc<Path>, Entry)> {
        let all = std::mem::take(self);
        let mut all: Vec<_> = all.entries.into_iter().map(|(path, known)| (path, known.0)).collect();
        all.sort_unstable_by_key(|(_, entry)| entry.order);
        all
    }

    fn index(&mut self, path: &Arc<Path>, order: u64, stage: Stage) {
        match stage {
            Stage::Gathering(due) => drop(self.gathering.insert((due, order, Arc::clone(path)))),
            Stage::Ready => drop(self.ready.insert((order, Arc::clone(path)))),
            Stage::Blocked => {}
        }
    }

    fn unindex(&mut self, path: &Arc<Path>, order: u64, stage: Stage) {
        match stage {
            Stage::Gathering(due) => drop(self.gathering.remove(&(due, order, Arc::clone(path)))),
            Stage::Ready => drop(self.ready.remove(&(order, Arc::clone(path)))),
            Stage::Blocked => {}
        }
    }
}
