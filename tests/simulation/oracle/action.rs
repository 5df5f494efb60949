//! What comes out, one action after the other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use facron::engine::{Action, Outcome, Purpose, Report, Run, StopSignal};
use facron::event::RunId;
use facron::rule::{OnBusy, RuleId};

use super::book::{Book, Heap};
use super::{Invariant, Oracle, Stop, Track, Verdict, Violation, hold};

impl Oracle {
    pub(super) fn action(&mut self, action: &Action) -> Verdict {
        match action {
            Action::Spawn(run) => self.spawn(run),
            Action::Signal { run, signal } => self.signal(*run, *signal),
            Action::Rescan(rule) => self.rescan(*rule),
            Action::Report(report) => self.report(report),
        }
    }

    fn spawn(&mut self, run: &Run) -> Verdict {
        let id = run.id;
        let daemon = self.daemon.concurrency as usize;
        hold(!self.is_stopping(), Invariant::Stopped, || format!("run {id} starts after a stop"))?;
        hold(!self.runs.contains_key(&id), Invariant::Reaped, || format!("run {id} starts twice"))?;
        hold(self.runs.len() < daemon, Invariant::Slots, || format!("run {id} is one more than {daemon}"))?;
        let name = Arc::clone(&run.rule.name);
        if let Purpose::OnFailure(outcome) = &run.purpose {
            return self.spawn_on_failure(run, name, outcome);
        }
        hold(id > self.last_run, Invariant::Reaped, || format!("the number of run {id} comes again"))?;
        self.last_run = id;

        let now = self.now;
        let Some(book) = self.books.get_mut(&name).filter(|book| book.is_present) else {
            return hold(false, Invariant::Reload, || format!("{name} is no rule"));
        };
        hold(!book.is_paused, Invariant::OnBusy, || format!("{name} is paused"))?;
        hold(!book.is_full(), Invariant::Slots, || format!("{name} has no slot for run {id}"))?;
        let limited = book.limited_until(now);
        hold(limited.is_none(), Invariant::StartLimit, || format!("run {id} starts too soon after others"))?;
        hold(book.is_within_limit(now), Invariant::StartLimit, || format!("run {id} is one too many"))?;
        let paths: Vec<PathBuf> = run.events.iter().map(|event| event.path.to_path_buf()).collect();
        for path in &paths {
            hold(!book.runs_path(path), Invariant::Path, || {
                format!("run {id} is a second one for {path:?}")
            })?;
        }
        book.judge_start(run, &paths, now)?;
        let (heaps, refusals) = book.start(&paths, run.attempt);
        for (heap, event) in heaps.iter().zip(&*run.events) {
            hold(heap.mask == event.mask, Invariant::Paths, || {
                format!("run {id} is told {} of {:?}, which is {}", event.mask, event.path, heap.mask)
            })?;
        }
        self.note_start(&name, id, &paths, heaps.iter().map(|heap| heap.count).sum());
        let mut lineage = BTreeSet::from([Arc::clone(&name)]);
        heaps.iter().for_each(|heap| lineage.extend(heap.lineage.iter().cloned()));
        self.lineages.insert(id, lineage);
        self.judge_turn(&name)?;
        let (purpose, rule) = (Purpose::Command, Arc::clone(&self.books[&name].rule));
        let (started, attempt) = (self.now, run.attempt);
        let track =
            Track { name, rule, purpose, attempt, heaps, refusals, started, asked: None, is_killed: false };
        self.runs.insert(id, track);
        Ok(())
    }

    fn note_start(&mut self, name: &Arc<str>, id: RunId, paths: &[PathBuf], count: u64) {
        let now = self.now;
        let book = self.books.get_mut(name).expect("the caller found it");
        book.running.push((id, paths.to_vec()));
        book.all_starts.push(now);
        book.covered += count;
        match book.rule.schedule.start_limit {
            None => book.starts.clear(),
            Some(limit) => {
                book.starts.push(now);
                book.starts.retain(|start| *start + limit.span > now);
                let over = book.starts.len().saturating_sub(limit.starts.get() as usize);
                book.starts.drain(..over);
            }
        }
        if self.runs.len() + 1 == self.daemon.concurrency as usize {
            self.sometimes.saw("a full daemon");
        }
        if paths.len() > 1 {
            self.sometimes.saw("a batch of several paths");
        }
    }

