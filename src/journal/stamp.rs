//! Stamps: moments that can be told apart after the clock was set, or the machine started again.

use std::time::{Duration, SystemTime};

use crate::sys::clock;

/// File times may be one tick of the kernel earlier than the clock (2.5 ms were measured), vfat's two seconds.
const SLACK: Duration = Duration::from_secs(2);

/// A moment by every clock there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// By the clock that file times go by; it may be set.
    pub wall: SystemTime,
    /// Since the machine was started, suspended time included.
    pub since_boot: Duration,
    /// The number of that start; 0 where it is not known.
    pub boot_id: u128,
}

impl Stamp {
    /// Now.
    pub fn now() -> Stamp {
        Stamp {
            wall: clock::wall(),
            since_boot: clock::since_boot(),
            boot_id: clock::boot_id().unwrap_or_default(),
        }
    }

    /// The moment at which a file changed, in this life of the machine, as its time says.
    pub fn of_change(changed: SystemTime) -> Stamp {
        let now = Stamp::now();
        let ago = now.wall.duration_since(changed).unwrap_or_default();
        Stamp { wall: changed, since_boot: now.since_boot.saturating_sub(ago), ..now }
    }

    /// The earlier of the two; of moments in different lives of the machine the one with the earlier wall time.
    #[must_use]
    pub fn or_earlier(self, other: Option<Stamp>) -> Stamp {
        let Some(other) = other else { return self };
        let is_earlier = if other.boot_id == self.boot_id {
            other.since_boot < self.since_boot
        } else {
            other.wall < self.wall
        };
        if is_earlier { other } else { self }
    }

    /// From which change time on (ctime, by the clock as it was at each change) a file may have changed after
    /// this moment, as seen from a later one. Rather too early than too late: what is found twice runs twice,
    /// what is not found never runs.
    ///
    /// Within one start of the machine a step of the clock shows as the difference of the two clocks: changes
    /// after a step back carry times from before this stamp, by at most that step. Across a start no step can be
    /// measured, but if the machine seems to have started before this stamp, everything since that start is taken.
    pub fn changed_since(self, now: Stamp) -> SystemTime {
        let earliest = if self.boot_id == now.boot_id && self.since_boot <= now.since_boot {
            let expected = self.wall.checked_add(now.since_boot - self.since_boot).unwrap_or(self.wall);
            let step_back = expected.duration_since(now.wall).unwrap_or_default();
            before(self.wall, step_back)
        } else {
            self.wall.min(before(now.wall, now.since_boot))
        };
        before(earliest, SLACK)
    }
}

fn before(time: SystemTime, span: Duration) -> SystemTime {
    time.checked_sub(span).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_secs: u64, since_boot_secs: u64, boot_id: u128) -> Stamp {
        Stamp {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(wall_secs),
            since_boot: Duration::from_secs(since_boot_secs),
            boot_id,
        }
    }

    fn changed_since(then: Stamp, now: Stamp) -> u64 {
        then.changed_since(now).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn an_undisturbed_clock_asks_for_what_came_after_with_slack() {
        assert_eq!(changed_since(at(10_000, 500, 1), at(10_600, 1_100, 1)), 9_998);
        assert_eq!(
            changed_since(at(10_000, 500, 1), at(20_000, 30, 2)),
            9_998,
            "another start of the machine"
        );
        assert_eq!(changed_since(at(10_000, 500, 1), at(10_040, 60, 2)), 9_978, "it started too early");
    }

    #[test]
    fn a_step_back_is_added() {
        // 600 s went by, and the clock shows 3 000 s less than it should.
        assert_eq!(changed_since(at(10_000, 500, 1), at(7_600, 1_100, 1)), 6_998);
        // A step back that is smaller than the time that went by cannot be seen from the wall clock alone.
        assert_eq!(changed_since(at(10_000, 500, 1), at(10_300, 1_100, 1)), 9_698);
    }

    #[test]
    fn a_step_forward_changes_nothing() {
        assert_eq!(changed_since(at(10_000, 500, 1), at(96_400, 1_100, 1)), 9_998);
    }

    #[test]
    fn a_machine_that_starts_with_a_lost_clock_takes_everything_since_then() {
        assert_eq!(changed_since(at(1_700_000_000, 500, 1), at(4_000, 40, 2)), 3_958);
    }

    #[test]
    fn a_stamp_from_the_future_of_its_own_start_is_a_restored_backup() {
        // The machine was set back to a snapshot: same boot id, younger.
        assert_eq!(changed_since(at(10_000, 5_000, 1), at(8_000, 3_000, 1)), 4_998);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let far = Stamp { wall: SystemTime::UNIX_EPOCH, since_boot: Duration::MAX, boot_id: 1 };
        assert!(far.changed_since(at(5, 5, 1)) < SystemTime::UNIX_EPOCH);
        assert!(at(1, 0, 1).changed_since(far) < SystemTime::UNIX_EPOCH);
    }
}
