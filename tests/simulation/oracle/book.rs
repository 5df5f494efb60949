//! The book of one rule: everything that waits for it, as lists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use facron::engine::DropReason;
use facron::event::{EventMask, RunId};
use facron::moment::Moment;
use facron::rule::{Edge, OnBusy, Rule};

/// What waits for one path.
#[derive(Clone, Debug)]
pub struct Heap {
    pub path: PathBuf,
    pub mask: EventMask,
    pub count: u64,
    pub order: u64,
    pub first: Moment,
    pub last: Moment,
    pub lineage: BTreeSet<Arc<str>>,
    pub streak: u32,
    pub not_before: Moment,
    /// `skip` lets it through.
    pub is_accepted: bool,
    /// It has become due, and `on-busy` has been asked.
    pub is_due: bool,
    /// It has become due with the last input, or (batch) since the window closed last.
    pub is_undecided: bool,
}

/// How long the system has refused to start a run.
#[derive(Clone, Copy, Debug)]
pub struct Refusals {
    pub since: Moment,
    pub delay: Duration,
}

/// A failed run before its next try.
#[derive(Debug)]
pub struct Waiting {
    pub heaps: Vec<Heap>,
    pub attempt: u32,
    pub delayed_until: Moment,
    pub joined: Option<(Moment, Moment)>,
    pub due: Moment,
    pub refusals: Option<Refusals>,
}

/// An event that is part of a group.
#[derive(Debug)]
pub struct Part {
    pub path: PathBuf,
    pub mask: EventMask,
    pub at: Moment,
    pub order: u64,
}

#[derive(Debug)]
pub struct Book {
    pub rule: Arc<Rule>,
    pub is_present: bool,
    pub is_paused: bool,
    /// What is being gathered, or waits in the dirty set.
    pub open: Vec<Heap>,
    /// Under `queue`.
    pub queue: Vec<Vec<Heap>>,
    pub retries: Vec<Waiting>,
    pub running: Vec<(RunId, Vec<PathBuf>)>,
    /// Under `batch`: when the window opened, when the last event came, not to close before.
    pub window: Option<(Moment, Moment, Moment)>,
    pub window_last: Moment,
    pub rest: u64,
    /// The window has closed with the last input.
    pub has_closed: bool,
    pub parts: Vec<Part>,
    /// The arrival that made a group whole last, by group and path.
    pub used: Vec<(usize, PathBuf, u64)>,
    /// Under `leading`: until when is swallowed what.
    pub windows: Vec<(Option<PathBuf>, Moment)>,
    pub starts: Vec<Moment>,
    /// Every start, and whether the limit was the same all the time.
    pub all_starts: Vec<Moment>,
    pub is_limit_old: bool,
    pub is_over: bool,
    pub owes_rescan: bool,
    pub owed_events: u64,
    pub walk: Option<u64>,
    pub ended: Vec<(Option<PathBuf>, Moment, u32)>,
    pub batch_streak: u32,
    pub matched: u64,
    pub covered: u64,
    pub dropped: Vec<(DropReason, u64)>,
    pub ok: u64,
    pub failed: u64,
    pub stopped: u64,
    /// Could start but for a slot of the daemon; the rules that have started since.
    pub passed_by: Option<BTreeSet<Arc<str>>>,
}

impl Heap {
    /// One on top of the other, whichever came first.
    pub fn add(&mut self, other: Heap) {
        self.mask |= other.mask;
        self.count += other.count;
        self.order = self.order.min(other.order);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.lineage.extend(other.lineage);
        self.streak = self.streak.min(other.streak);
        self.not_before = self.not_before.max(other.not_before);
        if self.streak == 0 {
            self.not_before = Moment::default();
        }
        self.is_accepted |= other.is_accepted;
        self.is_due = false;
        self.is_undecided |= other.is_undecided;
    }
}

impl Book {
    pub fn is_queueing(&self) -> bool {
        self.rule.schedule.on_busy == OnBusy::Queue
    }

    pub fn is_batch(&self) -> bool {
        self.rule.gather.batch
    }

    pub fn is_full(&self) -> bool {
        self.rule.schedule.concurrency.is_some_and(|slots| self.running.len() >= slots.get() as usize)
    }

