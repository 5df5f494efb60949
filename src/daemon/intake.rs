//! What comes from the hands becomes inputs of the engine and lines of the log.

use std::io;
use std::os::fd::AsFd;

use crate::control::Done;
use crate::engine::Input;
use crate::escape;
use crate::event::{Event, RunId};
use crate::journal::Stamp;
use crate::moment::Moment;
use crate::monitor::{Attributor, Notice, Now};
use crate::rule::RuleId;
use crate::supervisor::{Supervisor, SupervisorNotice};

use super::{Daemon, Settling};

impl Daemon {
    pub(super) fn take_from_supervisor(&mut self, now: Moment) {
        let mut notices = std::mem::take(&mut self.notices);
        self.supervisor.ready(now, &mut notices);
        for notice in notices.drain(..) {
            self.take_supervisor_notice(now, notice);
        }
        // Its memory serves the next time.
        if self.notices.is_empty() {
            self.notices = notices;
        }
    }

    fn take_supervisor_notice(&mut self, now: Moment, notice: SupervisorNotice) {
        match notice {
            SupervisorNotice::Exited { run, exit, error_tail } => {
                self.unkillable.remove(&run);
                self.error_tails.insert(run, error_tail);
                self.input(now, Input::Exited { run, exit });
                self.error_tails.remove(&run);
            }
            SupervisorNotice::NotStarted { run, failure } => {
                self.input(now, Input::SpawnFailed { run, failure });
            }
            SupervisorNotice::Output { run, rule, stream, text } => {
                let text = escape::text(&text);
                log::info!(rule = rule, run = run.0, stream = stream.as_str(), text = text; "output");
            }
            SupervisorNotice::OutputLeftOut { run, rule, amount } => {
                log::info!(rule = rule, run = run.0, lines = amount.lines, bytes = amount.bytes; "output left out");
            }
            SupervisorNotice::OutputThrottled { rule, amount } => {
                log::warn!(rule = rule, lines = amount.lines, bytes = amount.bytes; "output left out");
            }
            SupervisorNotice::PathLeftOut { run, rule, path } => {
                log::warn!(
                    rule = rule, run = run.0, path = escape::path(&path);
                    "path left out of standard input: its name has a newline, use stdin = \"paths0\""
                );
            }
            SupervisorNotice::Unkillable { run, rule } => {
                self.unkillable.insert(run);
                log::warn!(rule = rule, run = run.0; "killed, and the kernel does not end it; it keeps its slot");
            }
        }
    }

    /// # Errors
    /// The kernel does not tell of events any more.
    pub(super) fn take_from_monitor(&mut self, now: Moment) -> io::Result<()> {
        let mut notices = Vec::new();
        let before = Stamp::now();
        let both = Now { moment: now, wall: before.wall };
        let engine = &self.engine;
        let room = |rule| engine.room(rule);
        let result = self.monitor.turn(both, &mut Kin(&mut self.supervisor), &room, &mut notices);
        for notice in notices {
            self.take_monitor_notice(now, notice);
        }
        let is_all_read = self.monitor.read_until().is_some_and(|read| read.moment == now);
        if let Some(journal) = self.journal.as_mut().filter(|_| is_all_read) {
            journal.read_until(before);
        }
        result
    }

    fn take_monitor_notice(&mut self, now: Moment, notice: Notice) {
        match notice {
            Notice::Event { rule, event } => self.take_event(now, rule, event),
            Notice::Overflow { rules } => {
                self.about.overflows += 1;
                log::warn!(overflows = self.about.overflows; "overflow");
                self.input(now, Input::Overflow { rules });
            }
            Notice::RescanDone { rule } => {
                let name = &self.rules.rule(rule).name;
                log::info!(rule = name; "rescan done");
                self.catch_ups.remove(name);
                self.input(now, Input::RescanDone(rule));
            }
            Notice::Armed { rule, by } => {
                let name = &self.rules.rule(rule).name;
                log::info!(rule = name, by = by; "armed");
                if let Some(journal) = &mut self.journal {
                    let rule = self.rules.rule(rule);
                    rule.watch.paths.iter().for_each(|path| journal.armed(rule, path));
                }
                if let Some(book) = self.board.book(name) {
                    (book.watched_by, book.reason) = (Some(by), None);
                }
            }
            Notice::Unreadable { rule, one } => {
                let name = &self.rules.rule(rule).name;
                match one {
                    Some((path, count)) => log::warn!(
                        rule = name, count = count, path = escape::path(&path);
                        "directories of the tree may not be read and are not watched"
                    ),
                    None => {
                        log::info!(rule = name; "all directories of the tree may be read and are watched")
                    }
                }
            }
            Notice::Unnameable { count } => {
                log::warn!(
                    directories = count, reason = "their paths are too long, and what happens there is not told";
                    "unnameable"
                );
            }
            Notice::Degraded { rule, reason, .. } => {
                let name = &self.rules.rule(rule).name;
                log::warn!(rule = name, reason = reason; "degraded");
                if let Some(journal) = &mut self.journal {
                    self.rules.rule(rule).watch.paths.iter().for_each(|path| journal.disarmed(name, path));
                }
                if let Some(book) = self.board.book(name) {
                    book.reason = Some(reason);
                }
            }
            Notice::Settled => {
                self.is_monitor_settled = true;
                self.settle(now);
            }
            Notice::Keep { name, group } => self.manager.store(&name, group.as_fd()),
            Notice::LetGo { name } => self.manager.forget(&name),
        }
    }

