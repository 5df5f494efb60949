//! How many lines of one kind may go into the log: the rest is counted, and said in one line.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use crate::moment::Moment;

/// Lines of one kind that may go into the log in one [`SPAN`].
pub const LINES_MAX: u64 = 1000;

/// How long it is counted.
pub const SPAN: Duration = Duration::from_secs(60);

/// Counts for every kind of line that was to be written within the last span.
#[derive(Debug)]
pub struct Throttle<Kind, Amount> {
    counts: BTreeMap<Kind, Count<Amount>>,
}

#[derive(Debug)]
struct Count<Amount> {
    since: Moment,
    lines: u64,
    withheld: Option<Amount>,
}

impl<Kind: Ord + Clone, Amount: AddAssign + Copy> Throttle<Kind, Amount> {
    /// Whether a line that stands for so much may pass; if not, it is counted.
    pub fn admits(&mut self, now: Moment, kind: &Kind, amount: Amount) -> bool {
        let begin = || Count { since: now, lines: 0, withheld: None };
        let count = self.counts.entry(kind.clone()).or_insert_with(begin);
        count.lines += 1;
        if count.lines <= LINES_MAX {
            return true;
        }
        match &mut count.withheld {
            Some(withheld) => *withheld += amount,
            None => count.withheld = Some(amount),
        }
        false
    }

    /// Forgets the kinds whose span is over; gives what was withheld of them.
    pub fn end_spans(&mut self, now: Moment) -> Vec<(Kind, Amount)> {
        let mut ended = Vec::new();
        self.counts.retain(|kind, count| {
            let is_over = now.since(count.since) >= SPAN;
            if is_over {
                ended.extend(count.withheld.map(|withheld| (kind.clone(), withheld)));
            }
            !is_over
        });
        ended
    }

    /// Forgets all; gives what was withheld.
    pub fn end(&mut self) -> Vec<(Kind, Amount)> {
        let all = std::mem::take(&mut self.counts).into_iter();
        all.filter_map(|(kind, count)| Some((kind, count.withheld?))).collect()
    }

    /// When there is something to say; nobody is woken for a kind of which nothing was withheld.
    pub fn next_deadline(&self) -> Option<Moment> {
        let withholding = self.counts.values().filter(|count| count.withheld.is_some());
        withholding.map(|count| count.since + SPAN).min()
    }
}

impl<Kind, Amount> Default for Throttle<Kind, Amount> {
    fn default() -> Throttle<Kind, Amount> {
        Throttle { counts: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_counted_and_said_once() {
        let mut throttle = Throttle::default();
        let at = |seconds| Moment::since_start(Duration::from_secs(seconds));
        let admitted = (0..1500).filter(|_| throttle.admits(at(1), &"r", 3)).count();
        assert_eq!(admitted as u64, LINES_MAX);
        assert!(throttle.admits(at(1), &"s", 3), "each kind has its own count");
        assert_eq!(throttle.next_deadline(), Some(at(61)));
        assert_eq!(throttle.end_spans(at(60)), vec![]);
        assert_eq!(throttle.end_spans(at(61)), vec![("r", 1500)]);
        assert!(throttle.admits(at(61), &"r", 3));
        assert_eq!(throttle.next_deadline(), None);
        assert_eq!(throttle.end_spans(at(200)), vec![]);
    }

    #[test]
    fn what_was_withheld_is_said_at_the_end_at_the_latest() {
        let (mut throttle, now) = (Throttle::default(), Moment::default());
        assert!(!(0..=LINES_MAX).all(|_| throttle.admits(now, &"r", 2)));
        assert_eq!(throttle.end(), vec![("r", 2)]);
        assert_eq!(throttle.end(), vec![]);
    }
}
