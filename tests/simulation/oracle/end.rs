//! The end of a run, as the oracle understands it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use facron::engine::{DropReason, Exit, Outcome, Purpose, Then};
use facron::event::RunId;
use facron::moment::Moment;

use super::book::{Book, Refusals, Waiting};
use super::{Ending, OnFailure, Oracle, Track};

impl Oracle {
    /// A run is over.
    pub(super) fn end(&mut self, id: RunId, outcome: Outcome) {
        let Some(track) = self.runs.remove(&id) else { return };
        let outcome = match (&track.asked, outcome) {
            (Some((_, reason)), Outcome::Ended(_)) => reason.clone(),
            (_, outcome) => outcome,
        };
        let is_failure = match &outcome {
            Outcome::Ended(Exit::Code(code)) => !track.rule.ending.success_codes.contains(code),
            Outcome::Ended(Exit::Signal(_)) | Outcome::Timeout | Outcome::NotStarted(_) => true,
            Outcome::Restart | Outcome::Shutdown => false,
        };
        let took = self.now.since(track.started);
        let then = match track.purpose {
            Purpose::OnFailure(_) => Then::Nothing,
            Purpose::Command => self.end_command(id, track, &outcome, is_failure),
        };
        self.ending = Some(Ending { run: id, outcome, took, is_failure, then });
        self.forget_gone();
    }

    fn end_command(&mut self, id: RunId, track: Track, outcome: &Outcome, is_failure: bool) -> Then {
        let now = self.now;
        let book = self.books.get_mut(&track.name).expect("a run has a book");
        book.running.retain(|(run, _)| *run != id);
        let count: u64 = track.heaps.iter().map(|heap| heap.count).sum();
        let echo = track.heaps.iter().map(|heap| heap.streak).min().unwrap_or(0);
        let by_path = (!book.is_batch()).then(|| track.heaps[0].path.clone());
        book.ended.retain(|(path, ..)| *path != by_path);
        book.ended.push((by_path, now, echo));

        let ending = &track.rule.ending;
        let is_changed = !book.rule.means_the_same_as(&track.rule);
        if !is_failure && !matches!(outcome, Outcome::Ended(_)) {
            self.sometimes.saw("a run stopped for a restart or a shutdown");
            book.stopped += 1;
            book.covered -= count;
            if book.is_present {
                book.give_back(track.heaps);
            } else {
                self.sometimes.saw("a run of a removed rule stopped");
                book.drop(DropReason::Removed, count);
                let path = (track.heaps.len() == 1).then(|| track.heaps[0].path.clone());
                self.drops.push((track.name, path, DropReason::Removed, count));
            }
            return Then::Nothing;
        }
        if !is_failure {
            book.ok += 1;
            return Then::Nothing;
        }

        let refusals = match outcome {
            Outcome::NotStarted(failure) if failure.is_transient && book.is_present => {
                next_refusal(track.refusals, now)
            }
            _ => None,
        };
        let has_tries = track.attempt <= ending.retries && book.is_present;
        if refusals.is_none() || is_changed {
            book.failed += 1;
        }
        if refusals.is_some() || has_tries {
            book.covered -= count;
            if is_changed {
                self.sometimes.saw("a failed run of a rule that changed meanwhile");
                book.give_back(track.heaps);
                return Then::Retry(Duration::ZERO);
            }
            let delay = match refusals {
                Some(refusals) => refusals.delay,
                None => doubled(ending.retry_delay, track.attempt).min(ending.retry_max_delay),
            };
            self.sometimes.saw(if refusals.is_some() { "a start refused for the moment" } else { "a retry" });
            let attempt = if refusals.is_some() { track.attempt } else { track.attempt + 1 };
            book.wait_for_retry(Waiting {
                heaps: track.heaps,
                attempt,
                delayed_until: now + delay,
                due: now + delay,
                joined: None,
                refusals,
            });
            return Then::Retry(delay);
        }

        if matches!(outcome, Outcome::NotStarted(_)) {
            self.sometimes.saw("a rule that gave up");
            book.covered -= count;
            book.drop(DropReason::GaveUp, count);
            let path = (track.heaps.len() == 1).then(|| track.heaps[0].path.clone());
            self.drops.push((Arc::clone(&track.name), path, DropReason::GaveUp, count));
        }
        if ending.on_failure.is_none() {
            return Then::Nothing;
        }
        if self.is_stopping() {
            self.sometimes.saw("a failure after a stop");
            let path = track.heaps.first().map(|heap| heap.path.clone());
            self.left_out.push((track.name, outcome.clone(), path));
            return Then::Nothing;
        }
        // It takes its number when it is decided, before anything else starts.
        self.sometimes.saw("an on-failure command");
        self.last_run = RunId(self.last_run.0 + 1);
        self.lineages.insert(self.last_run, self.lineages[&id].clone());
        self.on_failures.push(OnFailure {
            name: track.name,
            rule: Arc::clone(&track.rule),
            outcome: outcome.clone(),
            attempt: track.attempt,
            paths: track.heaps.into_iter().map(|heap| heap.path).collect(),
            lineage: self.lineages[&id].clone(),
        });
        Then::OnFailure
    }
}

impl Book {
    /// What came for its paths meanwhile joins.
    fn wait_for_retry(&mut self, retry: Waiting) {
        self.retries.push(retry);
        if self.is_queueing() {
            return;
        }
        let at = self.retries.len() - 1;
        let paths: Vec<PathBuf> = self.retries[at].heaps.iter().map(|heap| heap.path.clone()).collect();
        for path in paths {
            if let Some(known) = self.open.iter().position(|heap| heap.path == path) {
                let heap = self.open.remove(known);
                self.join(at, heap);
            }
        }
    }
}

fn next_refusal(before: Option<Refusals>, now: Moment) -> Option<Refusals> {
    let Some(before) = before else {
        return Some(Refusals { since: now, delay: Duration::from_millis(100) });
    };
    let delay = (before.delay * 2).min(Duration::from_secs(5));
    let lasts = now.since(before.since) + delay;
    (lasts <= Duration::from_secs(60)).then_some(Refusals { since: before.since, delay })
}

fn doubled(delay: Duration, attempt: u32) -> Duration {
    (1..attempt).fold(delay, |delay, _| delay.saturating_mul(2))
}
