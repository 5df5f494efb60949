//! The rescans of one rule: walks that make good for events that were lost, or for which there was no room.
//!
//! An overflow is answered by a walk that starts after it: several before the start share one, and one that is under
//! way does not count for what is lost later.

use std::time::Duration;

use crate::moment::Moment;

/// The rescans of one rule.
#[derive(Debug, Default)]
pub(super) struct Rescan {
    /// Whether one is owed.
    pub is_owed: bool,
    /// Matched events that the one that is owed will answer.
    pub owed_events: u64,
    /// Matched events that the one under way answers; none: none is under way.
    pub under_way: Option<u64>,
    /// When the next comes by itself (`rescan`).
    pub next: Option<Moment>,
}

impl Rescan {
    /// Whether a walk is to come, or under way.
    pub(super) fn is_outstanding(&self) -> bool {
        self.is_owed || self.under_way.is_some()
    }

    /// One that comes by itself is owed when it is time, and the time for the next counts from when nothing is
    /// outstanding: walks that take long never follow each other without a pause.
    pub(super) fn advance(&mut self, interval: Option<Duration>, now: Moment) {
        if self.next.is_some_and(|next| next <= now) {
            self.next = None;
            self.is_owed = true;
        }
        if self.next.is_none() && !self.is_outstanding() {
            self.next = interval.map(|interval| now + interval).filter(|next| *next > now);
        }
    }
}
