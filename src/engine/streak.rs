//! The last resort against loops: runs that seem to be triggered by the run before them.
//!
//! Where the cause of an event is known, `ignore-self` knows a loop for certain (see `lineage.rs`). Without
//! privileges the kernel names no cause. Then a trigger whose events all came while its own path ran, or just after,
//! is suspect; after [`RUNS`] such runs in a row the next ones are delayed, never dropped. One event at any
//! other time, as one from outside comes sooner or later, ends the streak.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::moment::Moment;

/// So many runs in a row are no accident: somebody who saves, waits for the run and saves again does it less often.
pub(super) const RUNS: u32 = 1000;

/// What a run did is reported within this span after its end.
const ECHO: Duration = Duration::from_millis(50);

/// The first delay; doubles.
const DELAY: Duration = Duration::from_secs(1);

/// The doubling ends here.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// How long a trigger waits that continues a streak of this length.
pub(super) fn delay(streak: u32) -> Duration {
    let Some(doublings) = streak.checked_sub(RUNS) else { return Duration::ZERO };
    DELAY.saturating_mul(2u32.checked_pow(doublings).unwrap_or(u32::MAX)).min(DELAY_MAX)
}

/// The runs of one rule that have just ended, by path (under `batch`: none), each with its streak.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    ended: BTreeMap<Option<Arc<Path>>, (Moment, u32)>,
    by_age: VecDeque<(Moment, Option<Arc<Path>>)>,
    is_reported: bool,
}

impl Echoes {
    /// A run is over.
    pub(super) fn record(&mut self, path: Option<Arc<Path>>, streak: u32, now: Moment) {
        self.expire(now);
        self.by_age.push_back((now, path.clone()));
        self.ended.insert(path, (now, streak));
    }

    /// The streak of the run of which an event now may be the echo.
    pub(super) fn streak(&mut self, path: &Option<Arc<Path>>, now: Moment) -> Option<u32> {
        self.expire(now);
        self.ended.get(path).map(|(_, streak)| *streak)
    }

    /// A trigger with this streak waits; whether that is news.
    pub(super) fn is_news(&mut self, streak: u32) -> bool {
        match streak {
            0 => self.is_reported = false,
            RUNS => return !std::mem::replace(&mut self.is_reported, true),
            _ => {}
        }
        false
    }

    fn expire(&mut self, now: Moment) {
        while self.by_age.front().is_some_and(|(end, _)| now.since(*end) > ECHO) {
            let Some((end, path)) = self.by_age.pop_front() else { return };
            // A later run of the same path may have ended since.
            if self.ended.get(&path).is_some_and(|(known, _)| *known == end) {
                self.ended.remove(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute() {
        let seconds: Vec<u64> = (RUNS - 2..RUNS + 8).map(|streak| delay(streak).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(u32::MAX), DELAY_MAX);
    }
}
