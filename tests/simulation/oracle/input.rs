//! What goes in, as the oracle understands it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use facron::engine::{DropReason, Input, Outcome};
use facron::event::{Event, EventMask, Origin, RunId};
use facron::moment::Moment;
use facron::rule::{Edge, OnOverflow, RuleId};

use super::book::{Book, Heap, Part};
use super::{Oracle, Stop, Track};

/// So many runs that were triggered by the run before them are a loop.
const LOOP_RUNS: u32 = 1000;

impl Oracle {
    pub(super) fn input(&mut self, input: &Input) {
        self.ending = None;
        match input {
            Input::Event { rule, event } => self.event(*rule, event),
            Input::Exited { run, exit } => self.end(*run, Outcome::Ended(*exit)),
            Input::SpawnFailed { run, failure } => self.end(*run, Outcome::NotStarted(failure.clone())),
            Input::Tick => {}
            Input::Reload(rules) => self.reload(rules),
            Input::Overflow { rules } => {
                for rule in rules {
                    if let Some((_, book)) = self.book(*rule) {
                        book.owes_rescan |= book.rule.watch.on_overflow == OnOverflow::Rescan;
                    }
                }
            }
            Input::RescanDone(rule) => {
                if let Some((_, book)) = self.book(*rule) {
                    book.covered += book.walk.take().unwrap_or(0);
                }
            }
            Input::Pause(rule) => self.pause(*rule, true),
            Input::Resume(rule) => self.pause(*rule, false),
            Input::Restore { rule, events, owes_rescan } => {
                for event in events {
                    self.restore(*rule, event);
                }
                if let Some((_, book)) = self.book(*rule) {
                    book.owes_rescan |= owes_rescan;
                }
            }
            Input::Stop => self.stop(self.now + self.daemon.shutdown_timeout),
            Input::StopNow => self.stop(self.now),
        }
    }

    fn stop(&mut self, at: Moment) {
        for failure in std::mem::take(&mut self.on_failures) {
            self.left_out.push((failure.name, failure.outcome, failure.paths.into_iter().next()));
        }
        self.stop = match self.stop {
            Stop::No => Stop::At(at),
            Stop::At(before) => Stop::At(before.min(at)),
            Stop::Asked => Stop::Asked,
        };
    }

    fn pause(&mut self, rule: RuleId, is_paused: bool) {
        let Some((_, book)) = self.book(rule) else { return };
        if book.is_paused && !is_paused {
            book.open.iter_mut().for_each(|heap| heap.is_accepted = true);
        }
        book.is_paused = is_paused;
    }

    fn event(&mut self, rule: RuleId, event: &Event) {
        let Some(name) = self.ids.get(rule.0 as usize).cloned() else { return };
        let lineage = event.cause.run.and_then(|run| self.lineages.get(&run)).cloned().unwrap_or_default();
        let (now, order) = (self.now, self.order());
        let book = self.books.get_mut(&name).expect("a rule has a book");
        if book.rule.watch.ignore_self && lineage.contains(&name) {
            self.sometimes.saw("an event that a run caused itself");
            book.drop(DropReason::Itself, 1);
            return self.drops.push((name, Some(event.path.to_path_buf()), DropReason::Itself, 1));
        }
        match book.gather(event, now, order) {
            Gathered::Match(mask) => self.matched(name, event, mask, lineage, order),
            Gathered::Part => {}
            Gathered::NoRoom => self.owe(&name, 0),
        }
    }

    fn matched(
        &mut self,
        name: Arc<str>,
        event: &Event,
        mask: EventMask,
        lineage: BTreeSet<Arc<str>>,
        order: u64,
    ) {
        let now = self.now;
        let book = self.books.get_mut(&name).expect("a rule has a book");
        book.matched += 1;
        if book.rule.gather.edge == Edge::Leading && event.origin != Origin::Trigger {
            let by_path = (!book.is_batch()).then(|| event.path.to_path_buf());
            let swallows = book.windows.iter().any(|(path, until)| *path == by_path && now < *until);
            if swallows {
                self.sometimes.saw("an event swallowed by the leading edge");
                book.drop(DropReason::Leading, 1);
                return self.drops.push((name, Some(event.path.to_path_buf()), DropReason::Leading, 1));
            }
        }
        if !book.has_room_for(&event.path) {
            return self.owe(&name, 1);
        }
        self.take_in(&name, event, mask, lineage, order);
    }

    fn take_in(
        &mut self,
        name: &Arc<str>,
        event: &Event,
        mask: EventMask,
        lineage: BTreeSet<Arc<str>>,
        order: u64,
    ) {
        let now = self.now;
        let book = self.books.get_mut(name).expect("a rule has a book");
        let streak = streak(book, &self.runs, event, now);
        if streak >= LOOP_RUNS {
            self.sometimes.saw("a loop slowed down");
        }
        let not_before = match streak {
            0..LOOP_RUNS => Moment::default(),
            _ => {
                now + Duration::from_secs(1)
                    .saturating_mul(1 << (streak - LOOP_RUNS).min(10))
                    .min(Duration::from_secs(60))
            }
        };
        if book.rule.gather.edge == Edge::Leading {
            let by_path = (!book.is_batch()).then(|| event.path.to_path_buf());
            if by_path.is_some() {
                book.windows.retain(|(path, until)| now < *until && *path != by_path);
                while book.windows.len() >= book.rule.schedule.queue_limit {
                    let oldest = book.windows.iter().min_by_key(|(path, until)| (*until, path.clone()));
                    let oldest = oldest.cloned().expect("the limit is at least one");
                    book.windows.retain(|known| *known != oldest);
                }
            } else {
                book.windows.clear();
            }
            book.windows.push((by_path, now + book.rule.gather.debounce));
        }
        let path = event.path.to_path_buf();
        let (is_accepted, is_due, is_undecided) = (false, false, false);
        let (first, last, count) = (now, now, 1);
        book.put(Heap {
            path,
            mask,
            count,
            order,
            first,
            last,
            lineage,
            streak,
            not_before,
            is_accepted,
            is_due,
            is_undecided,
        });
    }

