//! What a surveyor is asked to do. Equal orders become one, so that whoever asks never waits, and memory is bounded
//! by what there is to watch.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use super::atlas::NodeId;
use crate::event::Origin;
use crate::matcher::RootId;
use crate::plan::Demand;
use crate::rule::Rule;
use crate::sys::wakeup::Wakeup;

/// Directories that may wait to be entered; beyond that their whole trees are walked again instead.
const ENTERED_MAX: usize = 16_384;
/// Entries that may wait to be looked at; beyond that they are told of when they are written next.
const LOOKS_MAX: usize = 4096;

/// Where orders wait for a surveyor.
#[derive(Debug)]
pub struct Inbox {
    orders: Mutex<Orders>,
    wakeup: Wakeup,
}

/// All that a surveyor is asked to do.
#[derive(Debug, Default)]
pub struct Orders {
    /// The paths of a new rule set in place of the old, and its number.
    pub roots: Option<(u64, Vec<RootOrder>)>,
    /// Roots whose way may have changed.
    pub survey: BTreeSet<RootId>,
    /// Roots on whose way a directory went away, perhaps to come back before anybody looks.
    pub passed: BTreeSet<RootId>,
    /// Roots whose trees are to be walked again: directories may have come of which we were not told.
    pub repair: BTreeSet<RootId>,
    /// Directories that came into a tree.
    pub entered: VecDeque<Entered>,
    /// Directories that left a tree, by a directory on the same mount and what the tree was.
    pub left: VecDeque<Left>,
    /// Entries of foreign file systems that came, and may be finished.
    pub looks: VecDeque<Look>,
    /// Rules whose changes are to be found by a walk.
    pub rescans: Vec<RescanOrder>,
    /// Told to an annex: roots that lead to its file system, and whether they led elsewhere before.
    pub take: Vec<(RootOrder, bool)>,
    /// Told to an annex: parts of trees that lie on its file system.
    pub grafts: Vec<Graft>,
    /// Told to an annex: roots that have nothing to do with it any more. Comes before what is handed over.
    pub drop: Vec<RootId>,
    /// Told by an annex to its chief: how it stands with these roots is known.
    pub stated: Vec<RootId>,
    /// Told by an annex to its chief: its part of a rescan is over; where it is, and the rescan's number.
    pub rescanned: Vec<(PathBuf, u64)>,
    /// Walks that waited for room may go on.
    pub resumes: bool,
    /// The number of the last order that makes for a walk.
    pub walks: u64,
    /// Nobody listens any more.
    pub is_over: bool,
}

/// A path that rules wrote, and what they need of it.
#[derive(Clone, Debug)]
pub struct RootOrder {
    /// Its number.
    pub id: RootId,
    /// As the rules wrote it.
    pub written: PathBuf,
    /// What the rules need.
    pub demand: Demand,
    /// The rules.
    pub rules: Vec<Arc<Rule>>,
}

/// A part of a tree that lies on a file system of its own.
#[derive(Clone, Debug)]
pub struct Graft {
    /// The root of the tree.
    pub order: RootOrder,
    /// The home of the root.
    pub home: PathBuf,
    /// Where the file system is mounted, below the home.
    pub point: PathBuf,
    /// Whether what is there is told: it was mounted just now.
    pub is_new: bool,
}

/// A directory that came into a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The directory that it is in.
    pub parent: NodeId,
    /// That directory's real path.
    pub parent_path: PathBuf,
    /// Its name there.
    pub name: OsString,
    /// Whether it was made there, else it was moved there and may have anything in it.
    pub is_made: bool,
    /// The trees that it belongs to.
    pub roots: Vec<RootId>,
}

/// A directory that left a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub id: NodeId,
    /// A directory on the same mount.
    pub door: PathBuf,
}

/// An entry that came to a directory of a foreign file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The directory.
    pub directory: NodeId,
    /// Its real path.
    pub path: PathBuf,
    /// The entry.
    pub name: OsString,
}

/// A rule whose changes are to be found by a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RescanOrder {
    /// Its number: of two orders the later has the higher one.
    pub number: u64,
    /// The rule's name.
    pub rule: Arc<str>,
    /// Only what changed since.
    pub since: SystemTime,
    /// What the events say of their origin.
    pub origin: Origin,
    /// The number of its walk among all that were asked for.
    pub walk: u64,
}

