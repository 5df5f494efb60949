//! Gathering: how what happened becomes something that can run, in one lane.

use std::path::Path;
use std::sync::Arc;

use super::Entry;
use super::dirty::Stage;
use super::flight::Flight;
use super::lane::{Holder, Lane};
use super::retry::Retry;
use super::streak;
use crate::event::{Event, Origin};
use crate::moment::Moment;
use crate::rule::OnBusy;

impl Lane {
    /// Whether a change on this path would be answered without taking more room: something waits for the path
    /// already, and is no trigger of its own.
    pub(super) fn is_waiting(&self, path: &Path) -> bool {
        self.dirty.get(path).is_some() || self.retry_of(path).is_some()
    }

    /// A matched event, or several merged, wait from here on, together with what waits for the path already.
    pub(super) fn put(&mut self, path: Arc<Path>, entry: Entry) {
        if let Some(id) = self.retry_of(&path) {
            return self.retries.join(id, &path, entry, &self.rule.gather);
        }
        let (first, last, not_before) = (entry.first, entry.last, entry.not_before);
        let (path, entry, is_new) = match self.dirty.remove(&path) {
            Some((path, known)) => (path, known.merged(entry), false),
            None => (path, entry, true),
        };
        if !self.is_batch() {
            let due = self.rule.gather.due(entry.first, entry.last).max(entry.not_before);
            return self.dirty.insert(path, entry, Stage::Gathering(due));
        }
        if is_new {
            self.undecided.push(Arc::clone(&path));
        }
        let is_blocked = self.held.contains(&path) && !self.is_queueing();
        self.dirty.insert(path, entry, if is_blocked { Stage::Blocked } else { Stage::Ready });
        self.window.open(first, last, not_before);
        self.keep_window();
    }

    /// Lets go of a path: what waits for it can run.
    pub(super) fn release(&mut self, path: &Arc<Path>) {
        if self.held.remove(path).is_some() {
            self.queue.release(path);
            self.dirty.release(path);
            self.keep_window();
        }
    }

    /// What a run had waits again, before everything that came for its paths meanwhile.
    pub(super) fn give_back(&mut self, mut entries: Vec<(Arc<Path>, Entry)>) {
        for (path, entry) in &mut entries {
            entry.is_accepted = true;
            self.held.remove(path);
        }
        if self.is_queueing() {
            return self.queue.push_front(entries);
        }
        for (path, entry) in entries {
            self.put(path, entry);
        }
    }

    /// What a run had waits for another try, together with what came for its paths meanwhile.
    pub(super) fn retry(&mut self, retry: Retry) {
        let paths: Vec<Arc<Path>> = retry.entries.keys().cloned().collect();
        let id = self.retries.insert(retry);
        for path in paths {
            self.held.insert(Arc::clone(&path), Holder::Retry(id));
            if self.is_queueing() {
                continue;
            }
            if let Some((path, entry)) = self.dirty.remove(&path) {
                self.retries.join(id, &path, entry, &self.rule.gather);
            }
        }
        self.keep_window();
    }

    /// What is due by now becomes ready to run.
    pub(super) fn advance(&mut self, now: Moment) {
        if self.id.is_none() || self.is_paused {
            return;
        }
        self.retries.advance(now);
        if !self.is_batch() {
            self.end_gathering(now);
        } else if self.window.close(now) && self.is_queueing() {
            let entries = self.dirty.drain();
            self.enqueue(entries);
        }
    }

    /// The streak that an event continues: see `streak.rs`. `running` is the streak of the run that has its path.
    pub(super) fn streak(&mut self, event: &Event, running: Option<u32>, now: Moment) -> u32 {
        let is_unknown = event.cause.pid == 0 && event.origin == Origin::Event;
        if !is_unknown || !self.rule.watch.ignore_self {
            return 0;
        }
        let by_path = (!self.is_batch()).then(|| Arc::clone(&event.path));
        let before = running.or_else(|| self.echoes.streak(&by_path, now));
        before.map_or(0, |streak| streak.saturating_add(1))
    }

    /// A run is over: what comes just after may be its echo.
    pub(super) fn note_end(&mut self, flight: &Flight, now: Moment) {
        let by_path = flight.entries.first().filter(|_| !self.is_batch()).map(|(path, _)| Arc::clone(path));
        self.echoes.record(by_path, flight.streak(), now);
    }

    /// Gives an entry that continues a streak its delay; whether the streak is news.
    pub(super) fn slow_down(&mut self, entry: &mut Entry, now: Moment) -> bool {
        let delay = streak::delay(entry.streak);
        if !delay.is_zero() {
            entry.not_before = now + delay;
        }
        self.echoes.is_news(entry.streak)
    }

    /// The retry that has the path and takes in what comes; under `queue` a trigger never joins another.
    fn retry_of(&self, path: &Path) -> Option<u64> {
        match self.held.get(path) {
            Some(Holder::Retry(id)) if !self.is_queueing() => Some(*id),
            _ => None,
        }
    }

    fn end_gathering(&mut self, now: Moment) {
        while let Some((_, path)) = self.dirty.next_due().filter(|(due, _)| *due <= now) {
            let path = Arc::clone(path);
            if self.is_queueing() {
                let entry = self.dirty.remove(&path);
                self.enqueue(Vec::from_iter(entry));
                continue;
            }
            let is_blocked = self.held.contains(&path);
            self.dirty.place(&path, if is_blocked { Stage::Blocked } else { Stage::Ready });
            if self.rule.schedule.on_busy != OnBusy::Coalesce {
                self.undecided.push(path);
            }
        }
    }

    fn enqueue(&mut self, entries: Vec<(Arc<Path>, Entry)>) {
        let held = &self.held;
        if !entries.is_empty() {
            self.queue.push(entries, |path| held.contains(path));
        }
    }

    /// A change of what could run may change when the window closes.
    pub(super) fn keep_window(&mut self) {
        let oldest = self.dirty.ready().next().and_then(|path| self.dirty.get(path));
        let first = oldest.map(|entry| entry.first);
        self.window.keep(&self.rule.gather, first);
    }
}
