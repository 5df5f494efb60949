//! What should have been done by now, and what has to be true at any instant.

use std::path::PathBuf;

use facron::engine::{Change, DropReason, Status};
use facron::event::EventMask;
use facron::moment::Moment;
use facron::rule::{OnBusy, RuleId};

use super::book::Book;
use super::{Invariant, Oracle, Stop, Verdict, hold};
use crate::subject::Subject;

/// The journal is compared after every so many inputs: that is the dearest part.
const JOURNAL_INTERVAL: u64 = 5;

impl Oracle {
    /// What became due and could not start: what `on-busy` makes of it has to be done by now.
    pub(super) fn decide(&mut self) -> Verdict {
        if self.is_stopping() {
            return Ok(());
        }
        let runs = &self.runs;
        for (name, book) in self.books.iter_mut().filter(|(_, book)| book.is_present) {
            let on_busy = book.rule.schedule.on_busy;
            if let Some(heap) = book.open.iter().find(|heap| on_busy == OnBusy::Skip && book.is_skipped(heap))
            {
                return hold(false, Invariant::OnBusy, || format!("{name} does not skip {:?}", heap.path));
            }
            let is_asked = |run| runs.get(&run).is_some_and(|track| track.asked.is_some());
            if on_busy == OnBusy::Restart && book.must_restart(is_asked) {
                return hold(false, Invariant::OnBusy, || format!("{name} does not restart"));
            }
            if !book.is_batch() || book.has_closed {
                for heap in book.open.iter_mut().filter(|heap| heap.is_undecided) {
                    heap.is_accepted |= on_busy == OnBusy::Skip;
                    heap.is_undecided = false;
                }
            }
        }
        Ok(())
    }

    pub(super) fn duties(&mut self, subject: &mut dyn Subject) -> Verdict {
        hold(self.ending.is_none(), Invariant::Told, || "the end of a run is not told".into())?;
        hold(self.drops.is_empty(), Invariant::Dropped, || format!("not told: {:?}", self.drops))?;
        hold(self.left_out.is_empty(), Invariant::Told, || {
            format!("on-failure left out and not told: {:?}", self.left_out)
        })?;
        hold(self.over.is_empty(), Invariant::Limit, || format!("not told to be over: {:?}", self.over))?;
        for (id, track) in &self.runs {
            let Some((at, _)) = &track.asked else {
                let late =
                    track.rule.ending.timeout.is_some_and(|timeout| track.started + timeout <= self.now);
                hold(!late, Invariant::Timeout, || format!("run {id} outlives its timeout"))?;
                continue;
            };
            let late = *at + track.rule.ending.kill_after <= self.now && !track.is_killed;
            hold(!late, Invariant::Timeout, || format!("run {id} outlives its grace"))?;
        }
        self.stopping()?;
        self.starts()?;
        self.deadlines(subject.next_deadline())?;
        self.numbers(subject)?;
        self.journal(subject)
    }

    fn stopping(&mut self) -> Verdict {
        if matches!(self.stop, Stop::At(at) if at <= self.now) {
            self.stop = Stop::Asked;
        }
        let asked = self.stop != Stop::Asked || self.runs.values().all(|track| track.asked.is_some());
        hold(asked, Invariant::Asked, || "a run is not asked to stop".into())
    }

    /// Nothing waits that could run.
    fn starts(&mut self) -> Verdict {
        for book in self.books.values_mut() {
            book.is_over &= book.waiting().count() > book.rule.schedule.queue_limit / 2;
        }
        let has_slot = self.runs.len() < self.daemon.concurrency as usize;
        if self.is_stopping() {
            return Ok(());
        }
        let answered = self.on_failures.is_empty() || !has_slot;
        hold(answered, Invariant::Covered, || "no on-failure for a failure".into())?;
        for (name, book) in self.books.iter_mut().filter(|(_, book)| book.is_present) {
            let waits = book.could_start(self.now);
            hold(!waits || !has_slot, Invariant::Due, || {
                format!("{name} could start {:?} and does not", book.startable(self.now))
            })?;
            if !waits {
                book.passed_by = None;
            } else if book.passed_by.is_none() {
                self.sometimes.saw("a rule that waits for a slot of the daemon");
                book.passed_by = Some(Default::default());
            }
            let asks = book.owes_rescan && book.walk.is_none() && !book.is_over;
            hold(!asks, Invariant::Rescan, || format!("{name} owes a rescan and does not ask for it"))?;
        }
        Ok(())
    }

