//! What comes in: events, what an earlier life left, overflows and rescans, and what happens when there is no room.

use std::sync::Arc;

use super::group::Gathered;
use super::lane::{Holder, LaneId};
use super::size::{MAX, RULE_MAX, Size};
use super::{Action, Change, DropReason, Engine, Entry, Lane, Lineage, Report};
use crate::event::{Cause, Event, EventMask, Origin, PATH_BYTES_MAX};
use crate::rule::{Edge, OnOverflow, RuleId};

impl Engine {
    /// On how many more paths of this rule a walk may hand in what it found: it waits for room, or it would have to be
    /// repeated again and again, and would find the same again and again. Half of what may wait is left to what
    /// happens meanwhile.
    pub fn room(&self, rule: RuleId) -> usize {
        let lane = self.lane_id(rule).and_then(|id| self.lanes.get(id));
        let Some(lane) = lane.filter(|lane| !lane.is_over && !self.is_over) else { return 0 };
        let of_rule = half(lane.rule.schedule.queue_limit).saturating_sub(lane.waiting_paths());
        let load = self.agenda.load.entries;
        let of_all = half(MAX.paths).saturating_sub(load.paths);
        let bytes_of_rule = half(RULE_MAX.bytes).saturating_sub(lane.size().bytes);
        let bytes_of_all = half(MAX.bytes).saturating_sub(load.bytes);
        // However long the paths are that the walk finds.
        let of_bytes = bytes_of_rule.min(bytes_of_all) / PATH_BYTES_MAX;
        of_rule.min(of_all).min(of_bytes)
    }

    pub(super) fn on_event(&mut self, rule: RuleId, event: Event) {
        let Some(id) = self.lane_id(rule) else { return };
        self.touch(id);
        let lane = &mut self.lanes[id];
        let lineage = self.lineages.caused_by(event.cause.run);
        if lane.rule.watch.ignore_self && lineage.contains(&lane.rule.name) {
            return self.drop_event(id, event, DropReason::Itself);
        }
        let parts_max = lane.share(self.agenda.load.parts - lane.place.load.parts);
        let watch = &lane.rule.watch;
        match lane.groups.gather(&watch.on, lane.rule.gather.debounce, event, self.now, parts_max) {
            Gathered::Match(event) => self.on_match(id, event, lineage),
            Gathered::Part => {}
            Gathered::NoRoom(event) => self.owe_for(id, &event, 0),
        }
    }

    /// An event that the rule asks for.
    fn on_match(&mut self, id: LaneId, event: Event, lineage: Lineage) {
        let lane = &mut self.lanes[id];
        lane.counters.matched += 1;
        let is_leading = lane.rule.gather.edge == Edge::Leading;
        let by_path = (!lane.rule.gather.batch).then_some(&*event.path);
        // A person who asks for a run gets one.
        if is_leading && event.origin != Origin::Trigger && lane.leading.swallows(by_path, self.now) {
            return self.drop_event(id, event, DropReason::Leading);
        }
        let more = lane.more(&event);
        let has_place = more.paths == 0 || !self.is_over && lane.has_place();
        if !has_place || !self.has_memory(id, more) {
            return self.owe_for(id, &event, 1);
        }
        self.take_in(id, event, lineage);
    }

    /// An event waits from here on.
    fn take_in(&mut self, id: LaneId, event: Event, lineage: Lineage) {
        let now = self.now;
        let lane = &mut self.lanes[id];
        let path = Arc::clone(&event.path);
        let running = match lane.held.get(&path) {
            _ if lane.is_batch() => (!lane.running.is_empty()).then_some(lane.batch_streak),
            Some(Holder::Run(run, index)) => {
                self.flights.get(*run).map(|flight| flight.entries[*index].1.streak)
            }
            Some(Holder::Retry(_)) | None => None,
        };
        let streak = lane.streak(&event, running, now);
        self.last.order += 1;
        let mut entry = Entry::new(event, self.last.order, now, lineage);
        entry.streak = streak;
        if lane.slow_down(&mut entry, now) {
            self.actions.push(Action::Report(Report::LoopSuspected { rule: Arc::clone(&lane.rule.name) }));
        }
        if lane.rule.gather.edge == Edge::Leading {
            let windows_max = lane.share(self.agenda.load.windows - lane.place.load.windows);
            let by_path = (!lane.is_batch()).then_some(&path);
            lane.leading.open(by_path, now + lane.rule.gather.debounce, windows_max);
        }
        let rule = Arc::clone(&lane.rule.name);
        lane.put(Arc::clone(&path), entry);
        self.changes.push(Change::Path { rule, path });
    }

