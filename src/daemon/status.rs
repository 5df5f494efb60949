//! How things are, for `facron status` and SIGUSR2.

use std::collections::BTreeMap;
use std::path::Path;

use crate::control::{DaemonStatus, Response, RuleState, RuleStatus, RunCounts, Status, stamp};
use crate::engine::DropReason;
use crate::escape;
use crate::rule::{Rule, RuleId};

use super::Daemon;

impl Daemon {
    /// Everything, or one rule with its last decisions.
    pub(super) fn status(&self, rule: Option<&str>) -> Response {
        let rules = match rule {
            None => {
                let enabled = self.rules.iter().map(|(id, rule)| self.rule_status(id, rule, false));
                enabled.chain(self.about.disabled.iter().map(|rule| disabled_status(rule))).collect()
            }
            Some(name) => {
                match (self.rule_id(name), self.about.disabled.iter().find(|rule| &*rule.name == name)) {
                    (Some(id), _) => vec![self.rule_status(id, self.rules.rule(id), true)],
                    (None, Some(rule)) => vec![disabled_status(rule)],
                    (None, None) => return self.no_such_rule(name),
                }
            }
        };
        Response::Status(Box::new(Status { daemon: self.daemon_status(), rules }))
    }

    /// SIGUSR2: a line for the daemon and one for each rule, whose numbers add up: matched is covered, dropped and
    /// waiting together. What a run of the rule caused itself has not matched.
    pub(super) fn log_status(&self) {
        let daemon = self.daemon_status();
        log::info!(
            since = daemon.since, rules = self.rules.rules.len(), running = daemon.running,
            overflows = daemon.overflows; "status"
        );
        for (id, rule) in self.rules.iter() {
            let status = self.rule_status(id, rule, false);
            let (itself, dropped): (Vec<_>, Vec<_>) =
                status.dropped.iter().partition(|(reason, _)| *reason == DropReason::Itself.as_str());
            let sum = |reasons: &[(&String, &u64)]| reasons.iter().map(|(_, count)| **count).sum::<u64>();
            let reasons = dropped.iter().filter(|(_, count)| **count > 0);
            let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{reason}:{count}")).collect();
            log::info!(
                rule = rule.name, state = status.state.as_str(), matched = status.matched, covered = status.covered,
                waiting = status.waiting, running = status.running, ok = status.runs.ok, failed = status.runs.failed,
                dropped = sum(&dropped), reasons = reasons.join(","), itself = sum(&itself); "status"
            );
        }
    }

    fn daemon_status(&self) -> DaemonStatus {
        DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            user: nix::unistd::geteuid().as_raw(),
            since: stamp(self.about.since),
            config: self.about.files.iter().map(|path| escape::path(path).into_owned()).collect(),
            config_loaded: stamp(self.about.loaded),
            last_reload_error: self.about.last_reload_error.clone(),
            overflows: self.about.overflows,
            running: self.engine.running() as u64,
            concurrency: self.rules.daemon.concurrency,
            kernel: self.kernel(),
        }
    }

    fn rule_status(&self, id: RuleId, rule: &Rule, with_decisions: bool) -> RuleStatus {
        let engine = self.engine.status(id).expect("the engine knows every rule of the set");
        let book = self.board.read(&rule.name).expect("every rule of the set has a book");
        let count = |reason: DropReason| (reason.as_str().to_owned(), engine.counters.dropped(reason));
        let dropped: BTreeMap<String, u64> = DropReason::ALL.into_iter().map(count).collect();
        let reason = book.refusal.clone().or_else(|| book.trouble.clone()).or_else(|| book.reason.clone());
        let state = if engine.is_paused {
            RuleState::Paused
        } else if reason.is_some() {
            RuleState::Degraded
        } else if engine.owes_rescan || book.is_over_limit && engine.waiting > 0 {
            RuleState::OverLimit
        } else if book.watched_by.is_none() {
            RuleState::Arming
        } else {
            RuleState::Armed
        };
        let decisions = || book.decisions.iter().map(|decision| decision.to_status()).collect();
        RuleStatus {
            name: rule.name.to_string(),
            description: rule.description.clone(),
            path: paths(rule),
            state,
            reason: reason.or_else(|| self.monitor.unreadable(id).map(unreadable)),
            watched_by: book.watched_by.clone(),
            contained_by: book.contained_by.clone(),
            matched: engine.counters.matched,
            covered: engine.counters.covered,
            waiting: engine.waiting,
            running: engine.running as u64,
            runs: RunCounts { ok: engine.counters.ok, failed: engine.counters.failed },
            dropped,
            guard: self.guard_counts(rule),
            last: book.last.as_deref().cloned(),
            decisions: with_decisions.then(decisions),
        }
    }
}

/// Why a rule is watched not as a whole.
fn unreadable((path, count): (&Path, usize)) -> String {
    let path = escape::path(path);
    match count {
        1 => format!("{path} may not be read and is not watched"),
        _ => format!("{count} directories may not be read and are not watched, as {path}"),
    }
}

/// A rule that is switched off: nothing happens to it.
fn disabled_status(rule: &Rule) -> RuleStatus {
    RuleStatus {
        name: rule.name.to_string(),
        description: rule.description.clone(),
        path: paths(rule),
        state: RuleState::Disabled,
        reason: None,
        watched_by: None,
        contained_by: None,
        matched: 0,
        covered: 0,
        waiting: 0,
        running: 0,
        runs: RunCounts::default(),
        dropped: DropReason::ALL.into_iter().map(|reason| (reason.as_str().to_owned(), 0)).collect(),
        guard: None,
        last: None,
        decisions: None,
    }
}

fn paths(rule: &Rule) -> Vec<String> {
    rule.watch.paths.iter().map(|path| escape::path(path).into_owned()).collect()
}