    /// The engine wants to be woken exactly when the next thing is due.
    fn deadlines(&mut self, deadline: Option<Moment>) -> Verdict {
        let now = self.now;
        let is_later = deadline.is_none_or(|deadline| deadline > now);
        hold(is_later, Invariant::BusyLoop, || format!("a deadline at {deadline:?}, which is over"))?;
        let mut due: Vec<(Moment, Invariant)> = Vec::new();
        for track in self.runs.values().filter(|track| !track.is_killed) {
            let moment = match &track.asked {
                Some((at, _)) => Some(*at + track.rule.ending.kill_after),
                None => track.rule.ending.timeout.map(|timeout| track.started + timeout),
            };
            due.extend(moment.map(|moment| (moment, Invariant::Timeout)));
        }
        match self.stop {
            Stop::At(at) => due.push((at, Invariant::Asked)),
            Stop::Asked => {}
            Stop::No => {
                let books = self.books.values().filter(|book| book.is_present);
                books.for_each(|book| book.deadlines(now, &mut due));
            }
        }
        let first = due.into_iter().min();
        let invariant = match (first, deadline) {
            (Some((_, invariant)), Some(_)) => invariant,
            (None, _) | (_, None) => Invariant::Armed,
        };
        hold(first.map(|(moment, _)| moment) == deadline, invariant, || {
            format!("the next deadline is {deadline:?}, it should be {first:?}")
        })
    }

    fn numbers(&mut self, subject: &mut dyn Subject) -> Verdict {
        let alive = self.runs.len();
        hold(subject.running() == alive, Invariant::Alive, || {
            format!("{alive} runs are alive, the engine knows {}", subject.running())
        })?;
        let is_finished = self.is_stopping() && alive == 0;
        hold(subject.is_finished() == is_finished, Invariant::Finished, || {
            "finished too early, or never".into()
        })?;
        for (at, name) in self.ids.iter().enumerate() {
            let Some(status) = subject.status(RuleId(at as u32)) else {
                return hold(false, Invariant::Counters, || format!("{name} has no status"));
            };
            let counters = &status.counters;
            let sum = counters.covered + counters.dropped_in_all() + status.waiting;
            hold(counters.matched == sum, Invariant::Counters, || {
                format!("{name}: {} matched, {sum} accounted for", counters.matched)
            })?;
            let (known, seen) = (Numbers::of_book(&self.books[name]), Numbers::of_status(&status));
            hold(known == seen, Invariant::Counters, || {
                format!("{name} counts {seen:?}, it should be {known:?}")
            })?;
            let book = &self.books[name];
            let limit = book.rule.schedule.queue_limit;
            hold(status.waiting_paths <= limit.max(book.waiting().count()), Invariant::Limit, || {
                format!("{name}: {} paths wait", status.waiting_paths)
            })?;
        }
        Ok(())
    }

