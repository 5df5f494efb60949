//! Taking: what of a lane can run, and when; what the next run is made of.

use std::path::Path;
use std::sync::Arc;

use super::Entry;
use super::lane::{Lane, Taken};
use crate::moment::Moment;
use crate::rule::Rule;

/// What a path takes in the arguments of a command besides its bytes: the NUL, and its pointer.
const PATH_OVERHEAD: usize = 9;

impl Lane {
    /// Whether something waits that could start if there was a slot.
    pub(super) fn has_ready(&self) -> bool {
        self.retries.is_ready() || self.queue.is_runnable() || self.is_dirty_ready()
    }

    /// Whether something waits for no more than a slot of the daemon.
    pub(super) fn can_start(&self, now: Moment) -> bool {
        self.could_start() && self.starts.blocked_until(self.rule.schedule.start_limit, now).is_none()
    }

    /// … or for `start-limit`.
    fn could_start(&self) -> bool {
        self.id.is_some() && !self.is_paused && !self.is_full() && self.has_ready()
    }

    /// When `start-limit` lets the next run start, if something waits for that.
    pub(super) fn limited_until(&self, now: Moment) -> Option<Moment> {
        let limit = self.rule.schedule.start_limit;
        self.starts.blocked_until(limit, now).filter(|_| self.could_start())
    }

    fn is_dirty_ready(&self) -> bool {
        if self.is_queueing() {
            return false;
        }
        let Some(first) = self.dirty.ready().next() else { return false };
        let is_rest = || self.dirty.get(first).is_some_and(|entry| entry.order <= self.window.rest_until);
        !self.is_batch() || !self.window.is_open() || is_rest()
    }

    /// Takes out what the next run is made of; [`Lane::can_start`] has said that there is something.
    pub(super) fn take(&mut self) -> Option<Taken> {
        if let Some(retry) = self.retries.take() {
            let (attempt, refusal) = (retry.attempt, retry.refusal);
            return Some(Taken { entries: retry.into_entries(), attempt, refusal });
        }
        let entries = if self.queue.is_runnable() {
            let fits = room_for_paths(&self.rule);
            self.queue.take(fits)
        } else if self.is_batch() {
            self.take_batch()
        } else {
            let path = self.dirty.ready().next().cloned()?;
            Vec::from_iter(self.dirty.remove(&path))
        };
        (!entries.is_empty()).then_some(Taken { entries, attempt: 1, refusal: None })
    }

    fn take_batch(&mut self) -> Vec<(Arc<Path>, Entry)> {
        let until = if self.window.is_open() { self.window.rest_until } else { u64::MAX };
        let mut fits = room_for_paths(&self.rule);
        let mut paths: Vec<Arc<Path>> = Vec::new();
        let mut is_cut = false;
        for path in self.dirty.ready() {
            let entry = self.dirty.get(path).expect("what is ready waits");
            if entry.order > until {
                break;
            }
            if !fits(entry) && !paths.is_empty() {
                is_cut = true;
                break;
            }
            paths.push(Arc::clone(path));
        }
        let newest = self.dirty.ready().next_back().and_then(|path| self.dirty.get(path));
        let newest = newest.map_or(0, |entry| entry.order);
        self.window.rest_until = if is_cut { newest.min(until) } else { 0 };
        let taken = paths.iter().filter_map(|path| self.dirty.remove(path)).collect();
        self.keep_window();
        taken
    }

    /// When something will happen by itself.
    pub(super) fn next_deadline(&self, now: Moment) -> Option<Moment> {
        if self.is_paused {
            return None;
        }
        let gathered = match self.is_batch() {
            true => self.window.closes(),
            false => self.dirty.next_due().map(|(due, _)| due),
        };
        let limited = self.limited_until(now);
        [gathered, self.retries.next_due(), limited].into_iter().flatten().min()
    }
}

/// Says of one path after another whether it still fits into one run.
fn room_for_paths(rule: &Rule) -> impl FnMut(&Entry) -> bool + use<> {
    let mut left = rule.gather.batch_bytes_max.unwrap_or(usize::MAX);
    move |entry| {
        let bytes = entry.event.path.as_os_str().len() + PATH_OVERHEAD;
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    }
}