    pub fn runs_path(&self, path: &Path) -> bool {
        self.running.iter().any(|(_, paths)| paths.iter().any(|known| known == path))
    }

    pub fn retries_path(&self, path: &Path) -> Option<usize> {
        self.retries.iter().position(|retry| retry.heaps.iter().any(|heap| heap.path == path))
    }

    pub fn is_free(&self, path: &Path) -> bool {
        !self.runs_path(path) && self.retries_path(path).is_none()
    }

    /// By the definition: the leading edge at once, the trailing one after `debounce`, or at `max-wait`.
    pub fn due(&self, first: Moment, last: Moment) -> Moment {
        let gather = &self.rule.gather;
        if gather.edge == Edge::Leading {
            return first;
        }
        let quiet = last + gather.debounce;
        match gather.max_wait {
            Some(max_wait) if first + max_wait < quiet => first + max_wait,
            _ => quiet,
        }
    }

    pub fn heap_due(&self, heap: &Heap) -> Moment {
        self.due(heap.first, heap.last).max(heap.not_before)
    }

    /// When the window of the batch closes.
    pub fn window_closes(&self) -> Option<Moment> {
        let (opened, last, not_before) = self.window?;
        let free = self.open.iter().filter(|heap| self.is_queueing() || self.is_free(&heap.path));
        let oldest = free.min_by_key(|heap| heap.order).map_or(opened, |heap| heap.first);
        Some(self.due(opened.min(oldest), last).max(not_before))
    }

    /// What is due by now is sealed.
    pub fn seal(&mut self, now: Moment) {
        self.has_closed = false;
        if self.is_paused {
            return;
        }
        if self.is_batch() {
            if self.window_closes().is_some_and(|closes| closes <= now) {
                self.window = None;
                self.has_closed = true;
                if self.is_queueing() && !self.open.is_empty() {
                    self.open.sort_by_key(|heap| heap.order);
                    let trigger = std::mem::take(&mut self.open);
                    self.queue.push(trigger);
                }
            }
            return;
        }
        let mut due: Vec<usize> = (0..self.open.len())
            .filter(|at| !self.open[*at].is_due && self.heap_due(&self.open[*at]) <= now)
            .collect();
        for at in &due {
            self.open[*at].is_due = true;
            self.open[*at].is_undecided = true;
        }
        if self.is_queueing() {
            due.sort_by_key(|at| (self.heap_due(&self.open[*at]), self.open[*at].order));
            let mut sealed: Vec<Vec<Heap>> = due.iter().map(|at| vec![self.open[*at].clone()]).collect();
            self.queue.append(&mut sealed);
            self.open.retain(|heap| !heap.is_due);
        }
    }

    /// What the next run could be made of, each as a list of paths in order.
    pub fn startable(&self, now: Moment) -> Vec<Vec<PathBuf>> {
        let paths = |heaps: &[&Heap]| heaps.iter().map(|heap| heap.path.clone()).collect::<Vec<_>>();
        let mut all: Vec<Vec<PathBuf>> = Vec::new();
        for retry in self.retries.iter().filter(|retry| retry.due <= now) {
            let mut heaps: Vec<&Heap> = retry.heaps.iter().collect();
            heaps.sort_by_key(|heap| heap.order);
            all.push(paths(&heaps));
        }
        if self.is_queueing() {
            let first = (0..self.queue.len()).find(|at| {
                let is_first =
                    |path: &Path| !self.queue[..*at].iter().flatten().any(|heap| heap.path == path);
                self.queue[*at].iter().all(|heap| self.is_free(&heap.path) && is_first(&heap.path))
            });
            all.extend(first.map(|at| paths(&self.fitting(self.queue[at].iter().collect()))));
            return all;
        }
        let mut free: Vec<&Heap> = self.open.iter().filter(|heap| self.is_free(&heap.path)).collect();
        free.sort_by_key(|heap| heap.order);
        if !self.is_batch() {
            all.extend(free.iter().filter(|heap| heap.is_due).map(|heap| vec![heap.path.clone()]));
            return all;
        }
        if self.window.is_some() {
            free.retain(|heap| heap.order <= self.rest);
        }
        if !free.is_empty() {
            all.push(paths(&self.fitting(free)));
        }
        all
    }

