//! Files that came and are not finished yet: somebody still writes them, or may be about to.
//!
//! A file is finished when nobody holds it open for writing. Its last close is reported, but a moment before the
//! kernel lets go of the writer, and not at all when the file was opened by another name; so a file that is held is
//! looked at again, after delays that double: an hour of writing costs a few looks.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use super::atlas::NodeId;
use crate::event::{Cause, ObjectId, Origin};
use crate::moment::Moment;

/// Files that may be waited for; one that comes beyond is taken for finished.
pub const HELD_MAX: usize = 4096;
/// Before the first look at a file that is held: longer than a close takes.
const HELD_DELAY: Duration = Duration::from_micros(500);
/// Before the second look at a file that was made and that nobody seems to write: whoever made it may not have come
/// so far yet as to hold it open.
const YOUNG_DELAY: Duration = Duration::from_millis(20);

/// The files that are waited for.
#[derive(Debug, Default)]
pub struct Arrivals {
    held: HashMap<Key, Held>,
    due: BTreeSet<(Moment, Key)>,
}

/// A directory, and a name in it.
type Key = (NodeId, OsString);

/// A file that is waited for.
#[derive(Debug)]
pub struct Held {
    /// The directory that it is in.
    pub node: NodeId,
    /// Its name there.
    pub name: OsString,
    /// What will be told of it.
    pub waiting: Waiting,
    due: Moment,
    delay: Duration,
}

/// What will be told of a file that is waited for.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Who wrote it last.
    pub cause: Cause,
    /// How we know of it.
    pub origin: Origin,
    /// Which file.
    pub object: Option<ObjectId>,
    /// How far it has come.
    pub stage: Stage,
}

/// How far a file has come that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It was made, and not seen held yet.
    Young,
    /// Somebody writes it.
    Held,
    /// Nobody writes it any more, but the report of the last close may still wait to be read: that says who it was.
    Idle,
}

impl Arrivals {
    /// Waits for a file from now on, or anew; says whether there is room.
    pub fn wait(&mut self, node: &NodeId, name: &OsStr, waiting: Waiting, now: Moment) -> bool {
        self.forget(node, name);
        if self.held.len() >= HELD_MAX {
            return false;
        }
        let delay = match waiting.stage {
            Stage::Young => YOUNG_DELAY,
            Stage::Held | Stage::Idle => HELD_DELAY,
        };
        let due = now + delay;
        let held = Held { node: node.clone(), name: name.to_owned(), waiting, due, delay };
        self.insert(held);
        true
    }

    /// Goes on waiting for a file that was due, for twice as long as before.
    pub fn wait_on(&mut self, mut held: Held, now: Moment) {
        held.waiting.stage = Stage::Held;
        held.delay = held.delay.saturating_mul(2);
        held.due = now + held.delay;
        self.insert(held);
    }

    /// Nobody writes a file any more that was due: it is due again once all is read that was reported by now.
    pub fn read_first(&mut self, mut held: Held, now: Moment) {
        held.waiting.stage = Stage::Idle;
        held.due = now + Duration::from_nanos(1);
        self.insert(held);
    }

    /// Does not wait for a file any more.
    pub fn forget(&mut self, node: &NodeId, name: &OsStr) {
        if self.held.is_empty() {
            return;
        }
        let key = (node.clone(), name.to_owned());
        if let Some(held) = self.held.remove(&key) {
            self.due.remove(&(held.due, key));
        }
    }

    /// A file that is to be looked at again.
    pub fn next_due(&mut self, now: Moment) -> Option<Held> {
        let (due, _) = self.due.first()?;
        if *due > now {
            return None;
        }
        self.next()
    }

    /// The file that is to be looked at first, whenever that is.
    pub fn next(&mut self) -> Option<Held> {
        let (_, key) = self.due.pop_first()?;
        self.held.remove(&key)
    }

    /// When a file is to be looked at again.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    fn insert(&mut self, held: Held) {
        let key = (held.node.clone(), held.name.clone());
        self.due.insert((held.due, key.clone()));
        self.held.insert(key, held);
    }
}
