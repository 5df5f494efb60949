//! Permission events in the loop: what the guard says, what it is told, and who is never asked.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::control::GuardCounts;
use crate::event::Event;
use crate::guard::{Counts, Guard, GuardNotice, QuestionId, Surroundings, Verdict};
use crate::guardable;
use crate::moment::Moment;
use crate::rule::Rule;

use super::Daemon;
use super::intake::Kin;

/// How a guarded rule is watched, in log and status.
const BY: &str = "guard";

/// A guard that guards nothing yet.
///
/// # Errors
/// No descriptor or memory left.
pub(super) fn new() -> io::Result<Guard> {
    Guard::new(c"/proc/self/exe".to_owned())
}

impl Daemon {
    /// Gives the guard the rules in force that ask for permission events, and whose runs can be held.
    pub(super) fn arm_guard(&mut self, now: Moment, armed: &[Arc<Rule>]) {
        let wants =
            |rule: &&Arc<Rule>| guardable::wants_permission(&rule.watch) && !rule.watch.paths.is_empty();
        let guarded: Vec<Arc<Rule>> = armed.iter().filter(wants).cloned().collect();
        if guarded.is_empty() {
            // Following the programs of all rules to where they lead is for those who guard something.
            return self.retire_guard(now);
        }
        if let Some(path) = self.supervisor.cgroup() {
            self.guard.exempt_cgroup(path.as_os_str().as_bytes());
        }
        let surroundings = self.surroundings();
        let mut notices = Vec::new();
        self.guard.set_rules(&guarded, surroundings, now, &mut notices);
        self.take_guard_notices(now, notices);
    }

    /// Nobody new is asked; who waits is answered still.
    pub(super) fn retire_guard(&mut self, now: Moment) {
        let mut notices = Vec::new();
        self.guard.set_rules(&[], Surroundings::default(), now, &mut notices);
        self.take_guard_notices(now, notices);
    }

    pub(super) fn take_from_guard(&mut self, now: Moment) {
        let mut notices = Vec::new();
        self.guard.ready(now, &mut notices);
        self.guard.tick(now, &mut notices);
        self.take_guard_notices(now, notices);
    }

    fn take_guard_notices(&mut self, now: Moment, notices: Vec<GuardNotice>) {
        for notice in notices {
            match notice {
                GuardNotice::Event { rule, event, session, question } => {
                    self.take_opening(now, &rule, event, session, question);
                }
                GuardNotice::Armed { rule } => {
                    log::info!(rule = rule.name, by = BY; "armed");
                    if let Some(book) = self.board.book(&rule.name) {
                        book.trouble = None;
                        book.watched_by.get_or_insert_with(|| BY.to_owned());
                    }
                }
                GuardNotice::Degraded { rule, reason } => {
                    log::warn!(rule = rule.name, reason = reason; "degraded");
                    if let Some(book) = self.board.book(&rule.name) {
                        book.trouble = Some(reason);
                    }
                }
                GuardNotice::Lost { rule, count } => {
                    log::warn!(rule = rule.name, count = count; "overflow");
                    self.about.overflows += 1;
                }
                GuardNotice::Overdue { rule } => {
                    let verdict = if rule.verdict.default_allow { Verdict::Allow } else { Verdict::Deny };
                    log::warn!(rule = rule.name, verdict = verdict.as_str(); "no verdict in time");
                }
                GuardNotice::Warned { message } => log::warn!(reason = message; "guard"),
            }
        }
        self.settle(now);
    }

    /// Somebody opened what a rule guards, and waits where there is a question.
    fn take_opening(
        &mut self,
        now: Moment,
        rule: &Rule,
        mut event: Event,
        session: Option<i32>,
        question: Option<QuestionId>,
    ) {
        let id = self.rule_id(&rule.name);
        let mut kin = Kin(&mut self.supervisor);
        let cause = self.monitor.cause_for(&rule.watch.by, event.cause.pid, session, &mut kin);
        // A run, whosever it is, is let through; and what the rule is not about, too.
        let cause = cause.filter(|cause| question.is_none() || cause.run.is_none());
        if let (Some(id), Some(cause)) = (id, cause) {
            event.cause = cause;
            self.take_event(now, id, event);
        } else if let Some(question) = question {
            self.guard.answer(question, Verdict::Allow);
        }
    }

    /// What became of those who opened what a rule guards.
    pub(super) fn guard_counts(&self, rule: &Rule) -> Option<GuardCounts> {
        let status = self.guard.status().find(|status| status.rule == rule.name)?;
        let Counts { openings, asked, allowed, denied, by_default, cached, exempt, late, lost: _ } =
            status.counts;
        Some(GuardCounts { openings, asked, allowed, denied, by_default, cached, exempt, late })
    }

    /// What must not be guarded, since facron needs it to decide.
    fn surroundings(&self) -> Surroundings {
        let named = self.rules.rules.iter().flat_map(|rule| rule.programs());
        let mut programs: Vec<PathBuf> = named.map(PathBuf::from).collect();
        programs.extend(std::env::current_exe());
        let own = [&self.settings.state_dir, &self.settings.runtime_dir];
        Surroundings {
            rule_files: with_real(self.about.files.clone()),
            programs: with_real(programs),
            own_directories: with_real(own.into_iter().flatten().cloned().collect()),
        }
    }
}

/// The paths, and where they lead; each once.
fn with_real(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    paths.extend(paths.iter().filter_map(|path| real(path)).collect::<Vec<_>>());
    paths.sort();
    paths.dedup();
    paths
}
