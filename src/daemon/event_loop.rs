//! The loop: waits until something happens, asks each part what it was, lets the engine decide.

use std::io;
use std::time::Duration;

use crate::engine::Input;
use crate::journal::{Journal, Stamp};
use crate::moment::Moment;
use crate::sys::clock;
use crate::sys::signals::Notice;

use super::Daemon;

/// How long the end waits for a slow reader of the log.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Daemon {
    /// Runs until it was told to stop and every run has ended.
    ///
    /// # Errors
    /// The kernel does not tell of events any more: it is of no use to go on.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.engine.is_finished() && !self.is_stuck() {
            if let Err(error) = self.poller.wait(self.time_left()) {
                // The set of descriptors is ours and stays valid; only memory can be missing for a moment.
                log::error!(reason = error.to_string(); "cannot wait for events");
            }
            let now = clock::monotonic();
            self.take_signals(now);
            self.take_from_supervisor(now);
            self.take_from_guard(now);
            if let Err(error) = self.take_from_monitor(now) {
                self.reporter.end();
                log::error!(reason = error.to_string(); "the kernel does not tell of events any more");
                return Err(error);
            }
            self.take_requests(now);
            self.desktop.ready(now);
            self.input(now, Input::Tick);
            if let Some(journal) = &mut self.journal {
                journal.commit(now, &self.engine);
            }
            self.manager.tick(now);
            self.reporter.tick(now);
        }
        if let Some(mut journal) = self.journal.take() {
            // What has come and is still being written is found by the next life.
            for (rule, changed) in self.monitor.let_go_of_held() {
                journal.owes_rescan(&self.rules.rule(rule).name, Stamp::of_change(changed));
            }
            journal.close(&self.engine);
        }
        self.reporter.end();
        match self.unkillable.len() {
            0 => log::info!("stopped"),
            count => log::warn!(runs = count; "stopped, and left runs behind that the kernel does not end"),
        }
        self.settings.log.flush(LAST_WORDS);
        Ok(())
    }

    /// Whether nothing is left to wait for at the end but runs that even SIGKILL does not end.
    fn is_stuck(&self) -> bool {
        if !self.is_stopping || self.unkillable.is_empty() {
            return false;
        }
        self.supervisor.running().all(|run| self.unkillable.contains(&run))
    }

    fn time_left(&self) -> Option<Duration> {
        self.next_deadline().map(|deadline| deadline.since(clock::monotonic()))
    }

    /// When something is due even if nothing becomes readable.
    fn next_deadline(&self) -> Option<Moment> {
        let server = self.server.as_ref().and_then(|server| server.next_deadline());
        let journal = self.journal.as_ref().and_then(Journal::next_deadline);
        let parts = [
            self.engine.next_deadline(),
            self.monitor.next_deadline(&|rule| self.engine.room(rule)),
            self.guard.next_deadline(),
            self.supervisor.next_deadline(),
            self.desktop.next_deadline(),
            self.manager.next_deadline(),
            self.reporter.next_deadline(),
            server,
            journal,
        ];
        parts.into_iter().flatten().min()
    }

    fn take_signals(&mut self, now: Moment) {
        while let Ok(Some(notice)) = self.signals.read() {
            match notice {
                // The supervisor's descriptors tell which child it was.
                Notice::Child => {}
                Notice::Stop if self.is_stopping => self.input(now, Input::StopNow),
                Notice::Stop => {
                    log::info!(running = self.engine.running(); "stopping");
                    self.is_stopping = true;
                    self.manager.stopping();
                    self.retire_guard(now);
                    self.input(now, Input::Stop);
                }
                Notice::Reload => self.reload(now, None),
                Notice::Status => self.log_status(),
            }
        }
    }

    /// Gives the engine an input, and carries out what it decides, to the end of what follows from it.
    pub(super) fn input(&mut self, now: Moment, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let actions = self.engine.handle(now, input);
            if let Some(journal) = &mut self.journal {
                journal.note(&self.engine, &actions);
            }
            for action in actions {
                self.carry_out(now, action);
            }
        }
    }
}
