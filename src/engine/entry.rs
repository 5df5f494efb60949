//! A path on its way to a run: everything that happened to it since the last one, merged into one event.

use std::sync::Arc;

use super::Lineage;
use crate::event::{Event, EventMask, Origin};
use crate::moment::Moment;

/// What the engine knows of one path of one rule until a run has answered it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What happened, merged.
    pub event: Event,
    /// How many matched events are merged in it.
    pub count: u64,
    /// Its place among everything that ever arrived: that of its first event.
    pub order: u64,
    /// When its first event came.
    pub first: Moment,
    /// When its last event came.
    pub last: Moment,
    /// The rules from whose runs its events descend.
    pub lineage: Lineage,
    /// How many runs in a row seem to have been triggered by the run before them.
    pub streak: u32,
    /// No run before this: the brake of a suspected loop.
    pub not_before: Moment,
    /// Whether `on-busy = "skip"` has let it through: it waits for something else than a busy slot.
    pub is_accepted: bool,
}

impl Entry {
    /// One event that has just come.
    pub(super) fn new(event: Event, order: u64, now: Moment, lineage: Lineage) -> Entry {
        Entry {
            event,
            count: 1,
            order,
            first: now,
            last: now,
            lineage,
            streak: 0,
            not_before: Moment::default(),
            is_accepted: false,
        }
    }

    /// Both, for the same path, as one.
    pub(super) fn merged(self, other: Entry) -> Entry {
        let (mut earlier, later) = if self.order <= other.order { (self, other) } else { (other, self) };
        merge(&mut earlier.event, later.event);
        earlier.count += later.count;
        earlier.first = earlier.first.min(later.first);
        earlier.last = earlier.last.max(later.last);
        earlier.lineage.join(&later.lineage);
        // One event from outside is enough: then it is no loop.
        earlier.streak = earlier.streak.min(later.streak);
        earlier.not_before = match earlier.streak {
            0 => Moment::default(),
            _ => earlier.not_before.max(later.not_before),
        };
        earlier.is_accepted |= later.is_accepted;
        earlier
    }
}

/// Adds a later event on the same path: what happened is united, what can only be said once is said of the later.
pub(super) fn merge(earlier: &mut Event, later: Event) {
    let old_path = match later.mask.contains(EventMask::RENAME) {
        true => later.old_path.or(earlier.old_path.take()),
        false => earlier.old_path.take().or(later.old_path),
    };
    *earlier = Event {
        mask: earlier.mask | later.mask,
        path: Arc::clone(&earlier.path),
        old_path,
        is_dir: later.is_dir,
        cause: later.cause,
        time: later.time,
        origin: stronger(earlier.origin, later.origin),
        object: later.object.or(earlier.object.take()),
    };
}

/// What the kernel reported is known best; then what a person asked for; then what a walk found.
fn stronger(one: Origin, other: Origin) -> Origin {
    let rank = |origin| match origin {
        Origin::Event => 3,
        Origin::Trigger => 2,
        Origin::CatchUp => 1,
        Origin::Rescan => 0,
    };
    if rank(one) >= rank(other) { one } else { other }
}
