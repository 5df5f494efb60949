//! New rules, as the oracle understands them.

use std::sync::Arc;

use facron::engine::DropReason;
use facron::rule::{Rule, RuleSet};

use super::Oracle;
use super::book::{Book, Heap};

impl Oracle {
    pub(super) fn reload(&mut self, rules: &RuleSet) {
        self.daemon = rules.daemon.clone();
        self.ids = rules.rules.iter().map(|rule| Arc::clone(&rule.name)).collect();
        for rule in &rules.rules {
            match self.books.get_mut(&rule.name) {
                Some(book) => book.adopt(rule),
                None => drop(self.books.insert(Arc::clone(&rule.name), Book::new(rule))),
            }
        }
        let ids = &self.ids;
        for (name, book) in self.books.iter_mut().filter(|(name, _)| !ids.contains(name)) {
            book.is_present = false;
            let count = book.waiting_events();
            if count > 0 {
                self.sometimes.saw("a removed rule that had something waiting");
                self.drops.push((Arc::clone(name), None, DropReason::Removed, count));
            }
            book.drop(DropReason::Removed, count);
            book.empty();
        }
        self.forget_gone();
    }

    /// A rule that is gone with its last run is as good as never seen.
    pub(super) fn forget_gone(&mut self) {
        let is_busy = |name: &Arc<str>| {
            let runs = self.runs.values().any(|track| track.name == *name);
            runs || self.on_failures.iter().any(|failure| failure.name == *name)
        };
        let gone: Vec<Arc<str>> = self
            .books
            .iter()
            .filter(|(name, book)| !book.is_present && !is_busy(name))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        gone.iter().for_each(|name| drop(self.books.remove(name)));
    }
}

impl Book {
    fn new(rule: &Arc<Rule>) -> Book {
        Book {
            rule: Arc::clone(rule),
            is_present: true,
            is_paused: false,
            open: Vec::new(),
            queue: Vec::new(),
            retries: Vec::new(),
            running: Vec::new(),
            window: None,
            window_last: Default::default(),
            rest: 0,
            has_closed: false,
            parts: Vec::new(),
            used: Vec::new(),
            windows: Vec::new(),
            starts: Vec::new(),
            all_starts: Vec::new(),
            is_limit_old: true,
            is_over: false,
            owes_rescan: false,
            owed_events: 0,
            walk: None,
            ended: Vec::new(),
            batch_streak: 0,
            matched: 0,
            covered: 0,
            dropped: Vec::new(),
            ok: 0,
            failed: 0,
            stopped: 0,
            passed_by: None,
        }
    }

    fn adopt(&mut self, rule: &Arc<Rule>) {
        self.is_present = true;
        let before = std::mem::replace(&mut self.rule, Arc::clone(rule));
        if before.means_the_same_as(rule) {
            return;
        }
        if before.watch.on != rule.watch.on {
            self.parts.clear();
            self.used.clear();
        }
        self.is_limit_old &= before.schedule.start_limit == rule.schedule.start_limit;
        self.owes_rescan |= self.walk.is_some();
        self.windows.clear();
        self.window = None;
        self.window_last = Default::default();
        self.rest = 0;
        let was_queueing = before.schedule.on_busy == facron::rule::OnBusy::Queue;
        let mut retries: Vec<Vec<Heap>> =
            std::mem::take(&mut self.retries).into_iter().map(|retry| retry.heaps).collect();
        let mut waiting = std::mem::take(&mut self.open);
        waiting.sort_by_key(|heap| heap.order);
        retries.iter_mut().for_each(|heaps| heaps.sort_by_key(|heap| heap.order));
        if was_queueing && self.is_queueing() {
            self.queue.splice(0..0, retries);
        } else {
            waiting.extend(std::mem::take(&mut self.queue).into_iter().flatten());
            waiting.extend(retries.into_iter().flatten());
        }
        for mut heap in waiting {
            heap.is_accepted = true;
            self.put(heap);
        }
    }

    fn empty(&mut self) {
        self.open.clear();
        self.queue.clear();
        self.retries.clear();
        self.parts.clear();
        self.used.clear();
        self.windows.clear();
        self.window = None;
        self.window_last = Default::default();
        self.rest = 0;
        self.owes_rescan = false;
        self.owed_events = 0;
        self.walk = None;
        self.is_paused = false;
        self.passed_by = None;
    }
}