    /// An event that a rule asks for: the engine decides, and the board remembers what.
    pub(super) fn take_event(&mut self, now: Moment, rule: RuleId, event: Event) {
        let before = self.engine.status(rule);
        self.input(now, Input::Event { rule, event: event.clone() });
        let after = self.engine.status(rule);
        let name = std::sync::Arc::clone(&self.rules.rule(rule).name);
        let (Some(before), Some(after)) = (before, after) else { return };
        if after.owes_rescan && !before.owes_rescan {
            // The journal remembers it too, where there is one.
            self.monitor.owe(rule, Now { moment: now, wall: event.time });
        }
        let dropped = crate::engine::DropReason::ALL
            .into_iter()
            .find(|reason| after.counters.dropped(*reason) > before.counters.dropped(*reason));
        let started = after.counters.covered > before.counters.covered && after.running > 0;
        let (done, why) = match dropped {
            Some(crate::engine::DropReason::Itself) => {
                (Done::PassedOver, "itself: a run of this rule caused it")
            }
            Some(reason) => (Done::Dropped, reason.as_str()),
            None if started => (Done::Run, "a run starts for it"),
            None if after.is_paused => (Done::Waits, "the rule is paused"),
            None if after.waiting_paths == before.waiting_paths => (Done::Joined, "its path waits already"),
            None => (Done::Waits, "for the end of debounce, a slot, or the run of its path"),
        };
        self.decide(now, &name, &event, done, why);
    }

    fn decide(&mut self, now: Moment, rule: &str, event: &Event, done: Done, why: &'static str) {
        let decision = self.board.decide(rule, event, done, why, None);
        if let Some(server) = &mut self.server {
            server.publish(rule, &decision, now);
        }
    }

    /// Perhaps everything that can be armed is armed.
    pub(super) fn settle(&mut self, now: Moment) {
        if !self.is_monitor_settled || !self.guard.is_settled() {
            return;
        }
        match self.settling.take() {
            None => {}
            Some(Settling::Start) => {
                log::info!(rules = self.rules.rules.len(); "ready");
                self.warn_of_no_rule();
                self.manager.ready(&self.said_to_manager());
            }
            Some(Settling::Reload(clients)) => {
                log::info!(rules = self.rules.rules.len(); "reloaded");
                self.warn_of_no_rule();
                self.manager.ready(&self.said_to_manager());
                for (client, messages) in clients {
                    self.answer(now, client, crate::control::Response::Done { messages });
                }
            }
        }
    }

    /// A file that was emptied by mistake looks like one that was meant so.
    fn warn_of_no_rule(&self) {
        if self.rules.rules.is_empty() {
            log::warn!(disabled = self.about.disabled.len(); "there is no rule: nothing is watched");
        }
    }

    pub(super) fn said_to_manager(&self) -> String {
        match self.rules.rules.len() {
            1 => "watching by 1 rule".to_owned(),
            count => format!("watching by {count} rules"),
        }
    }
}

/// The supervisor as the monitor asks it: which run a process belongs to.
pub(super) struct Kin<'s>(pub &'s mut Supervisor);

impl Attributor for Kin<'_> {
    /// The supervisor hears of new processes whenever it is asked.
    fn catch_up(&mut self) {}

    fn run_of(&mut self, pid: i32) -> Option<RunId> {
        self.0.cause(pid)
    }
}
