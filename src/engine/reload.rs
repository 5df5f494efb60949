//! Reload: new rules take the place of the old, at once. A rule is known by its name.
//!
//! A rule that means the same keeps everything. One that changed keeps what waits, which then waits under its new
//! settings, and its runs, which go on under their old ones and still count. One that is gone drops what waits; its runs
//! go on to their end, and still count should it come back meanwhile.

use std::path::Path;
use std::sync::Arc;

use super::group::Groups;
use super::lane::{Holder, LaneId};
use super::leading::LeadingWindows;
use super::retry::Retry;
use super::window::Window;
use super::{Action, Change, DropReason, Engine, Entry, Lane, Report};
use crate::rule::{Rule, RuleId, RuleSet};

impl Engine {
    /// Takes the rules over.
    pub(super) fn reload(&mut self, rules: Arc<RuleSet>) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.id.is_none()) {
            // Should its rule come back, so does what its runs have.
            let rule = &lane.rule.name;
            let held =
                lane.held.paths().map(|path| Change::Path { rule: Arc::clone(rule), path: Arc::clone(path) });
            self.changes.extend(held);
        }
        for lane in self.lanes.iter_mut() {
            lane.id = None;
        }
        self.ids = rules.iter().map(|(id, rule)| self.adopt(id, rule)).collect();
        self.rules = rules;
        let gone = self.lanes.iter().filter(|(_, lane)| lane.id.is_none());
        for id in gone.map(|(id, _)| id).collect::<Vec<_>>() {
            self.empty(id);
            self.retire(id);
        }
        self.touched.extend(self.lanes.iter().map(|(id, _)| id));
    }

    fn adopt(&mut self, id: RuleId, rule: &Arc<Rule>) -> LaneId {
        if let Some(known) = self.lanes.by_name(&rule.name) {
            let lane = &mut self.lanes[known];
            lane.id = Some(id);
            if lane.rule.means_the_same_as(rule) {
                lane.rule = Arc::clone(rule);
            } else {
                lane.change(Arc::clone(rule));
            }
            return known;
        }
        self.lanes.insert(Lane::new(Arc::clone(rule), id))
    }

    /// What waits for a rule that is gone will not be answered.
    fn empty(&mut self, id: LaneId) {
        let lane = &mut self.lanes[id];
        let count = lane.counters.waiting();
        let rule = Arc::clone(&lane.rule.name);
        lane.take_retries();
        lane.queue.drain();
        lane.dirty.drain();
        lane.undecided.clear();
        lane.rescan = Default::default();
        lane.groups = Groups::default();
        lane.leading = LeadingWindows::default();
        lane.window = Window::default();
        lane.is_paused = false;
        lane.counters.count_dropped(DropReason::Removed, count);
        if count > 0 {
            let rule = Arc::clone(&rule);
            self.actions.push(Action::Report(Report::Dropped {
                rule,
                path: None,
                reason: DropReason::Removed,
                count,
            }));
        }
        self.changes.push(Change::Rule { rule });
    }
}

impl Lane {
    /// The rule says something else from here on.
    fn change(&mut self, rule: Arc<Rule>) {
        let was_queueing = self.is_queueing();
        if self.rule.watch.on != rule.watch.on {
            self.groups = Groups::default();
        }
        // A walk that is under way looks at the old places.
        self.rescan.is_owed |= self.rescan.under_way.is_some();
        self.leading = LeadingWindows::default();
        let retries = self.take_retries();
        let mut queue = std::mem::take(&mut self.queue);
        let mut waiting = self.dirty.drain();
        self.window = Window::default();
        self.undecided.clear();
        self.rule = rule;
        if was_queueing && self.is_queueing() {
            self.queue = queue;
            retries.into_iter().rev().for_each(|retry| self.queue.push_front(retry));
        } else {
            waiting.extend(queue.drain());
            waiting.extend(retries.into_iter().flatten());
        }
        for (path, mut entry) in waiting {
            entry.is_accepted = true;
            self.put(path, entry);
        }
    }

    /// Takes the retries out; the paths that they had are free.
    fn take_retries(&mut self) -> Vec<Vec<(Arc<Path>, Entry)>> {
        self.held.retain(|holder| matches!(holder, Holder::Run(..)));
        self.retries.drain().map(Retry::into_entries).collect()
    }
}