    /// The journal that writes only what changed says the same as the one that writes all, and both are right.
    fn journal(&mut self, subject: &mut dyn Subject) -> Verdict {
        for change in subject.changes() {
            match change {
                Change::Path { rule, path } => {
                    let event = subject.kept_event(&rule, &path);
                    let paths = self.journal.entry(rule).or_default();
                    match event {
                        Some(event) => drop(paths.insert(path.to_path_buf(), event.mask)),
                        None => drop(paths.remove(&*path)),
                    }
                }
                Change::Rule { rule } => {
                    if subject.kept_state(&rule).is_none() {
                        self.journal.remove(&rule);
                    }
                }
            }
        }
        if !self.inputs.is_multiple_of(JOURNAL_INTERVAL) {
            return Ok(());
        }
        for (name, book) in self.books.iter().filter(|(_, book)| book.is_present) {
            let running = book.running.iter().flat_map(|(run, _)| &self.runs[run].heaps);
            let mut masks: std::collections::BTreeMap<PathBuf, EventMask> = Default::default();
            for heap in running.chain(book.waiting()) {
                *masks.entry(heap.path.clone()).or_default() |= heap.mask;
            }
            let written = self.journal.get(name).cloned().unwrap_or_default();
            hold(written == masks, Invariant::Kept, || {
                format!("{name} keeps {written:?}, it should be {masks:?}")
            })?;
            let state = subject.kept_state(name);
            let owes = book.owes_rescan || book.walk.is_some();
            let is_right =
                state.is_some_and(|state| (state.owes_rescan, state.is_paused) == (owes, book.is_paused));
            hold(is_right, Invariant::Kept, || format!("{name} keeps {state:?}"))?;
        }
        Ok(())
    }
}

impl Book {
    fn must_restart(&self, is_asked: impl Fn(facron::event::RunId) -> bool) -> bool {
        if self.is_batch() && !self.has_closed {
            return false;
        }
        let blocked = self.open.iter().filter(|heap| heap.is_undecided).any(|heap| {
            let run = self.running.iter().find(|(_, paths)| paths.contains(&heap.path));
            run.is_some_and(|(run, _)| !is_asked(*run))
        });
        let free = self.open.iter().filter(|heap| self.is_free(&heap.path));
        let has_new = free.map(|heap| heap.order).max().is_some_and(|order| order > self.rest);
        let none_ends = !self.running.iter().any(|(run, _)| is_asked(*run));
        blocked || self.is_batch() && has_new && self.is_full() && none_ends
    }

    fn deadlines(&self, now: Moment, due: &mut Vec<(Moment, Invariant)>) {
        if self.is_paused {
            return;
        }
        let late = if self.rule.gather.max_wait.is_some() { Invariant::MaxWait } else { Invariant::Due };
        if self.is_batch() {
            due.extend(self.window_closes().map(|moment| (moment, late)));
        } else {
            let gathering = self.open.iter().filter(|heap| !heap.is_due);
            due.extend(gathering.map(|heap| (self.heap_due(heap), late)));
        }
        let retries = self.retries.iter().filter(|retry| retry.due > now);
        due.extend(retries.map(|retry| (retry.due, Invariant::Retry)));
        if !self.is_full() && !self.starts_nothing(now) {
            due.extend(self.limited_until(now).map(|moment| (moment, Invariant::StartLimit)));
        }
    }
}

/// The numbers of a rule, from either side.
#[derive(Debug, PartialEq, Eq)]
struct Numbers {
    events: [u64; 3],
    dropped: Vec<u64>,
    runs: [u64; 3],
    alive: usize,
    waiting_paths: usize,
    rescan: (bool, bool),
    is_paused: bool,
}

impl Numbers {
    fn of_book(book: &Book) -> Numbers {
        Numbers {
            events: [book.matched, book.covered, book.waiting_events()],
            dropped: DropReason::ALL.iter().map(|reason| book.dropped(*reason)).collect(),
            runs: [book.ok, book.failed, book.stopped],
            alive: book.running.len(),
            waiting_paths: book.waiting().count(),
            rescan: (book.owes_rescan, book.walk.is_some()),
            is_paused: book.is_paused,
        }
    }

    fn of_status(status: &Status) -> Numbers {
        let counters = &status.counters;
        Numbers {
            events: [counters.matched, counters.covered, status.waiting],
            dropped: DropReason::ALL.iter().map(|reason| counters.dropped(*reason)).collect(),
            runs: [counters.ok, counters.failed, counters.stopped],
            alive: status.running,
            waiting_paths: status.waiting_paths,
            rescan: (status.owes_rescan, status.is_rescanning),
            is_paused: status.is_paused,
        }
    }
}
