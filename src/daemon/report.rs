//! Reports of the engine become lines of the log, entries of the board, and notifications.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{DropReason, Outcome, Purpose, Report, Run, Then};
use crate::escape;
use crate::moment::{self, Moment};
use crate::throttle::Throttle;

/// What of the log one rule may have only so many lines of: whoever writes to what it watches decides how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Dropped(DropReason),
    OverLimit,
}

/// The reports of the engine on their way into the log.
#[derive(Debug, Default)]
pub struct Reporter {
    throttle: Throttle<(Arc<str>, Line), u64>,
}

impl Reporter {
    /// Writes a report into the log, unless its rule has had too many lines of that kind.
    pub fn log(&mut self, now: Moment, report: &Report) {
        if self.admits(now, report) {
            log(report);
        }
    }

    fn admits(&mut self, now: Moment, report: &Report) -> bool {
        let (rule, line, count) = match report {
            Report::Dropped { rule, reason, count, .. } => (rule, Line::Dropped(*reason), *count),
            Report::OverLimit { rule } => (rule, Line::OverLimit, 1),
            Report::Started(_)
            | Report::Ended { .. }
            | Report::StartLimited { .. }
            | Report::OnFailureLeftOut { .. }
            | Report::LoopSuspected { .. } => return true,
        };
        self.throttle.admits(now, &(Arc::clone(rule), line), count)
    }

    /// Says what was withheld until now, where the span is over.
    pub fn tick(&mut self, now: Moment) {
        self.throttle.end_spans(now).into_iter().for_each(log_withheld);
    }

    /// Says all that was withheld.
    pub fn end(&mut self) {
        self.throttle.end().into_iter().for_each(log_withheld);
    }

    /// When there is something to say.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.throttle.next_deadline()
    }
}

fn log_withheld(((rule, line), count): ((Arc<str>, Line), u64)) {
    match line {
        Line::Dropped(reason) => log(&Report::Dropped { rule, path: None, reason, count }),
        Line::OverLimit => log::warn!(rule = rule, count = count; "over limit"),
    }
}

/// Writes a report into the log. Words and fields are those of SPEC 7.
pub fn log(report: &Report) {
    match report {
        Report::Started(run) => log_started(run),
        Report::Ended { run, outcome, took, is_failure, then } => {
            log_ended(run, outcome, *took, *is_failure, *then)
        }
        Report::Dropped { rule, path, reason, count } => {
            let level = drop_level(*reason);
            let path = path.as_deref().map(escape::path).unwrap_or_default();
            log::log!(level, reason = reason.as_str(), rule = rule, count = count, path = path; "dropped");
        }
        Report::OnFailureLeftOut { rule, outcome, path } => {
            let path = path.as_deref().map(escape::path).unwrap_or_default();
            log::warn!(
                rule = rule, outcome = outcome.to_string(), path = path;
                "on-failure left out: the daemon is stopping"
            );
        }
        Report::OverLimit { rule } => {
            log::warn!(rule = rule; "over limit: more paths wait than queue-limit allows, a rescan will find the rest");
        }
        Report::StartLimited { rule } => {
            log::warn!(rule = rule; "over limit: start-limit is reached, what is over waits");
        }
        Report::LoopSuspected { rule } => {
            log::warn!(
                rule = rule;
                "loop suspected: the rule seems to be fired by its own command; its starts are slowed down"
            );
        }
    }
}

fn log_started(run: &Run) {
    let Some(event) = run.events.first() else { return };
    let path = escape::path(&event.path);
    let (rule, id) = (&run.rule.name, run.id.0);
    match &run.purpose {
        Purpose::Command => log::info!(
            rule = rule, run = id, attempt = run.attempt, count = run.events.len(), path = path; "run started"
        ),
        Purpose::OnFailure(outcome) => log::info!(
            rule = rule, run = id, on_failure = outcome.to_string(), path = path; "run started"
        ),
    }
}

fn log_ended(run: &Run, outcome: &Outcome, took: Duration, is_failure: bool, then: Then) {
    let path = run.events.first().map(|event| escape::path(&event.path)).unwrap_or_default();
    let level = if is_failure { log::Level::Warn } else { log::Level::Info };
    let (rule, id, took) = (&run.rule.name, run.id.0, moment::told(took));
    match outcome {
        Outcome::NotStarted(failure) => log::log!(
            level,
            rule = rule, run = id, outcome = outcome.to_string(), took = took,
            reason = escape::line(&failure.message), path = path; "run ended"
        ),
        Outcome::Ended(_) | Outcome::Timeout | Outcome::Restart | Outcome::Shutdown => log::log!(
            level, rule = rule, run = id, outcome = outcome.to_string(), took = took, path = path; "run ended"
        ),
    }
    if let Then::Retry(delay) = then {
        log::info!(
            rule = rule, run = id, attempt = run.attempt + 1, delay = moment::told(delay), path = path; "retry"
        );
    }
}

/// What a rule's author asked for is no news; what is lost against their will is.
fn drop_level(reason: DropReason) -> log::Level {
    match reason {
        DropReason::Skip | DropReason::Leading | DropReason::Removed => log::Level::Info,
        DropReason::GaveUp => log::Level::Warn,
        DropReason::Itself => log::Level::Debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::{LINES_MAX, SPAN};

    #[test]
    fn what_is_dropped_beyond_the_lines_of_a_minute_is_summed_up_by_reason() {
        let mut reporter = Reporter::default();
        let rule: Arc<str> = "r".into();
        let at = |millis| Moment::since_start(Duration::from_millis(millis));
        let dropped = |reason| Report::Dropped {
            rule: Arc::clone(&rule),
            path: Some("/in/f".into()),
            reason,
            count: 2,
        };
        let leading = dropped(DropReason::Leading);
        let lines = (0..5000).filter(|millis| reporter.admits(at(*millis), &leading)).count() as u64;
        assert_eq!(lines, LINES_MAX);
        assert!(reporter.admits(at(5000), &dropped(DropReason::Skip)), "another reason is another matter");
        assert_eq!(reporter.next_deadline(), Some(at(0) + SPAN));
        let rest = reporter.throttle.end_spans(at(0) + SPAN);
        assert_eq!(rest, [((Arc::clone(&rule), Line::Dropped(DropReason::Leading)), 2 * (5000 - LINES_MAX))]);
        assert_eq!(reporter.next_deadline(), None, "nobody is woken for nothing");
    }

    #[test]
    fn a_rule_that_is_over_its_limit_again_and_again_is_summed_up_too() {
        let (mut reporter, now) = (Reporter::default(), Moment::default());
        let over = Report::OverLimit { rule: "r".into() };
        let lines = (0..5000).filter(|_| reporter.admits(now, &over)).count() as u64;
        assert_eq!(lines, LINES_MAX);
    }
}
