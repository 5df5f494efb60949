//! The clocks: nobody else reads them. Everything below the daemon takes time as an argument.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::moment::Moment;

/// The moment of this call, by CLOCK_MONOTONIC (clock_gettime(2)): it never goes back, and stands still in suspend.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux always has CLOCK_MONOTONIC");
    Moment::since_start(Duration::from(time))
}

/// The time of day, only to be told to people: it may jump.
#[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
pub fn wall_now() -> SystemTime {
    SystemTime::now()
}
