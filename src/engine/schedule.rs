//! Scheduling: after each input, everything that is due by now happens, in a fixed order.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::dirty::Stage;
use super::flight::Flight;
use super::lane::{Holder, LaneId, Taken};
use super::size::MAX;
use super::{Action, Change, DropReason, Engine, Life, Lineage, Purpose, Report, StopReason};
use crate::event::RunId;
use crate::rule::OnBusy;

impl Engine {
    /// Everything that is due by now happens.
    pub(super) fn settle(&mut self) {
        self.signal();
        if self.is_stopping() {
            self.shut_down();
        } else {
            self.advance();
            self.start_runs();
            self.decide();
            self.notice_room();
            self.ask_for_rescans();
        }
        self.signal();
        for id in std::mem::take(&mut self.touched) {
            self.refresh(id);
        }
        debug_assert!(
            self.next_deadline().is_none_or(|deadline| deadline > self.now),
            "no deadline is left behind"
        );
    }

    /// Runs whose time is over are told, or ended.
    fn signal(&mut self) {
        while let Some((run, signal)) = self.flights.next_signal(self.now) {
            self.actions.push(Action::Signal { run, signal });
        }
    }

    fn shut_down(&mut self) {
        let Life::Stopping(Some(ask_at)) = self.life else { return };
        if ask_at > self.now {
            return;
        }
        self.life = Life::Stopping(None);
        for run in self.flights.iter().map(|flight| flight.id).collect::<Vec<_>>() {
            self.stop_run(run, StopReason::Shutdown);
        }
    }

    fn stop_run(&mut self, run: RunId, reason: StopReason) {
        if let Some(signal) = self.flights.stop(run, reason, self.now) {
            self.actions.push(Action::Signal { run, signal });
        }
    }

    /// Lanes in which something is due, or something happened, move on.
    fn advance(&mut self) {
        self.touched.extend(self.agenda.due(self.now));
        for id in self.touched.clone() {
            if let Some(lane) = self.lanes.get_mut(id) {
                lane.advance(self.now);
            }
            self.refresh(id);
        }
    }

    /// Fills the slots: what was to follow a failure first, then one run of each rule in turn.
    fn start_runs(&mut self) {
        while self.flights.len() < self.rules.daemon.concurrency as usize {
            if let Some(flight) = self.on_failures.pop_front() {
                self.start_on_failure(flight);
                continue;
            }
            let Some(id) = self.agenda.next_turn() else { return };
            if let Some(taken) = self.lanes[id].take() {
                self.start(id, taken);
            }
            // The turn is over; if there is more to start, the next one comes behind those of the other rules.
            self.agenda.end_turn(id, &mut self.lanes[id]);
            self.refresh(id);
            self.touch(id);
        }
    }

    fn start(&mut self, id: LaneId, taken: Taken) {
        let run = self.next_run();
        let lane = &mut self.lanes[id];
        let rule = Arc::clone(&lane.rule);
        let causes = taken.entries.iter().map(|(_, entry)| &entry.lineage);
        self.lineages.start(run, Lineage::of_run(&rule.name, causes));

        let mut flight = Flight::new(run, id, rule, Purpose::Command, taken.attempt, self.now);
        flight.refusal = taken.refusal;
        flight.entries = taken.entries;
        for (index, (path, _)) in flight.entries.iter().enumerate() {
            lane.held.insert(Arc::clone(path), Holder::Run(run, index));
        }
        lane.running.insert(run);
        lane.running_size += flight.size();
        lane.batch_streak = flight.streak();
        lane.counters.covered += flight.count();
        lane.starts.record(lane.rule.schedule.start_limit, self.now);
        self.hand_out(flight);
    }

    fn start_on_failure(&mut self, mut flight: Flight) {
        flight.started = self.now;
        self.hand_out(flight);
    }

    fn hand_out(&mut self, flight: Flight) {
        let run = flight.run();
        self.actions.push(Action::Spawn(run.clone()));
        self.actions.push(Action::Report(Report::Started(run)));
        self.flights.insert(flight);
    }

