//! A point in monotonic time. Time is always an argument: only `sys::clock` makes moments from the clock.

use std::time::Duration;

/// Time since an arbitrary start that never goes back (CLOCK_MONOTONIC). All arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the start of the clock.
    pub const fn since_start(elapsed: Duration) -> Moment {
        Moment(elapsed)
    }

    /// How long after the start of the clock.
    pub const fn elapsed(self) -> Duration {
        self.0
    }

    /// How long from `earlier` to here; zero if it is not earlier.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(span))
    }
}