    /// A rule that could have started all the time is not passed by twice.
    fn judge_turn(&mut self, name: &Arc<str>) -> Verdict {
        let now = self.now;
        for (other, book) in self.books.iter_mut().filter(|(other, _)| *other != name) {
            // A reload, a pause or its debounce may have taken it out of the line since.
            if !book.could_start(now) {
                book.passed_by = None;
            }
            if let Some(passed_by) = &mut book.passed_by {
                let is_first = passed_by.insert(Arc::clone(name));
                hold(is_first, Invariant::Fairness, || format!("{name} starts twice while {other} waits"))?;
            }
        }
        self.books.get_mut(name).expect("the caller found it").passed_by = None;
        Ok(())
    }

    fn spawn_on_failure(&mut self, run: &Run, name: Arc<str>, outcome: &Outcome) -> Verdict {
        let id = run.id;
        let told = |what: &str| format!("on-failure run {id} {what}");
        hold(!self.on_failures.is_empty(), Invariant::Told, || told("follows no failure"))?;
        let failure = self.on_failures.remove(0);
        let paths: Vec<PathBuf> = run.events.iter().map(|event| event.path.to_path_buf()).collect();
        hold(failure.name == name && failure.outcome == *outcome, Invariant::Told, || {
            told("is of another failure")
        })?;
        hold(failure.attempt == run.attempt, Invariant::Retry, || told("has another attempt"))?;
        hold(failure.paths == paths, Invariant::Paths, || told("has other paths"))?;
        self.lineages.insert(id, failure.lineage);
        let (rule, purpose, attempt, started) = (failure.rule, run.purpose.clone(), run.attempt, self.now);
        let heaps = Vec::new();
        let track = Track {
            name,
            rule,
            purpose,
            attempt,
            heaps,
            refusals: None,
            started,
            asked: None,
            is_killed: false,
        };
        self.runs.insert(id, track);
        Ok(())
    }

    fn signal(&mut self, id: RunId, signal: StopSignal) -> Verdict {
        let (now, stop) = (self.now, self.stop);
        let Some(track) = self.runs.get_mut(&id) else {
            return hold(false, Invariant::Reaped, || format!("{signal:?} goes to run {id}, which is over"));
        };
        let kill_after = track.rule.ending.kill_after;
        match signal {
            StopSignal::Kill => {
                let due = track.asked.as_ref().map(|(at, _)| *at + kill_after);
                let is_right = due.is_some_and(|due| due <= now) && !track.is_killed;
                hold(is_right, Invariant::Timeout, || format!("run {id} is killed out of time"))?;
                self.sometimes.saw("a run killed");
                track.is_killed = true;
                Ok(())
            }
            StopSignal::Ask(number) => {
                let is_right = track.asked.is_none() && number == track.rule.ending.stop_signal;
                hold(is_right, Invariant::Timeout, || format!("run {id} is asked twice, or otherwise"))?;
                let is_late = track.rule.ending.timeout.is_some_and(|timeout| track.started + timeout <= now);
                let is_stop = matches!(stop, Stop::At(at) if at <= now) || stop == Stop::Asked;
                let reason = match (is_late, is_stop) {
                    (true, _) => Outcome::Timeout,
                    (false, true) => Outcome::Shutdown,
                    (false, false) => Outcome::Restart,
                };
                if reason == Outcome::Timeout {
                    self.sometimes.saw("a timeout");
                }
                let is_restart = reason == Outcome::Restart;
                let name = Arc::clone(&track.name);
                track.asked = Some((now, reason));
                hold(!is_restart || self.may_restart(&name, id), Invariant::OnBusy, || {
                    format!("run {id} of {name} is stopped for nothing")
                })
            }
        }
    }

