//! Retries: failed runs that wait for their next try, and the delays before it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Entry;
use super::size::Size;
use crate::moment::Moment;
use crate::rule::{Ending, Gather};

/// Before a start that the system refused for the moment is tried again; doubles.
const TRANSIENT_DELAY: Duration = Duration::from_millis(100);

/// The doubling of [`TRANSIENT_DELAY`] ends here.
const TRANSIENT_DELAY_MAX: Duration = Duration::from_secs(5);

/// A start that the system refuses for longer than this has failed.
const TRANSIENT_MAX: Duration = Duration::from_secs(60);

/// A start that the system refuses for the moment (EAGAIN and the like): tried again, without using up `retries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    since: Moment,
    delay: Duration,
}

impl Refusal {
    /// What follows another refusal: none if it has lasted too long.
    pub(super) fn next(before: Option<Refusal>, now: Moment) -> Option<Refusal> {
        let Some(before) = before else { return Some(Refusal { since: now, delay: TRANSIENT_DELAY }) };
        let delay = before.delay.saturating_mul(2).min(TRANSIENT_DELAY_MAX);
        let next = Refusal { since: before.since, delay };
        (now.since(before.since).saturating_add(delay) <= TRANSIENT_MAX).then_some(next)
    }

    /// How long to wait before the start is tried again.
    pub(super) fn delay(self) -> Duration {
        self.delay
    }
}

/// The delay after the failure of this attempt (from 1): `retry-delay`, doubled each time up to `retry-max-delay`.
pub(super) fn delay(ending: &Ending, attempt: u32) -> Duration {
    let factor = 2u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    ending.retry_delay.saturating_mul(factor).min(ending.retry_max_delay)
}

/// A run that waits for its next try.
#[derive(Debug)]
pub(super) struct Retry {
    /// Its paths, each with what happened to it; no other run may have them meanwhile.
    pub entries: BTreeMap<Arc<Path>, Entry>,
    /// The number of the next try.
    pub attempt: u32,
    /// Where the last try was refused by the system.
    pub refusal: Option<Refusal>,
    /// When its delay is over.
    delayed_until: Moment,
    /// When the first and the last of the events came that joined it.
    joined: Option<(Moment, Moment)>,
    /// When it may start.
    due: Moment,
}

impl Retry {
    /// Waits at least until `delayed_until`.
    pub(super) fn new(
        entries: Vec<(Arc<Path>, Entry)>,
        attempt: u32,
        refusal: Option<Refusal>,
        delayed_until: Moment,
    ) -> Retry {
        let entries = entries.into_iter().collect();
        Retry { entries, attempt, refusal, delayed_until, joined: None, due: delayed_until }
    }

    /// What it has, in the order in which it came.
    pub(super) fn into_entries(self) -> Vec<(Arc<Path>, Entry)> {
        let mut entries: Vec<_> = self.entries.into_iter().collect();
        entries.sort_by_key(|(_, entry)| entry.order);
        entries
    }

    fn size(&self) -> Size {
        self.entries.values().map(|entry| &entry.event).sum()
    }
}

/// The retries of one rule.
#[derive(Debug, Default)]
pub(super) struct Retries {
    all: BTreeMap<u64, Retry>,
    waiting: BTreeSet<(Moment, u64)>,
    ready: BTreeSet<u64>,
    size: Size,
    next: u64,
}

impl Retries {
    /// What they have.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Everything that waits in them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.all.values().flat_map(|retry| retry.entries.values())
    }

    /// What waits for this path in this retry.
    pub(super) fn get(&self, id: u64, path: &Path) -> Option<&Entry> {
        self.all.get(&id)?.entries.get(path)
    }

    /// Adds one; its id says who has its paths.
    pub(super) fn insert(&mut self, retry: Retry) -> u64 {
        self.next += 1;
        self.size += retry.size();
        self.waiting.insert((retry.due, self.next));
        self.all.insert(self.next, retry);
        self.next
    }

    /// A change on one of its paths joins it: it starts after that, and after its debounce.
    pub(super) fn join(&mut self, id: u64, path: &Arc<Path>, entry: Entry, gather: &Gather) {
        let retry = self.all.get_mut(&id).expect("who has a path waits");
        let was = (retry.due, id);
        let (first, last) = retry.joined.unwrap_or((entry.first, entry.last));
        let (first, last) = (first.min(entry.first), last.max(entry.last));
        retry.joined = Some((first, last));
        retry.due = retry.delayed_until.max(gather.due(first, last));
        let known = retry.entries.remove(path).expect("a retry has the paths that it holds");
        self.size -= Size::of(&known.event);
        let merged = known.merged(entry);
        self.size += Size::of(&merged.event);
        retry.entries.insert(Arc::clone(path), merged);
        self.waiting.remove(&was);
        self.ready.remove(&id);
        self.waiting.insert((retry.due, id));
    }

    /// Those whose time has come can start.
    pub(super) fn advance(&mut self, now: Moment) {
        while let Some((_, id)) = self.waiting.first().copied().filter(|(due, _)| *due <= now) {
            self.waiting.pop_first();
            self.ready.insert(id);
        }
    }

    /// When the next can start that cannot yet.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Whether one can start.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the oldest that can start.
    pub(super) fn take(&mut self) -> Option<Retry> {
        let id = self.ready.pop_first()?;
        let retry = self.all.remove(&id).expect("what can start waits");
        self.size -= retry.size();
        Some(retry)
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Retry> {
        let all = std::mem::replace(self, Retries { next: self.next, ..Retries::default() });
        all.all.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_tried_again_for_a_minute() {
        let mut now = Moment::default();
        let mut refusal = None;
        let mut delays = Vec::new();
        while let Some(next) = Refusal::next(refusal, now) {
            delays.push(next.delay().as_millis());
            now = now + next.delay();
            refusal = Some(next);
        }
        assert_eq!(delays[..7], [100, 200, 400, 800, 1600, 3200, 5000]);
        assert!(now.elapsed() <= TRANSIENT_MAX && now.elapsed() + TRANSIENT_DELAY_MAX > TRANSIENT_MAX);
    }
}
