//! Which ends of runs become a notification, and when. Pure: time is an argument.
//!
//! One bubble a rule, counting up in place: the first failure at once, then at most one update in [`RULE_PAUSE`].
//! Over all rules a few at once, and then one each [`TOKEN_EVERY`]; what finds no room is gathered in one bubble of
//! its own. So a burst of failures, of one rule or of many, is a handful of bubbles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::notice::{Ended, Notice};
use crate::moment::Moment;
use crate::rule::Notify;

/// Between two bubbles of one rule.
const RULE_PAUSE: Duration = Duration::from_secs(10);

/// Bubbles at once, over all rules.
const TOKENS_MAX: u32 = 4;

/// … and then one in such a span.
const TOKEN_EVERY: Duration = Duration::from_secs(15);

/// How long the bubble of many gathers before it is shown for the first time.
const MANY_DELAY: Duration = Duration::from_secs(1);

/// Between two bubbles of many.
const MANY_PAUSE: Duration = Duration::from_secs(60);

/// After so long without a word, a rule is forgotten: its next failure is its first.
const FORGET: Duration = Duration::from_secs(3600);

/// Rules that are known at once; failures of further ones go into the bubble of many.
const RULES_MAX: usize = 1024;

/// What has been said, and what is still to be said.
#[derive(Debug)]
pub struct Desk {
    rules: BTreeMap<Arc<str>, RuleDesk>,
    tokens: u32,
    /// When the last token came.
    refilled: Moment,
    many: BTreeMap<Arc<str>, u64>,
    /// When the bubble of many is to be shown at the earliest.
    many_due: Moment,
}

#[derive(Debug, Default)]
struct RuleDesk {
    /// In a row.
    failures: u64,
    shown: Option<Moment>,
    heard: Moment,
    waiting: Option<Waiting>,
}

/// What is to be said next of a rule.
#[derive(Debug)]
struct Waiting {
    ended: Ended,
    /// In a row, up to this one.
    failures: u64,
    /// Since the rule's last bubble.
    unsaid: u64,
}

impl RuleDesk {
    fn due(&self) -> Moment {
        self.shown.map_or(Moment::default(), |shown| shown + RULE_PAUSE)
    }
}

impl Desk {
    /// Nothing has been said yet.
    pub fn new(now: Moment) -> Desk {
        let (rules, many) = (BTreeMap::new(), BTreeMap::new());
        Desk { rules, tokens: TOKENS_MAX, refilled: now, many, many_due: Moment::default() }
    }

    /// Hears of the end of a run, and gives what is to be said now.
    pub fn ended(&mut self, ended: Ended, now: Moment) -> Vec<Notice> {
        match ended.notify {
            Notify::Never => return Vec::new(),
            Notify::Failure if !ended.is_failure => {
                if let Some(rule) = self.rules.get_mut(&ended.rule) {
                    rule.failures = 0;
                }
                return Vec::new();
            }
            Notify::Failure | Notify::Always => {}
        }
        if self.rules.len() >= RULES_MAX && !self.rules.contains_key(&ended.rule) {
            self.add_to_many(Arc::clone(&ended.rule), u64::from(ended.is_failure), now);
        } else {
            let rule = self.rules.entry(Arc::clone(&ended.rule)).or_default();
            rule.failures = if ended.is_failure { rule.failures + 1 } else { 0 };
            rule.heard = now;
            let unsaid =
                rule.waiting.as_ref().map_or(0, |waiting| waiting.unsaid) + u64::from(ended.is_failure);
            rule.waiting = Some(Waiting { ended, failures: rule.failures, unsaid });
        }
        self.due(now)
    }

    /// What is to be said now.
    pub fn due(&mut self, now: Moment) -> Vec<Notice> {
        self.refill(now);
        self.rules.retain(|_, rule| rule.waiting.is_some() || now.since(rule.heard) < FORGET);
        let mut notices = Vec::new();
        let mut crowded_out = Vec::new();
        for (name, rule) in &mut self.rules {
            if rule.due() > now {
                continue;
            }
            let Some(waiting) = rule.waiting.take() else { continue };
            if self.tokens > 0 {
                self.tokens -= 1;
                rule.shown = Some(now);
                notices.push(Notice::new(&waiting.ended, waiting.failures));
            } else {
                crowded_out.push((Arc::clone(name), waiting.unsaid));
            }
        }
        for (name, failures) in crowded_out {
            self.add_to_many(name, failures, now);
        }
        if !self.many.is_empty() && self.many_due <= now {
            notices.push(Notice::of_many(self.many.iter()));
            self.many.clear();
            self.many_due = now + MANY_PAUSE;
        }
        notices
    }

    /// When [`Desk::due`] has something to say, if nothing more happens; always later than the last `now`.
    pub fn next_deadline(&self) -> Option<Moment> {
        let rules = self.rules.values().filter(|rule| rule.waiting.is_some()).map(RuleDesk::due);
        rules.chain((!self.many.is_empty()).then_some(self.many_due)).min()
    }

