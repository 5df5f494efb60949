//! The only clock: everything else is told the time.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::moment::Moment;

/// Now, on the clock that never goes back and stands still while the machine is suspended: clock_gettime(2),
/// CLOCK_MONOTONIC.
pub fn monotonic() -> Moment {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has CLOCK_MONOTONIC");
    Moment::since_start(Duration::from(time))
}

/// Now, on the clock that people read; it may jump, so it is for showing and for comparing with file times.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_does_not_go_back() {
        let (first, second) = (monotonic(), monotonic());
        assert!(second >= first && first > Moment::default());
    }

    #[test]
    fn wall_time_is_after_this_was_written() {
        assert!(wall() > SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    }
}
