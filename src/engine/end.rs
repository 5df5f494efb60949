//! The end of a run: what it was, what becomes of what the run had, and what follows.

use std::sync::Arc;
use std::time::Duration;

use super::flight::Flight;
use super::lane::LaneId;
use super::retry::{self, Refusal, Retry};
use super::{Action, Change, DropReason, Engine, Exit, LastRun, Outcome, Purpose, Report, Run, Then};
use crate::event::RunId;
use crate::rule::Ending;

/// What becomes of a run's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// They are answered, well or badly.
    Done,
    /// They will not be answered.
    Drop(DropReason),
    /// They wait as if they had just come: another run answers them.
    GiveBack,
    /// They wait for another try.
    Retry { attempt: u32, refusal: Option<Refusal>, delay: Duration },
}

impl Engine {
    /// A run is over: it was reaped, or never became a process.
    pub(super) fn on_end(&mut self, id: RunId, outcome: Outcome) {
        let Some(flight) = self.flights.remove(id) else { return };
        self.lineages.end(id);
        self.touch(flight.lane);
        // Whoever was asked to end has ended for that reason, however it did.
        let outcome = match (flight.stop_reason(), outcome) {
            (Some(reason), Outcome::Ended(_)) => reason.outcome(),
            (_, outcome) => outcome,
        };
        if flight.is_command() {
            self.end_command(flight, outcome)
        } else {
            self.end_on_failure(flight, outcome)
        }
    }

    fn end_on_failure(&mut self, flight: Flight, outcome: Outcome) {
        let lane = &mut self.lanes[flight.lane];
        lane.running_on_failure -= 1;
        lane.running_size -= flight.size();
        let is_failure = is_failure(&flight.rule.ending, &outcome);
        self.report_end(flight.run(), outcome, self.now.since(flight.started), is_failure, Then::Nothing);
        self.retire(flight.lane);
    }

    fn end_command(&mut self, flight: Flight, outcome: Outcome) {
        let next = self.next(&flight, &outcome);
        let is_failure = is_failure(&flight.rule.ending, &outcome);
        let is_last_try = is_failure && matches!(next, Next::Done | Next::Drop(_));
        let wants_on_failure = is_last_try && flight.rule.ending.on_failure.is_some();
        let has_on_failure = wants_on_failure && !self.is_stopping();
        let then = match next {
            Next::Retry { delay, .. } => Then::Retry(delay),
            Next::GiveBack if is_failure => Then::Retry(Duration::ZERO),
            Next::Done | Next::Drop(_) if has_on_failure => Then::OnFailure,
            Next::Done | Next::Drop(_) | Next::GiveBack => Then::Nothing,
        };

        let lane = &mut self.lanes[flight.lane];
        lane.running.remove(&flight.id);
        lane.running_size -= flight.size();
        lane.last = Some(LastRun { run: flight.id, outcome: outcome.clone(), is_failure });
        lane.note_end(&flight, self.now);
        match (&outcome, next) {
            (Outcome::Restart | Outcome::Shutdown, _) => lane.counters.stopped += 1,
            // A start that the system refuses for the moment has not failed yet.
            (_, Next::Retry { refusal: Some(_), .. }) => {}
            _ if is_failure => lane.counters.failed += 1,
            _ => lane.counters.ok += 1,
        }
        let took = self.now.since(flight.started);
        self.report_end(flight.run(), outcome.clone(), took, is_failure, then);
        if has_on_failure {
            self.queue_on_failure(&flight, outcome);
        } else if wants_on_failure {
            self.leave_out_on_failure(&flight, outcome);
        }
        self.follow(flight, next);
    }

    /// What becomes of a run's events.
    fn next(&self, flight: &Flight, outcome: &Outcome) -> Next {
        let ending = &flight.rule.ending;
        let is_gone = self.lanes[flight.lane].id.is_none();
        // A rule that was removed tries no more.
        let has_tries = flight.attempt <= ending.retries && !is_gone;
        if let Outcome::NotStarted(failure) = outcome
            && failure.is_transient
            && !is_gone
            && let Some(refusal) = Refusal::next(flight.refusal, self.now)
        {
            let delay = refusal.delay();
            return self.retry_unless_changed(flight, flight.attempt, Some(refusal), delay);
        }
        match outcome {
            Outcome::Restart | Outcome::Shutdown if is_gone => Next::Drop(DropReason::Removed),
            Outcome::Restart | Outcome::Shutdown => Next::GiveBack,
            Outcome::Ended(_) if !is_failure(ending, outcome) => Next::Done,
            Outcome::Ended(_) | Outcome::Timeout | Outcome::NotStarted(_) if has_tries => {
                let delay = retry::delay(ending, flight.attempt);
                self.retry_unless_changed(flight, flight.attempt + 1, None, delay)
            }
            Outcome::Ended(_) | Outcome::Timeout => Next::Done,
            Outcome::NotStarted(_) => Next::Drop(DropReason::GaveUp),
        }
    }

