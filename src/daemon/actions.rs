//! The engine's actions, carried out in order.

use std::time::Duration;

use crate::desktop::Ended;
use crate::engine::{Action, Input, Outcome, Purpose, Report, Run, Then};
use crate::event::Origin;
use crate::journal::Stamp;
use crate::moment::Moment;
use crate::rule::{Identity, RuleId};
use crate::sys::clock;

use super::Daemon;

impl Daemon {
    pub(super) fn carry_out(&mut self, now: Moment, action: Action) {
        match action {
            Action::Spawn(run) => {
                if let Err(failure) = self.supervisor.spawn(&run, &mut self.notices) {
                    self.inputs.push_back(Input::SpawnFailed { run: run.id, failure });
                }
            }
            Action::Signal { run, signal } => self.supervisor.signal(now, run, signal),
            Action::Rescan(rule) => self.rescan(rule),
            Action::Report(report) => self.report(now, &report),
        }
    }

    /// A walk that finds what changed: since events were lost, or since an earlier life of the daemon stopped looking.
    fn rescan(&mut self, id: RuleId) {
        let name = &self.rules.rule(id).name;
        let since = self.journal.as_ref().and_then(|journal| journal.owed_since(name, Stamp::now()));
        let origin = if self.catch_ups.contains(name) { Origin::CatchUp } else { Origin::Rescan };
        log::info!(rule = name, origin = origin.as_str(); "rescan");
        self.monitor.rescan(id, since, origin);
    }

    fn report(&mut self, now: Moment, report: &Report) {
        self.reporter.log(now, report);
        self.guard.follow(report);
        match report {
            Report::Ended { run, outcome, took, is_failure, then } => {
                self.run_ended(now, run, outcome, *took, *is_failure, *then);
            }
            Report::OverLimit { rule } | Report::StartLimited { rule } => {
                if let Some(book) = self.board.book(rule) {
                    book.is_over_limit = true;
                }
            }
            Report::Started(_)
            | Report::Dropped { .. }
            | Report::OnFailureLeftOut { .. }
            | Report::LoopSuspected { .. } => {}
        }
    }

    fn run_ended(
        &mut self,
        now: Moment,
        run: &Run,
        outcome: &Outcome,
        took: Duration,
        is_failure: bool,
        then: Then,
    ) {
        let tail = self.error_tails.get(&run.id).map_or(&[][..], Vec::as_slice);
        self.board.ended(run, outcome, took, tail, clock::wall());
        // A try that is followed by another is no end; what is stopped on request is no failure.
        let is_last = !matches!(then, Then::Retry(_));
        let is_own = matches!(outcome, Outcome::Restart | Outcome::Shutdown);
        if !is_last || is_own || run.purpose != Purpose::Command {
            return;
        }
        let path = run.events.first().map(|event| event.path.to_path_buf()).unwrap_or_default();
        let ended = Ended {
            rule: std::sync::Arc::clone(&run.rule.name),
            description: run.rule.description.clone(),
            notify: run.rule.ending.notify,
            is_failure,
            outcome: outcome.to_string(),
            took,
            path,
            error_output: tail.to_vec(),
            user: self.user_of(run),
        };
        self.desktop.ended(ended, now);
    }

    /// Whose run it was, by number; an unknown one is the daemon's own affair.
    fn user_of(&self, run: &Run) -> u32 {
        match &run.rule.setting.user {
            None => nix::unistd::geteuid().as_raw(),
            Some(Identity::Id(id)) => *id,
            Some(Identity::Name(name)) => match nix::unistd::User::from_name(name) {
                Ok(Some(user)) => user.uid.as_raw(),
                Ok(None) | Err(_) => nix::unistd::geteuid().as_raw(),
            },
        }
    }
}