    /// What became due and could not start: `on-busy` says what becomes of it.
    fn decide(&mut self) {
        for id in self.touched.clone() {
            let Some(lane) = self.lanes.get_mut(id) else { continue };
            if lane.is_batch() && !lane.window.is_undecided {
                continue;
            }
            let undecided = std::mem::take(&mut lane.undecided);
            match lane.rule.schedule.on_busy {
                OnBusy::Coalesce | OnBusy::Queue => {}
                OnBusy::Skip => self.skip(id, undecided),
                OnBusy::Restart => self.restart(id, &undecided),
            }
            self.lanes[id].window.is_undecided = false;
        }
    }

    /// While all slots, or this path, are busy: dropped. What waits for something else will run.
    fn skip(&mut self, id: LaneId, undecided: Vec<Arc<Path>>) {
        for path in undecided {
            let lane = &mut self.lanes[id];
            let is_busy = lane.is_full() || lane.dirty.stage(&path) == Some(Stage::Blocked);
            let rest_until = lane.window.rest_until;
            let Some(entry) = lane.dirty.get_mut(&path) else { continue };
            if !is_busy || entry.is_accepted || entry.order <= rest_until {
                entry.is_accepted = true;
                continue;
            }
            let count = entry.count;
            lane.dirty.remove(&path);
            lane.counters.count_dropped(DropReason::Skip, count);
            let rule = Arc::clone(&lane.rule.name);
            self.changes.push(Change::Path { rule: Arc::clone(&rule), path: Arc::clone(&path) });
            let path = Some(path.to_path_buf());
            self.actions.push(Action::Report(Report::Dropped {
                rule,
                path,
                reason: DropReason::Skip,
                count,
            }));
        }
        // What was dropped may have made room for a rescan.
        self.refresh(id);
    }

    /// The run that has the path is stopped; under `batch` also one that has the only slot.
    fn restart(&mut self, id: LaneId, undecided: &[Arc<Path>]) {
        let lane = &self.lanes[id];
        let mut runs: BTreeSet<RunId> = undecided.iter().filter_map(|path| lane.blocking_run(path)).collect();
        let is_stopping =
            |run: &RunId| self.flights.get(*run).is_some_and(|flight| flight.stop_reason().is_some());
        if runs.is_empty() && lane.is_batch_waiting_for_a_slot() && !lane.running.iter().any(is_stopping) {
            runs.extend(lane.running.first());
        }
        for run in runs {
            self.stop_run(run, StopReason::Restart);
        }
    }

    /// Notices when half of the room in all is free again: what waited for that is looked at.
    fn notice_room(&mut self) {
        if !self.is_over || !self.agenda.load.entries.is_half_free(MAX) {
            return;
        }
        self.is_over = false;
        for id in std::mem::take(&mut self.owing) {
            self.refresh(id);
            self.touch(id);
        }
    }

    fn ask_for_rescans(&mut self) {
        for id in self.touched.clone() {
            let Some(lane) = self.lanes.get_mut(id) else { continue };
            let Some(rule) = lane.id else { continue };
            if !lane.rescan.is_owed || lane.rescan.under_way.is_some() || lane.is_over {
                continue;
            }
            if self.is_over {
                self.owing.insert(id);
                continue;
            }
            lane.rescan.is_owed = false;
            lane.rescan.under_way = Some(std::mem::take(&mut lane.rescan.owed_events));
            self.changes.push(Change::Rule { rule: Arc::clone(&lane.rule.name) });
            self.actions.push(Action::Rescan(rule));
        }
    }

    /// A lane may have changed.
    pub(super) fn refresh(&mut self, id: LaneId) {
        let is_stopping = self.is_stopping();
        let Some(lane) = self.lanes.get_mut(id) else { return };
        if !self.is_over {
            lane.notice_room();
        }
        if !lane.has_ready() {
            lane.starts.is_over();
        } else if !is_stopping && lane.limited_until(self.now).is_some() && lane.starts.is_news() {
            self.actions.push(Action::Report(Report::StartLimited { rule: Arc::clone(&lane.rule.name) }));
        }
        self.agenda.refresh(id, lane, self.now, is_stopping);
    }
}
