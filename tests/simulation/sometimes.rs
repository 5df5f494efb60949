//! Rare states that must have been reached, or the lives prove little.

use std::collections::BTreeMap;

/// How often each of them was seen.
#[derive(Debug, Default)]
pub struct Sometimes(BTreeMap<&'static str, u64>);

/// All that have to be seen by a full set of lives.
pub const ALL: &[&str] = &[
    "a batch cut in two",
    "a batch of several paths",
    "a clock far from its start",
    "a failed run of a rule that changed meanwhile",
    "a failure after a stop",
    "a full daemon",
    "a loop slowed down",
    "a paused rule",
    "a reload with runs in flight",
    "a removed rule that had something waiting",
    "a rescan",
    "a retry",
    "a rule over its limit",
    "a rule that gave up",
    "a rule that waits for a slot of the daemon",
    "a rule told of its own overflow",
    "a run killed",
    "a run of a removed rule stopped",
    "a run stopped for a restart or a shutdown",
    "a run that could not be contained",
    "a run that ended at the very moment of its timeout",
    "a run that outlived its kill",
    "a skipped trigger",
    "a start limit",
    "a start refused for the moment",
    "a stop with runs in flight",
    "a timeout",
    "a walk that waited for room",
    "an event swallowed by the leading edge",
    "an event that a run caused itself",
    "an on-failure command",
    "something from an earlier life",
    "woken late",
];

impl Sometimes {
    pub fn saw(&mut self, what: &'static str) {
        debug_assert!(ALL.contains(&what), "{what} is not in the list");
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Sometimes) {
        other.0.iter().for_each(|(what, times)| *self.0.entry(what).or_default() += times);
    }

    pub fn missing(&self) -> Vec<&'static str> {
        ALL.iter().copied().filter(|what| !self.0.contains_key(what)).collect()
    }
}
