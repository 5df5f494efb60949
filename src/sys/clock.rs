//! The only clock: everything else is told the time.

use std::sync::OnceLock;
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

/// Time since the machine was started, suspended time included: clock_gettime(2), CLOCK_BOOTTIME.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux has CLOCK_BOOTTIME").into()
}

/// The number of this start of the machine (random(4), `boot_id`); none where /proc does not say it.
pub fn boot_id() -> Option<u128> {
    // It stays the same as long as this process lives.
    static BOOT_ID: OnceLock<Option<u128>> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
    })
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

    #[test]
    fn this_start_of_the_machine_has_a_number_and_an_age() {
        assert_eq!(boot_id(), boot_id());
        assert!(boot_id().is_some());
        let running = monotonic().elapsed();
        assert!(since_boot() >= running, "suspended time counts");
    }
}