impl Inbox {
    /// An empty one.
    ///
    /// # Errors
    /// eventfd(2) fails.
    pub fn new() -> io::Result<Inbox> {
        Ok(Inbox { orders: Mutex::default(), wakeup: Wakeup::new()? })
    }

    /// Asks for something.
    pub fn order(&self, give: impl FnOnce(&mut Orders)) {
        give(&mut self.lock());
        self.wakeup.wake();
    }

    /// Takes all that was asked.
    pub fn take(&self) -> Orders {
        self.wakeup.clear();
        mem::take(&mut self.lock())
    }

    /// What becomes readable when something is asked.
    pub fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        // Nothing that holds it can panic half-way.
        self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl RescanOrder {
    /// Does what another for the same rule would do as well.
    pub fn join(&mut self, other: RescanOrder) {
        self.since = self.since.min(other.since);
        self.number = self.number.max(other.number);
        self.walk = self.walk.max(other.walk);
    }
}

impl Orders {
    /// Asks for a directory to be entered, as the walk of this number.
    pub fn enter(&mut self, number: u64, entered: Entered) {
        self.walks = number;
        if self.entered.len() < ENTERED_MAX {
            self.entered.push_back(entered);
        } else {
            self.repair.extend(entered.roots);
        }
    }

    /// Tells an annex that a root has nothing to do with it any more; what is handed over later stays so.
    pub fn take_back(&mut self, id: RootId) {
        self.take.retain(|(order, _)| order.id != id);
        self.grafts.retain(|graft| graft.order.id != id);
        self.drop.push(id);
    }

    /// A directory came to a tree that may just have left one: its marks are not to be taken from it.
    pub fn came(&mut self, id: &NodeId) {
        if self.left.back().is_some_and(|left| left.id == *id) {
            self.left.pop_back();
        }
    }

    /// Asks for a look at an entry.
    pub fn look(&mut self, look: Look) {
        if self.looks.len() < LOOKS_MAX && self.looks.back() != Some(&look) {
            self.looks.push_back(look);
        }
    }

    /// Asks for a rescan; of two for one rule the one that reaches further back does.
    pub fn rescan(&mut self, order: RescanOrder) {
        match self.rescans.iter_mut().find(|other| other.rule == order.rule) {
            Some(other) => other.join(order),
            None => self.rescans.push(order),
        }
    }

    /// Takes out what is about directories of one file system, by where it is mounted.
    pub fn split_off(&mut self, point: &Path) -> Orders {
        let mut part = Orders::default();
        let (entered, rest) =
            mem::take(&mut self.entered).into_iter().partition(|order| order.parent_path.starts_with(point));
        (part.entered, self.entered) = (entered, rest);
        let (left, rest) =
            mem::take(&mut self.left).into_iter().partition(|order| order.door.starts_with(point));
        (part.left, self.left) = (left, rest);
        let (looks, rest) =
            mem::take(&mut self.looks).into_iter().partition(|order| order.path.starts_with(point));
        (part.looks, self.looks) = (looks, rest);
        part
    }

    /// Adds what was split off from other orders.
    pub fn merge(&mut self, part: Orders) {
        self.entered.extend(part.entered);
        self.left.extend(part.left);
        self.looks.extend(part.looks);
        self.survey.extend(part.survey);
        self.passed.extend(part.passed);
        self.repair.extend(part.repair);
        self.walks = self.walks.max(part.walks);
    }

    /// Whether nothing was split off.
    pub fn is_empty(&self) -> bool {
        self.entered.is_empty()
            && self.left.is_empty()
            && self.looks.is_empty()
            && self.survey.is_empty()
            && self.repair.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_handing_a_root_over_and_taking_it_back_the_later_counts() {
        let mut orders = Orders::default();
        let order = |id| {
            let written = PathBuf::from("/srv");
            RootOrder { id: RootId(id), written, demand: Demand::default(), rules: Vec::new() }
        };
        orders.take.push((order(1), false));
        orders.take.push((order(2), false));
        orders.take_back(RootId(1));
        let taken = |orders: &Orders| orders.take.iter().map(|(order, _)| order.id).collect::<Vec<_>>();
        assert_eq!((taken(&orders), orders.drop.as_slice()), (vec![RootId(2)], &[RootId(1)][..]));
        orders.take.push((order(1), true));
        assert_eq!(taken(&orders), [RootId(2), RootId(1)]);
    }
}
