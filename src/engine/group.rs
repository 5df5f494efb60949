//! Inner arrays of `on`: events that fire only together, gathered per path until a whole group is there.
//!
//! An event that is part of a group and of nothing else has not matched yet: by the rule's own words it is the group
//! that matches. So it is not counted before its group is whole, and when the rest does not come in time it
//! expires without a word. The group that becomes whole counts as one event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::entry;
use super::size::Size;
use crate::event::{Event, EventMask, Origin};
use crate::moment::Moment;
use crate::rule::On;

/// The events of a group come within at least this span.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// What became of an event.
#[derive(Debug)]
pub(super) enum Gathered {
    /// It counts, with all that it completed.
    Match(Event),
    /// It waits for the rest of its group.
    Part,
    /// It would have to wait, and there is no room.
    NoRoom(Event),
}

/// The parts of groups that wait for the rest, of one rule.
#[derive(Debug, Default)]
pub(super) struct Groups {
    parts: BTreeMap<Arc<Path>, Parts>,
    by_age: BTreeSet<(Moment, Arc<Path>)>,
    size: Size,
    next: u64,
}

#[derive(Debug)]
struct Parts {
    /// Everything that came, merged.
    event: Event,
    last: Moment,
    /// When each kind of event came last, with the number of that arrival.
    seen: Vec<(EventMask, Moment, u64)>,
    /// Of each group that was whole once, the arrival that made it so: what came until then is used up for it.
    used: Vec<u64>,
}

impl Groups {
    /// What has parts.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Takes an event in. It counts at once if it is one that fires alone, or if it makes a group whole; else it
    /// waits, if no more than `max` waits.
    pub(super) fn gather(
        &mut self,
        on: &On,
        debounce: Duration,
        event: Event,
        now: Moment,
        max: Size,
    ) -> Gathered {
        let any = if event.is_dir { on.any | on.any_directory } else { on.any };
        let is_alone = event.origin != Origin::Event || event.mask.intersects(any);
        let in_groups = on.all_of.iter().any(|group| group.intersects(event.mask));
        if !in_groups || event.origin != Origin::Event {
            return Gathered::Match(event);
        }

        let span = debounce.max(SPAN_MIN);
        self.expire(span, now);
        let key = Arc::clone(&event.path);
        let Some(parts) = self.part(&key, &event, on, now, max) else {
            return if is_alone { Gathered::Match(event) } else { Gathered::NoRoom(event) };
        };
        match parts.complete(on, span, now) {
            Some(whole) => {
                let mut merged = parts.event.clone();
                merged.mask = whole | if is_alone { event.mask } else { EventMask::EMPTY };
                Gathered::Match(merged)
            }
            None if is_alone => Gathered::Match(event),
            None => Gathered::Part,
        }
    }

    fn part(
        &mut self,
        key: &Arc<Path>,
        event: &Event,
        on: &On,
        now: Moment,
        max: Size,
    ) -> Option<&mut Parts> {
        self.next += 1;
        let known = self.parts.get_mut(key);
        let more = if known.is_some() { Size::of_old_path(event) } else { Size::of(event) };
        if !self.size.has_room_for(more, max) {
            return None;
        }
        match known {
            Some(parts) => {
                self.size -= Size::of(&parts.event);
                self.by_age.remove(&(parts.last, Arc::clone(key)));
                entry::merge(&mut parts.event, event.clone());
                parts.last = now;
                self.size += Size::of(&parts.event);
            }
            None => {
                self.size += more;
                let used = vec![0; on.all_of.len()];
                let parts = Parts { event: event.clone(), last: now, seen: Vec::new(), used };
                self.parts.insert(Arc::clone(key), parts);
            }
        }
        self.by_age.insert((now, Arc::clone(key)));
        let parts = self.parts.get_mut(key)?;
        for single in event.mask.singles() {
            parts.seen.retain(|(known, ..)| *known != single);
            parts.seen.push((single, now, self.next));
        }
        Some(parts)
    }

    /// Forgets what came too long ago to complete anything.
    fn expire(&mut self, span: Duration, now: Moment) {
        while let Some((last, _)) = self.by_age.first()
            && now.since(*last) > span
            && let Some((_, path)) = self.by_age.pop_first()
        {
            if let Some(parts) = self.parts.remove(&path) {
                self.size -= Size::of(&parts.event);
            }
        }
    }
}

impl Parts {
    /// The groups that the last arrival made whole.
    fn complete(&mut self, on: &On, span: Duration, now: Moment) -> Option<EventMask> {
        let mut whole = EventMask::EMPTY;
        let arrival = self.seen.iter().map(|(.., number)| *number).max()?;
        for (group, used) in on.all_of.iter().zip(&mut self.used) {
            let fresh = self.seen.iter().filter(|(_, at, number)| now.since(*at) <= span && *number > *used);
            let fresh = fresh.fold(EventMask::EMPTY, |mask, (single, ..)| mask | *single);
            if fresh.contains(*group) {
                *used = arrival;
                whole |= *group;
            }
        }
        (!whole.is_empty()).then_some(whole)
    }
}