    /// What waited when the last life ended runs as if it had just come, and is not skipped.
    pub(super) fn on_restore(&mut self, rule: RuleId, events: Vec<Event>, owes_rescan: bool) {
        let Some(id) = self.lane_id(rule) else { return };
        for mut event in events {
            // The run that caused it is not of this life.
            event.cause = Cause { run: None, ..event.cause };
            let lane = &mut self.lanes[id];
            lane.counters.matched += 1;
            let more = lane.more(&event);
            if !self.has_memory(id, more) {
                self.owe_for(id, &event, 1);
                continue;
            }
            let path = Arc::clone(&event.path);
            self.take_in(id, event, Lineage::default());
            if let Some(entry) = self.lanes[id].dirty.get_mut(&path) {
                entry.is_accepted = true;
            }
            self.refresh(id);
        }
        if owes_rescan {
            self.owe(id, 0);
        }
        self.touch(id);
    }

    /// Events of these rules may have been lost.
    pub(super) fn on_overflow(&mut self, rules: &[RuleId]) {
        for rule in rules {
            let Some(id) = self.lane_id(*rule) else { continue };
            if self.lanes[id].rule.watch.on_overflow == OnOverflow::Rescan {
                self.owe(id, 0);
            }
        }
    }

    /// The walk that was asked for is over, and all that it found has come.
    pub(super) fn on_rescan_done(&mut self, rule: RuleId) {
        let Some(id) = self.lane_id(rule) else { return };
        let lane = &mut self.lanes[id];
        let Some(answered) = lane.rescan.under_way.take() else { return };
        lane.counters.covered += answered;
        self.changes.push(Change::Rule { rule: Arc::clone(&lane.rule.name) });
        self.touch(id);
    }

    /// An event will not be answered.
    fn drop_event(&mut self, id: LaneId, event: Event, reason: DropReason) {
        let lane = &mut self.lanes[id];
        lane.counters.count_dropped(reason, 1);
        let rule = Arc::clone(&lane.rule.name);
        self.actions.push(Action::Report(Report::Dropped {
            rule,
            path: Some(event.path.to_path_buf()),
            reason,
            count: 1,
        }));
    }

    /// There is no room for this event: a rescan that starts after it will answer it.
    fn owe_for(&mut self, id: LaneId, event: &Event, count: u64) {
        self.is_over |= !self.agenda.load.entries.has_room_for(Size::of(event), MAX);
        if self.is_over {
            self.owing.insert(id);
        }
        self.owe(id, count);
        let lane = &mut self.lanes[id];
        if std::mem::replace(&mut lane.is_over, true) {
            return;
        }
        let rule = Arc::clone(&lane.rule.name);
        self.actions.push(Action::Report(Report::OverLimit { rule }));
        if !lane.rule.watch.on.any.contains(EventMask::Q_OVERFLOW) {
            return;
        }
        // The rule asks to be told. One such event for each time that the limit is passed stays within bounds.
        let path = lane.rule.watch.paths.first().cloned().unwrap_or_default();
        lane.counters.matched += 1;
        let told = Event {
            mask: EventMask::Q_OVERFLOW,
            path: path.into(),
            old_path: None,
            is_dir: false,
            cause: Cause::default(),
            time: event.time,
            origin: Origin::Event,
            object: None,
        };
        self.take_in(id, told, Lineage::default());
    }

    fn owe(&mut self, id: LaneId, events: u64) {
        let lane = &mut self.lanes[id];
        lane.rescan.owed_events += events;
        if !std::mem::replace(&mut lane.rescan.is_owed, true) {
            self.changes.push(Change::Rule { rule: Arc::clone(&lane.rule.name) });
        }
        self.touch(id);
    }

    /// Whether there is room for more: in all, and in the rule's share.
    fn has_memory(&self, id: LaneId, more: Size) -> bool {
        let own = self.lanes[id].size();
        self.agenda.load.entries.has_room_for(more, MAX) && own.has_room_for(more, RULE_MAX)
    }
}

impl Lane {
    /// Whether one more path may wait.
    fn has_place(&self) -> bool {
        !self.is_over && self.waiting_paths() < self.rule.schedule.queue_limit
    }

    /// What an event adds to what waits.
    fn more(&self, event: &Event) -> Size {
        if self.is_waiting(&event.path) { Size::of_old_path(event) } else { Size::of(event) }
    }

    /// How much it may hold of something of which the other rules hold so much.
    fn share(&self, elsewhere: Size) -> Size {
        let own = Size { paths: self.rule.schedule.queue_limit, ..RULE_MAX };
        own.min(MAX.beside(elsewhere))
    }
}

/// Of one place, the one.
fn half(places: usize) -> usize {
    places.div_ceil(2)
}