    /// Whether something became due that makes this run restart.
    fn may_restart(&self, name: &str, id: RunId) -> bool {
        let book = &self.books[name];
        let paths = book.running.iter().find(|(run, _)| *run == id).map(|(_, paths)| paths);
        let Some(paths) = paths.filter(|_| book.rule.schedule.on_busy == OnBusy::Restart) else {
            return false;
        };
        let blocked = book.open.iter().any(|heap| heap.is_undecided && paths.contains(&heap.path));
        if !book.is_batch() {
            return blocked;
        }
        let free = book.open.iter().filter(|heap| book.is_free(&heap.path));
        let has_new = free.map(|heap| heap.order).max().is_some_and(|order| order > book.rest);
        book.has_closed && (blocked || has_new && book.is_full())
    }

    fn rescan(&mut self, rule: RuleId) -> Verdict {
        hold(!self.is_stopping(), Invariant::Rescan, || "a rescan after a stop".into())?;
        let Some((name, book)) = self.book(rule) else {
            return hold(false, Invariant::Rescan, || "a rescan for no rule".into());
        };
        let is_right = book.owes_rescan && book.walk.is_none();
        hold(is_right, Invariant::Rescan, || format!("a rescan that {name} does not owe"))?;
        book.walk = Some(std::mem::take(&mut book.owed_events));
        book.owes_rescan = false;
        self.sometimes.saw("a rescan");
        Ok(())
    }

    fn report(&mut self, report: &Report) -> Verdict {
        match report {
            Report::Started(run) => hold(self.runs.contains_key(&run.id), Invariant::Told, || {
                format!("run {} did not start", run.id)
            }),
            Report::Ended { run, outcome, took, is_failure, then } => {
                let ending = self.ending.take().filter(|ending| ending.run == run.id);
                let is_right = ending.as_ref().is_some_and(|ending| {
                    (&ending.outcome, &ending.took) == (outcome, took)
                        && (&ending.is_failure, &ending.then) == (is_failure, then)
                });
                let is_retry = ending.is_some_and(|ending| ending.then != *then);
                let invariant = if is_retry { Invariant::Retry } else { Invariant::Told };
                hold(is_right, invariant, || {
                    format!("run {} ended otherwise than {outcome}, {then:?}", run.id)
                })
            }
            Report::Dropped { rule, path, reason, count } => {
                let known = (Arc::clone(rule), path.clone(), *reason, *count);
                if let Some(at) = self.drops.iter().position(|drop| *drop == known) {
                    self.drops.remove(at);
                    return Ok(());
                }
                self.skip(known)
            }
            Report::OnFailureLeftOut { rule, outcome, path } => {
                let known = (Arc::clone(rule), outcome.clone(), path.clone());
                let at = self.left_out.iter().position(|left_out| *left_out == known);
                hold(at.is_some(), Invariant::Told, || format!("{rule} leaves out no on-failure"))?;
                at.map(|at| self.left_out.remove(at));
                Ok(())
            }
            Report::OverLimit { rule } => {
                let at = self.over.iter().position(|name| name == rule);
                hold(at.is_some(), Invariant::Limit, || format!("{rule} is not over its limit"))?;
                at.map(|at| self.over.remove(at));
                Ok(())
            }
            Report::StartLimited { rule } => {
                let now = self.now;
                let is_limited = self.books.get(rule).is_some_and(|book| book.limited_until(now).is_some());
                self.sometimes.saw("a start limit");
                hold(is_limited, Invariant::StartLimit, || format!("{rule} is not limited"))
            }
            Report::LoopSuspected { .. } => Ok(()),
        }
    }