    fn add_to_many(&mut self, rule: Arc<str>, failures: u64, now: Moment) {
        if failures == 0 {
            return;
        }
        if self.many.is_empty() {
            self.many_due = self.many_due.max(now + MANY_DELAY);
        }
        let is_full = self.many.len() >= RULES_MAX && !self.many.contains_key(&rule);
        let rule = if is_full { Arc::from("other rules") } else { rule };
        *self.many.entry(rule).or_default() += failures;
    }

    fn refill(&mut self, now: Moment) {
        while self.tokens < TOKENS_MAX && now.since(self.refilled) >= TOKEN_EVERY {
            self.tokens += 1;
            self.refilled = self.refilled + TOKEN_EVERY;
        }
        if self.tokens == TOKENS_MAX {
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_start(Duration::from_secs(1000 + seconds))
    }

    fn ended(rule: &str, notify: Notify, is_failure: bool) -> Ended {
        Ended {
            rule: rule.into(),
            description: None,
            notify,
            is_failure,
            outcome: if is_failure { "exit:1" } else { "exit:0" }.to_owned(),
            took: Duration::ZERO,
            path: "/a".into(),
            error_output: Vec::new(),
            user: 0,
        }
    }

    fn fail(desk: &mut Desk, rule: &str, now: Moment) -> Vec<Notice> {
        desk.ended(ended(rule, Notify::Failure, true), now)
    }

    /// Everything that is said until nothing more waits, with its second.
    fn rest(desk: &mut Desk, mut now: Moment) -> Vec<(u64, String)> {
        let mut said = Vec::new();
        while let Some(deadline) = desk.next_deadline() {
            assert!(deadline > now, "a deadline in the past would be a busy loop");
            now = deadline;
            let second = now.since(at(0)).as_secs();
            said.extend(desk.due(now).into_iter().map(|notice| (second, notice.summary)));
        }
        said
    }

    #[test]
    fn the_first_failure_is_said_at_once_and_the_next_ones_together() {
        let mut desk = Desk::new(at(0));
        assert_eq!(fail(&mut desk, "a", at(0))[0].summary, "facron: a failed");
        for second in 1..9 {
            assert_eq!(fail(&mut desk, "a", at(second)), []);
        }
        assert_eq!(desk.next_deadline(), Some(at(10)));
        let notices = desk.due(at(10));
        assert!(notices[0].body.starts_with("exit:1 after 0.0ms, 9 times in a row"), "{}", notices[0].body);
        assert_eq!(desk.next_deadline(), None);
    }

    #[test]
    fn a_success_ends_the_row() {
        let mut desk = Desk::new(at(0));
        fail(&mut desk, "a", at(0));
        assert_eq!(desk.ended(ended("a", Notify::Failure, false), at(5)), []);
        assert_eq!(desk.next_deadline(), None, "success is said only with notify = \"always\"");
        assert!(fail(&mut desk, "a", at(20))[0].body.starts_with("exit:1 after 0.0ms\n"));
    }

    #[test]
    fn notify_always_and_never_are_obeyed() {
        let mut desk = Desk::new(at(0));
        assert_eq!(desk.ended(ended("a", Notify::Always, false), at(0))[0].summary, "facron: a succeeded");
        assert_eq!(desk.ended(ended("b", Notify::Never, true), at(0)), []);
        assert_eq!(desk.next_deadline(), None);
    }

    #[test]
    fn fifty_failures_of_one_rule_are_a_few_bubbles() {
        let mut desk = Desk::new(at(0));
        let mut said = 0;
        for second in 0..50 {
            said += fail(&mut desk, "a", at(second / 2)).len() + desk.due(at(second / 2)).len();
        }
        said += rest(&mut desk, at(25)).len();
        assert!((2..=5).contains(&said), "{said}");
    }

    #[test]
    fn fifty_failures_of_fifty_rules_are_a_few_bubbles() {
        let mut desk = Desk::new(at(0));
        let mut said = 0;
        for number in 0..50 {
            said += fail(&mut desk, &format!("r{number}"), at(0)).len();
        }
        assert_eq!(said, 4);
        assert_eq!(rest(&mut desk, at(0)), [(1, "facron: 46 more failures".to_owned())]);
    }

    #[test]
    fn a_thousand_failures_in_an_hour_stay_bearable() {
        let mut desk = Desk::new(at(0));
        let mut said = 0;
        for second in 0..3600 {
            said += fail(&mut desk, &format!("r{}", second % 100), at(second)).len();
        }
        assert!(said <= 3600 / 15 + 4 + 60, "{said}");
        assert!(desk.many.len() <= 100);
    }

    #[test]
    fn every_failure_is_counted_somewhere() {
        let mut desk = Desk::new(at(0));
        for number in 0..2 * RULES_MAX {
            fail(&mut desk, &format!("r{number}"), at(0));
        }
        let many: u64 = desk.many.values().sum();
        assert_eq!(many, u64::try_from(2 * RULES_MAX).expect("small") - 4);
        assert!(desk.many.len() <= RULES_MAX + 1 && desk.rules.len() <= RULES_MAX);
        desk.due(at(3601));
        assert!(desk.rules.is_empty(), "what is not heard of is forgotten");
    }
}
