//! Reports of the engine become lines of the log, entries of the board, and notifications.

use std::time::Duration;

use crate::engine::{DropReason, Outcome, Purpose, Report, Run, Then};
use crate::escape;
use crate::moment;

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
