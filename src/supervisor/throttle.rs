//! How many lines of output a rule may put into the log: the rest is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::notice::Amount;
use crate::moment::Moment;

/// Lines that the runs of one rule may put into the log in one [`SPAN`].
pub const LINES_MAX: u64 = 1000;

/// How long it is counted.
pub const SPAN: Duration = Duration::from_secs(60);

/// Counts for every rule that wrote something within the last span.
#[derive(Debug, Default)]
pub struct Throttle {
    rules: BTreeMap<Arc<str>, Count>,
}

#[derive(Debug)]
struct Count {
    since: Moment,
    lines: u64,
    withheld: Amount,
}

impl Throttle {
    /// Whether a line of so many bytes may pass; if not, it is counted.
    pub fn admits(&mut self, now: Moment, rule: &Arc<str>, bytes: usize) -> bool {
        let begin = || Count { since: now, lines: 0, withheld: Amount::default() };
        let count = self.rules.entry(rule.clone()).or_insert_with(begin);
        count.lines += 1;
        let is_admitted = count.lines <= LINES_MAX;
        if !is_admitted {
            count.withheld += Amount { lines: 1, bytes: bytes as u64 };
        }
        is_admitted
    }

    /// Forgets the rules whose span is over; gives what was withheld of them.
    pub fn end_spans(&mut self, now: Moment) -> Vec<(Arc<str>, Amount)> {
        let mut ended = Vec::new();
        self.rules.retain(|rule, count| {
            let is_over = now.since(count.since) >= SPAN;
            if is_over && !count.withheld.is_zero() {
                ended.push((rule.clone(), count.withheld));
            }
            !is_over
        });
        ended
    }

    /// When there is something to say; nobody is woken for a rule of which nothing was withheld.
    pub fn next_deadline(&self) -> Option<Moment> {
        let withholding = self.rules.values().filter(|count| !count.withheld.is_zero());
        withholding.map(|count| count.since + SPAN).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_counted_and_said_once() {
        let (mut throttle, rule) = (Throttle::default(), Arc::from("r"));
        let at = |seconds| Moment::since_start(Duration::from_secs(seconds));
        let admitted = (0..1500).filter(|_| throttle.admits(at(1), &rule, 3)).count();
        assert_eq!(admitted as u64, LINES_MAX);
        assert_eq!(throttle.next_deadline(), Some(at(61)));
        assert_eq!(throttle.end_spans(at(60)), vec![]);
        let withheld = Amount { lines: 500, bytes: 1500 };
        assert_eq!(throttle.end_spans(at(61)), vec![(rule.clone(), withheld)]);
        assert!(throttle.admits(at(61), &rule, 3));
        assert_eq!(throttle.next_deadline(), None);
        assert_eq!(throttle.end_spans(at(200)), vec![]);
    }
}