    fn restore(&mut self, rule: RuleId, event: &Event) {
        let Some(name) = self.ids.get(rule.0 as usize).cloned() else { return };
        let order = self.order();
        self.books.get_mut(&name).expect("a rule has a book").matched += 1;
        self.take_in(&name, event, event.mask, BTreeSet::new(), order);
        let book = self.books.get_mut(&name).expect("a rule has a book");
        if let Some(heap) = book.open.iter_mut().find(|heap| *heap.path == *event.path) {
            heap.is_accepted = true;
        }
    }

    /// There was no room: a rescan that starts later answers it.
    fn owe(&mut self, name: &Arc<str>, count: u64) {
        self.sometimes.saw("a rule over its limit");
        let book = self.books.get_mut(name).expect("a rule has a book");
        book.owes_rescan = true;
        book.owed_events += count;
        if std::mem::replace(&mut book.is_over, true) {
            return;
        }
        self.over.push(Arc::clone(name));
        if !book.rule.watch.on.any.contains(EventMask::Q_OVERFLOW) {
            return;
        }
        self.sometimes.saw("a rule told of its own overflow");
        book.matched += 1;
        let path = book.rule.watch.paths[0].clone();
        let told = Event { path: path.into(), ..crate::world::event("", EventMask::Q_OVERFLOW) };
        let order = self.order();
        self.take_in(name, &told, EventMask::Q_OVERFLOW, BTreeSet::new(), order);
    }

    fn order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }
}

/// What became of an event.
enum Gathered {
    Match(EventMask),
    Part,
    NoRoom,
}

impl Book {
    /// Whether the event fires alone, completes a group, or waits for the rest of one.
    fn gather(&mut self, event: &Event, now: Moment, order: u64) -> Gathered {
        let on = self.rule.watch.on.clone();
        if event.origin != Origin::Event || !on.all_of.iter().any(|group| group.intersects(event.mask)) {
            return Gathered::Match(event.mask);
        }
        let any = if event.is_dir { on.any | on.any_directory } else { on.any };
        let alone = if event.mask.intersects(any) { event.mask } else { EventMask::EMPTY };
        let span = self.rule.gather.debounce.max(Duration::from_secs(1));
        // A path is forgotten when its last event is too old.
        let last = |parts: &[Part], path: &Path| {
            parts.iter().filter(|part| part.path == path).map(|part| part.at).max()
        };
        let alive: BTreeSet<PathBuf> = self.parts.iter().map(|part| part.path.clone()).collect();
        let alive: BTreeSet<PathBuf> = alive
            .into_iter()
            .filter(|path| last(&self.parts, path).is_some_and(|last| now.since(last) <= span))
            .collect();
        self.parts.retain(|part| alive.contains(&part.path));
        self.used.retain(|(_, path, _)| alive.contains(path));
        if !alive.contains(&*event.path) && alive.len() >= self.rule.schedule.queue_limit {
            return if alone.is_empty() { Gathered::NoRoom } else { Gathered::Match(event.mask) };
        }
        self.parts.push(Part { path: event.path.to_path_buf(), mask: event.mask, at: now, order });
        let mut whole = alone;
        for (group, wanted) in on.all_of.iter().enumerate() {
            let used = self.used.iter().filter(|(known, path, _)| *known == group && **path == *event.path);
            let used = used.map(|(.., order)| *order).max().unwrap_or(0);
            let fresh = self
                .parts
                .iter()
                .filter(|part| *part.path == *event.path && part.order > used && now.since(part.at) <= span);
            let fresh = fresh.fold(EventMask::EMPTY, |mask, part| mask | part.mask);
            if fresh.contains(*wanted) {
                self.used.push((group, event.path.to_path_buf(), order));
                whole |= *wanted;
            }
        }
        if whole.is_empty() { Gathered::Part } else { Gathered::Match(whole) }
    }

    /// Whether a change on this path may wait.
    fn has_room_for(&self, path: &Path) -> bool {
        let joins = !self.is_queueing() && self.retries_path(path).is_some();
        let is_known = self.open.iter().any(|heap| heap.path == path);
        joins || is_known || !self.is_over && self.waiting().count() < self.rule.schedule.queue_limit
    }
}

/// How many runs in a row this event seems to continue.
fn streak(book: &Book, runs: &std::collections::BTreeMap<RunId, Track>, event: &Event, now: Moment) -> u32 {
    if event.cause.pid != 0 || event.origin != Origin::Event || !book.rule.watch.ignore_self {
        return 0;
    }
    let running = if book.is_batch() {
        (!book.running.is_empty()).then_some(book.batch_streak)
    } else {
        let run = book.running.iter().find(|(_, paths)| paths.iter().any(|path| **path == *event.path));
        run.and_then(|(run, _)| runs[run].heaps.iter().find(|heap| *heap.path == *event.path))
            .map(|heap| heap.streak)
    };
    let by_path = (!book.is_batch()).then(|| event.path.to_path_buf());
    let ended = book
        .ended
        .iter()
        .find(|(path, end, _)| *path == by_path && now.since(*end) <= Duration::from_millis(50));
    running.or(ended.map(|(.., streak)| *streak)).map_or(0, |streak| streak + 1)
}
