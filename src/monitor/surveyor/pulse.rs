//! A sign of life: whether a surveyor is at work, and since when on the same step.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::moment::Moment;
use crate::sys::clock;

/// When a surveyor began with what it does now.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

/// Nothing is being done.
const AT_REST: u64 = 0;

impl Pulse {
    /// Another step begins.
    pub fn beat(&self) {
        let now = u64::try_from(clock::monotonic().elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.store(now.max(1), Ordering::Relaxed);
    }

    /// There is nothing to do.
    pub fn rest(&self) {
        self.0.store(AT_REST, Ordering::Relaxed);
    }

    /// For how long the step under way has lasted; none: there is nothing to do.
    pub fn age(&self) -> Option<Duration> {
        let begun = self.0.load(Ordering::Relaxed);
        let begun = Moment::since_start(Duration::from_millis(begun));
        (begun != Moment::default()).then(|| clock::monotonic().since(begun))
    }
}
