//! The rescans of one rule: walks that make good for events that were lost, or for which there was no room.
//!
//! An overflow is answered by a walk that starts after it: several before the start share one, and one that is under
//! way does not count for what is lost later. Walks at intervals (`rescan`) are the monitor's own.

/// What a walk is owed for, and what one under way answers.
#[derive(Debug, Default)]
pub(super) struct Rescan {
    /// Whether one is owed.
    pub is_owed: bool,
    /// Matched events that the one that is owed will answer.
    pub owed_events: u64,
    /// Matched events that the one under way answers; none: none is under way.
    pub under_way: Option<u64>,
}

impl Rescan {
    /// Whether a walk is to come, or under way.
    pub(super) fn is_outstanding(&self) -> bool {
        self.is_owed || self.under_way.is_some()
    }
}