    /// Something may be skipped if it has just become due while the slots, or its path, are busy.
    fn skip(&mut self, known: (Arc<str>, Option<PathBuf>, facron::engine::DropReason, u64)) -> Verdict {
        let (name, path, reason, count) = known;
        let is_reload = reason == facron::engine::DropReason::Removed;
        let wrong = |what: &str| Violation {
            invariant: if is_reload { Invariant::Reload } else { Invariant::Dropped },
            what: format!("{name} drops {count} of {path:?} as {}: {what}", reason.as_str()),
        };
        let book = self.books.get_mut(&name).ok_or_else(|| wrong("no such rule"))?;
        if reason != facron::engine::DropReason::Skip || book.rule.schedule.on_busy != OnBusy::Skip {
            return Err(wrong("not what happened"));
        }
        let at = book.open.iter().position(|heap| Some(&heap.path) == path.as_ref() && heap.count == count);
        let at = at.ok_or_else(|| wrong("nothing like it waits"))?;
        if !book.is_skipped(&book.open[at]) {
            return Err(wrong("nothing is busy"));
        }
        book.open.remove(at);
        book.drop(reason, count);
        self.sometimes.saw("a skipped trigger");
        Ok(())
    }
}

impl Book {
    /// Whether `skip` has to drop this by now.
    pub(super) fn is_skipped(&self, heap: &Heap) -> bool {
        let has_come = heap.is_undecided && (!self.is_batch() || self.has_closed);
        let is_busy = self.is_full() || !self.is_free(&heap.path);
        has_come && is_busy && !heap.is_accepted && heap.order > self.rest
    }

    /// Whether a run may be made of exactly these paths by now.
    fn judge_start(&self, run: &Run, paths: &[PathBuf], now: facron::moment::Moment) -> Verdict {
        if let Some(retry) =
            paths.first().and_then(|path| self.retries_path(path)).map(|at| &self.retries[at])
        {
            hold(retry.attempt == run.attempt, Invariant::Retry, || {
                format!("run {} is attempt {}, not {}", run.id, run.attempt, retry.attempt)
            })?;
            hold(retry.due <= now, Invariant::Retry, || format!("run {} does not wait", run.id))?;
        } else {
            hold(run.attempt == 1, Invariant::Retry, || format!("run {} is no retry", run.id))?;
        }
        let startable = self.startable(now);
        hold(startable.iter().any(|known| known == paths), Invariant::Due, || {
            format!("run {} has {paths:?}, what is due is {startable:?}", run.id)
        })
    }

    /// Takes out what a run is made of.
    fn start(&mut self, paths: &[PathBuf], attempt: u32) -> (Vec<Heap>, Option<super::Refusals>) {
        if let Some(at) = self.retries_path(&paths[0]) {
            let mut retry = self.retries.remove(at);
            retry.heaps.sort_by_key(|heap| heap.order);
            self.batch_streak = retry.heaps.iter().map(|heap| heap.streak).min().unwrap_or(0);
            return (retry.heaps, retry.refusals);
        }
        debug_assert_eq!(attempt, 1, "the caller has judged it");
        let heaps = if self.is_queueing() { self.start_queued(paths) } else { self.start_open(paths) };
        self.batch_streak = heaps.iter().map(|heap| heap.streak).min().unwrap_or(0);
        (heaps, None)
    }

    fn start_queued(&mut self, paths: &[PathBuf]) -> Vec<Heap> {
        let at = self.queue.iter().position(|heaps| heaps.iter().any(|heap| heap.path == paths[0]));
        let at = at.expect("the caller has judged it");
        let heaps: Vec<Heap> = self.queue[at].drain(..paths.len()).collect();
        if self.queue[at].is_empty() {
            self.queue.remove(at);
        }
        heaps
    }

    fn start_open(&mut self, paths: &[PathBuf]) -> Vec<Heap> {
        let until = if self.window.is_some() { self.rest } else { u64::MAX };
        let mut heaps = Vec::new();
        for path in paths {
            let at = self.open.iter().position(|heap| heap.path == *path).expect("the caller has judged it");
            heaps.push(self.open.remove(at));
        }
        if self.is_batch() {
            // What could have come along and did not fit is the rest.
            let free =
                self.open.iter().filter(|heap| self.is_free(&heap.path) && !paths.contains(&heap.path));
            self.rest = free.map(|heap| heap.order).filter(|order| *order <= until).max().unwrap_or(0);
        }
        heaps
    }
}
