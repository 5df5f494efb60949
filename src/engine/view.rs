//! What can be seen from outside: the state of a rule for `status`, and what the journal has to keep.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::entry::merge;
use super::lane::{Holder, LaneId};
use super::{Change, Engine, Entry, Kept, KeptState, Lane, Status};
use crate::event::Event;
use crate::rule::RuleId;

impl Engine {
    /// The rule as it stands; none for an id that is not of the present rules.
    pub fn status(&self, rule: RuleId) -> Option<Status> {
        let lane = self.lanes.get(self.lane_id(rule)?)?;
        Some(Status {
            counters: lane.counters.clone(),
            waiting: lane.counters.waiting(),
            waiting_paths: lane.waiting_paths(),
            running: lane.running.len(),
            running_on_failure: lane.running_on_failure,
            owes_rescan: lane.rescan.is_owed,
            is_rescanning: lane.rescan.under_way.is_some(),
            is_paused: lane.is_paused,
            last: lane.last.clone(),
        })
    }

    /// How many runs are alive, those of removed rules included.
    pub fn running(&self) -> usize {
        self.flights.len()
    }

    /// Whether nothing waits, runs or is owed.
    pub fn is_idle(&self) -> bool {
        let is_idle = |(_, lane): (LaneId, &Lane)| lane.waiting_paths() == 0 && !lane.rescan.is_outstanding();
        self.flights.len() == 0 && self.on_failures.is_empty() && self.lanes.iter().all(is_idle)
    }

    /// What the last input may have changed of [`Engine::kept`], for a journal that writes only that.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Everything that has to outlive the process, for a journal that writes all: rules with nothing are left out.
    pub fn kept(&self) -> impl Iterator<Item = Kept> {
        let nothing = KeptState { owes_rescan: false, is_paused: false };
        let present = self.lanes.iter().filter(|(_, lane)| lane.id.is_some());
        let all = present.map(|(_, lane)| self.kept_of(lane));
        all.filter(move |kept| !kept.events.is_empty() || kept.state != nothing)
    }

    /// What is kept of this path: everything that waits for it or is in a run, merged; none if it is answered.
    pub fn kept_event(&self, rule: &str, path: &Path) -> Option<Event> {
        let lane = self.lane_of(rule)?;
        let held = match lane.held.get(path) {
            Some(Holder::Run(run, index)) => {
                self.flights.get(*run).and_then(|flight| flight.entries.get(*index)).map(|(_, entry)| entry)
            }
            Some(Holder::Retry(id)) => lane.retries.get(*id, path),
            None => None,
        };
        let held = held.map(|entry| entry.event.clone());
        let gathering = lane.dirty.get(path).map(|entry| entry.event.clone());
        united([held, lane.queue.of_path(path), gathering].into_iter().flatten())
    }

    /// What is kept of the rule besides its paths; none if it is gone.
    pub fn kept_state(&self, rule: &str) -> Option<KeptState> {
        self.lane_of(rule).map(Lane::kept_state)
    }

    fn lane_of(&self, rule: &str) -> Option<&Lane> {
        self.lanes.get(self.lanes.by_name(rule)?).filter(|lane| lane.id.is_some())
    }

    fn kept_of(&self, lane: &Lane) -> Kept {
        let mut by_path: BTreeMap<&Path, Vec<&Entry>> = BTreeMap::new();
        let in_flight = lane.running.iter().filter_map(|run| self.flights.get(*run));
        let running = in_flight.flat_map(|flight| flight.entries.iter().map(|(_, entry)| entry));
        for entry in running.chain(lane.waiting()) {
            by_path.entry(&entry.event.path).or_default().push(entry);
        }
        let events = by_path.into_values().filter_map(|mut entries| {
            entries.sort_by_key(|entry| entry.order);
            united(entries.into_iter().map(|entry| entry.event.clone()))
        });
        let events = events.collect();
        Kept { rule: Arc::clone(&lane.rule.name), events, state: lane.kept_state() }
    }
}

impl Lane {
    fn kept_state(&self) -> KeptState {
        KeptState { owes_rescan: self.rescan.is_outstanding(), is_paused: self.is_paused }
    }
}

/// All of these, of one path, in the order in which they came, as one event.
fn united(mut events: impl Iterator<Item = Event>) -> Option<Event> {
    let mut first = events.next()?;
    events.for_each(|event| merge(&mut first, event));
    Some(first)
}
