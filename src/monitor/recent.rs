//! What was told while walks were under way, so that what they find is not told a second time.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use super::atlas::NodeId;
use crate::event::EventMask;
use crate::sys::handle::ObjectKey;

/// Entries that are remembered; what comes beyond may be told twice.
const ENTRIES_MAX: usize = 16_384;

/// Entries, and what was told of them since the oldest walk under way was asked for.
#[derive(Debug, Default)]
pub struct Recent {
    entries: HashMap<(NodeId, OsString), Told>,
    /// The number of the last order for a walk, and the last that is known to be carried out.
    asked: u64,
    done: u64,
}

#[derive(Debug)]
struct Told {
    key: Option<ObjectKey>,
    mask: EventMask,
}

impl Recent {
    /// A walk is about to be asked for; gives its number.
    pub fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// All walks up to this number are over.
    pub fn finish(&mut self, number: u64) {
        self.done = self.done.max(number);
        if self.done == self.asked {
            self.entries.clear();
            self.entries.shrink_to(1024);
        }
    }

    /// Something moved: what was told of is elsewhere, and what is found there is to be told again.
    pub fn forget(&mut self) {
        self.entries.clear();
    }

    /// Remembers that something was told of an entry.
    pub fn note(&mut self, node: &NodeId, name: &OsStr, key: Option<&[u8]>, mask: EventMask) {
        if self.asked == self.done || self.entries.len() >= ENTRIES_MAX {
            return;
        }
        let entry = self.entries.entry((node.clone(), name.to_owned()));
        let told = entry.or_insert_with(|| Told { key: None, mask: EventMask::EMPTY });
        let is_same = told.key.as_ref().map(ObjectKey::as_bytes) == key;
        if !is_same {
            told.key = key.and_then(ObjectKey::from_bytes);
            told.mask = EventMask::EMPTY;
        }
        told.mask |= mask;
    }

    /// What was told of an entry, if it is still that object.
    pub fn told(&self, node: &NodeId, name: &OsStr, key: Option<&ObjectKey>) -> EventMask {
        match self.entries.get(&(node.clone(), name.to_owned())) {
            Some(told) if told.key.as_ref() == key => told.mask,
            Some(_) | None => EventMask::EMPTY,
        }
    }
}
