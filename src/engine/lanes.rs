//! All lanes, by number and by name.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::lane::{Lane, LaneId};

/// The lanes of the present rules, and of removed ones that still run. Whoever holds a number indexes with it;
/// a lane that is gone may only be among those that an input has touched.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Boxed: a map's nodes are half empty.
    all: BTreeMap<LaneId, Box<Lane>>,
    names: BTreeMap<Arc<str>, LaneId>,
    last: u64,
}

impl Lanes {
    /// The lane of this number, unless it is gone.
    pub(super) fn get(&self, id: LaneId) -> Option<&Lane> {
        self.all.get(&id).map(Box::as_ref)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.all.get_mut(&id).map(Box::as_mut)
    }

    /// The lane of the rule of this name.
    pub(super) fn by_name(&self, name: &str) -> Option<LaneId> {
        self.names.get(name).copied()
    }

    /// Every lane.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LaneId, &Lane)> {
        self.all.iter().map(|(id, lane)| (*id, &**lane))
    }

    /// Every lane, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.all.values_mut().map(Box::as_mut)
    }

    /// A lane comes.
    pub(super) fn insert(&mut self, lane: Lane) -> LaneId {
        self.last += 1;
        let id = LaneId(self.last);
        self.names.insert(Arc::clone(&lane.rule.name), id);
        self.all.insert(id, Box::new(lane));
        id
    }

    /// A lane goes.
    pub(super) fn remove(&mut self, id: LaneId) {
        if let Some(lane) = self.all.remove(&id) {
            self.names.remove(&lane.rule.name);
        }
    }
}

impl Index<LaneId> for Lanes {
    type Output = Lane;

    fn index(&self, id: LaneId) -> &Lane {
        self.all.get(&id).expect("a lane stays while anybody holds its number")
    }
}

impl IndexMut<LaneId> for Lanes {
    fn index_mut(&mut self, id: LaneId) -> &mut Lane {
        self.all.get_mut(&id).expect("a lane stays while anybody holds its number")
    }
}