    /// As many of these as fit into one run.
    fn fitting<'a>(&self, heaps: Vec<&'a Heap>) -> Vec<&'a Heap> {
        let Some(bytes_max) = self.rule.gather.batch_bytes_max else { return heaps };
        let mut bytes = 0;
        let fits = |heap: &&Heap| {
            bytes += heap.path.as_os_str().len() + 9;
            bytes <= bytes_max
        };
        let count = heaps.iter().copied().take_while(fits).count().max(1);
        heaps[..count].to_vec()
    }

    /// Until when `start-limit` lets nothing start.
    pub fn limited_until(&self, now: Moment) -> Option<Moment> {
        let limit = self.rule.schedule.start_limit?;
        let starts = limit.starts.get() as usize;
        let oldest = self.starts.len().checked_sub(starts)?;
        Some(self.starts[oldest] + limit.span).filter(|until| *until > now)
    }

    /// Whether one more start keeps `start-limit`, counted afresh (if the limit was the same all the time).
    pub fn is_within_limit(&self, now: Moment) -> bool {
        let Some(limit) = self.rule.schedule.start_limit.filter(|_| self.is_limit_old) else { return true };
        let recent = self.all_starts.iter().rev().take_while(|start| **start + limit.span > now);
        recent.count() < limit.starts.get() as usize
    }

    /// Whether something waits for no more than a slot of the daemon.
    pub fn could_start(&self, now: Moment) -> bool {
        let is_stuck =
            !self.is_present || self.is_paused || self.is_full() || self.limited_until(now).is_some();
        !is_stuck && !self.starts_nothing(now)
    }

    pub fn starts_nothing(&self, now: Moment) -> bool {
        self.startable(now).is_empty()
    }

    pub fn waiting(&self) -> impl Iterator<Item = &Heap> {
        let retrying = self.retries.iter().flat_map(|retry| &retry.heaps);
        self.open.iter().chain(self.queue.iter().flatten()).chain(retrying)
    }

    pub fn waiting_events(&self) -> u64 {
        self.waiting().map(|heap| heap.count).sum::<u64>() + self.owed_events + self.walk.unwrap_or(0)
    }

    pub fn drop(&mut self, reason: DropReason, count: u64) {
        self.dropped.push((reason, count));
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.iter().filter(|(known, _)| *known == reason).map(|(_, count)| count).sum()
    }

    pub fn dropped_matched(&self) -> u64 {
        self.dropped.iter().filter(|(reason, _)| *reason != DropReason::Itself).map(|(_, count)| count).sum()
    }

    /// Puts a heap with what waits for its path, in the dirty set or in a retry.
    pub fn put(&mut self, mut heap: Heap) {
        if !self.is_queueing()
            && let Some(at) = self.retries_path(&heap.path)
        {
            return self.join(at, heap);
        }
        let (first, last, not_before) = (heap.first, heap.last, heap.not_before);
        heap.is_due = false;
        heap.is_undecided = self.is_batch();
        match self.open.iter_mut().find(|known| known.path == heap.path) {
            Some(known) => {
                let was_undecided = known.is_undecided;
                known.add(heap);
                known.is_undecided = was_undecided;
            }
            None => self.open.push(heap),
        }
        if self.is_batch() {
            let opened = self.window.map_or(first, |(opened, ..)| opened.min(first));
            self.window_last = self.window_last.max(last);
            self.window = Some((opened, self.window_last, not_before));
        }
    }

    /// A change joins a retry: it starts after that, and after its debounce.
    pub fn join(&mut self, at: usize, heap: Heap) {
        let (first, last) = self.retries[at].joined.unwrap_or((heap.first, heap.last));
        let (first, last) = (first.min(heap.first), last.max(heap.last));
        self.retries[at].joined = Some((first, last));
        self.retries[at].due = self.retries[at].delayed_until.max(self.due(first, last));
        let known = self.retries[at].heaps.iter_mut().find(|known| known.path == heap.path);
        known.expect("the retry has the path").add(heap);
    }

    /// What a run had waits again, first of all for its paths.
    pub fn give_back(&mut self, mut heaps: Vec<Heap>) {
        heaps.iter_mut().for_each(|heap| heap.is_accepted = true);
        if self.is_queueing() {
            return self.queue.insert(0, heaps);
        }
        heaps.into_iter().for_each(|heap| self.put(heap));
    }
}
