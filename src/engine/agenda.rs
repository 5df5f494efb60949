//! The agenda: which lane has to be looked at when, and whose turn it is to start a run.
//!
//! What happens to one lane costs the same whether there are ten rules or ten thousand: nothing here is searched.

use std::collections::BTreeSet;

use super::lane::{Lane, LaneId, Load};
use crate::moment::Moment;

/// Deadlines, turns and sums over all lanes.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    deadlines: BTreeSet<(Moment, LaneId)>,
    turns: BTreeSet<(u64, LaneId)>,
    last_turn: u64,
    /// What all lanes hold in memory.
    pub load: Load,
}

impl Agenda {
    /// A lane may have changed. A lane that can start a run, and has no turn yet, gets one behind all others:
    /// so every rule comes to start one run before any rule starts its second.
    pub(super) fn refresh(&mut self, id: LaneId, lane: &mut Lane, now: Moment, is_stopping: bool) {
        self.forget(id, lane);
        lane.place.deadline = if is_stopping { None } else { lane.next_deadline(now) };
        lane.place.load = lane.load();
        self.load = self.load.plus(lane.place.load);
        self.deadlines.extend(lane.place.deadline.map(|deadline| (deadline, id)));

        if is_stopping || !lane.can_start(now) {
            lane.place.turn = None;
            return;
        }
        let turn = lane.place.turn.unwrap_or_else(|| {
            self.last_turn += 1;
            self.last_turn
        });
        lane.place.turn = Some(turn);
        self.turns.insert((turn, id));
    }

    /// A lane has had its turn.
    pub(super) fn end_turn(&mut self, id: LaneId, lane: &mut Lane) {
        if let Some(turn) = lane.place.turn.take() {
            self.turns.remove(&(turn, id));
        }
    }

    /// A lane goes.
    pub(super) fn forget(&mut self, id: LaneId, lane: &Lane) {
        self.load = self.load.minus(lane.place.load);
        if let Some(deadline) = lane.place.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        if let Some(turn) = lane.place.turn {
            self.turns.remove(&(turn, id));
        }
    }

    /// The lane whose turn it is.
    pub(super) fn next_turn(&self) -> Option<LaneId> {
        self.turns.first().map(|(_, id)| *id)
    }

    /// The lanes whose deadline has come.
    pub(super) fn due(&self, now: Moment) -> impl Iterator<Item = LaneId> {
        self.deadlines.iter().take_while(move |(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }

    /// When the next deadline comes.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

impl Load {
    fn plus(self, other: Load) -> Load {
        Load {
            entries: self.entries + other.entries,
            parts: self.parts + other.parts,
            windows: self.windows + other.windows,
        }
    }

    fn minus(self, other: Load) -> Load {
        Load {
            entries: self.entries - other.entries,
            parts: self.parts - other.parts,
            windows: self.windows - other.windows,
        }
    }
}
