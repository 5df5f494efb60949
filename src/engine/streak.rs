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

/// Runs that are remembered; what comes beyond, or is longer than the kernel takes, ends a streak.
const ENDED_MAX: usize = 1024;

/// The longest path by which a command can do something (PATH_MAX), bytes.
const PATH_LEN_MAX: usize = 4096;

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
        let is_long = path.as_ref().is_some_and(|path| path.as_os_str().len() >= PATH_LEN_MAX);
        if is_long || self.by_age.len() >= ENDED_MAX {
            return;
        }
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
    fn only_so_many_runs_are_remembered_and_none_of_a_long_path() {
        let (mut echoes, now) = (Echoes::default(), Moment::default());
        let of = |text: String| Some(Arc::from(Path::new(&text)));
        echoes.record(of("l".repeat(PATH_LEN_MAX)), 1, now);
        (0..2 * ENDED_MAX).for_each(|number| echoes.record(of(number.to_string()), 1, now));
        assert_eq!((echoes.by_age.len(), echoes.ended.len()), (ENDED_MAX, ENDED_MAX));
        assert_eq!(echoes.streak(&of("l".repeat(PATH_LEN_MAX)), now), None);
        assert_eq!(echoes.streak(&of("0".to_owned()), now), Some(1));
    }

    #[test]
    fn delays_double_up_to_a_minute() {
        let seconds: Vec<u64> = (RUNS - 2..RUNS + 8).map(|streak| delay(streak).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(u32::MAX), DELAY_MAX);
    }
}