    /// A rule that was changed meanwhile starts over, with what it says by now.
    fn retry_unless_changed(
        &self,
        flight: &Flight,
        attempt: u32,
        refusal: Option<Refusal>,
        delay: Duration,
    ) -> Next {
        let lane = &self.lanes[flight.lane];
        let is_same = Arc::ptr_eq(&lane.rule, &flight.rule) || lane.rule.means_the_same_as(&flight.rule);
        if is_same { Next::Retry { attempt, refusal, delay } } else { Next::GiveBack }
    }

    /// Does what follows for the events of a run that is over.
    fn follow(&mut self, flight: Flight, next: Next) {
        let count = flight.count();
        let (id, entries) = (flight.lane, flight.entries);
        let paths: Vec<_> = entries.iter().map(|(path, _)| Arc::clone(path)).collect();
        let lane = &mut self.lanes[id];
        let rule = Arc::clone(&lane.rule.name);
        if next != Next::Done {
            lane.counters.covered -= count;
        }
        match next {
            Next::Done => paths.iter().for_each(|path| lane.release(path)),
            Next::Drop(reason) => {
                paths.iter().for_each(|path| lane.release(path));
                lane.counters.count_dropped(reason, count);
                let path = paths.first().filter(|_| paths.len() == 1).map(|path| path.to_path_buf());
                let rule = Arc::clone(&rule);
                self.actions.push(Action::Report(Report::Dropped { rule, path, reason, count }));
            }
            Next::GiveBack => lane.give_back(entries),
            Next::Retry { attempt, refusal, delay } => {
                lane.retry(Retry::new(entries, attempt, refusal, self.now + delay));
            }
        }
        let changes = paths.into_iter().map(|path| Change::Path { rule: Arc::clone(&rule), path });
        self.changes.extend(changes);
        self.retire(id);
    }

    /// The run of `on-failure` starts as soon as the daemon has a slot: outside the rule's `concurrency`, and beside
    /// whatever runs for these paths.
    fn queue_on_failure(&mut self, failed: &Flight, outcome: Outcome) {
        let id = self.next_run();
        let lineage = self.lineages.caused_by(Some(failed.id));
        self.lineages.start(id, lineage);
        let rule = Arc::clone(&failed.rule);
        let purpose = Purpose::OnFailure(outcome);
        let mut flight = Flight::new(id, failed.lane, rule, purpose, failed.attempt, self.now);
        flight.entries = failed.entries.clone();
        let lane = &mut self.lanes[failed.lane];
        lane.running_on_failure += 1;
        lane.running_size += flight.size();
        self.on_failures.push_back(flight);
    }

    /// After a stop nothing starts, and a failure is not kept: its events are answered.
    pub(super) fn leave_out_on_failure(&mut self, flight: &Flight, outcome: Outcome) {
        let rule = Arc::clone(&flight.rule.name);
        let path = flight.entries.first().map(|(path, _)| path.to_path_buf());
        self.actions.push(Action::Report(Report::OnFailureLeftOut { rule, outcome, path }));
    }

    fn report_end(&mut self, run: Run, outcome: Outcome, took: Duration, is_failure: bool, then: Then) {
        self.actions.push(Action::Report(Report::Ended { run, outcome, took, is_failure, then }));
    }

    /// The lane of a removed rule goes with its last run.
    pub(super) fn retire(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(id) else { return };
        let is_over = lane.id.is_none() && lane.running.is_empty() && lane.running_on_failure == 0;
        if is_over {
            self.agenda.forget(id, lane);
            self.lanes.remove(id);
            self.owing.remove(&id);
        }
    }
}

/// Whether a run that ended so has failed, by `success-codes`. One that was stopped for a restart or a shutdown has not.
fn is_failure(ending: &Ending, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ended(Exit::Code(code)) => !ending.success_codes.contains(code),
        Outcome::Ended(Exit::Signal(_)) | Outcome::Timeout | Outcome::NotStarted(_) => true,
        Outcome::Restart | Outcome::Shutdown => false,
    }
}
