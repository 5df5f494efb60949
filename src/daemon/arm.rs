//! Arming: which rules the monitor is given. A rule whose runs cannot be held as it demands is not armed; one whose
//! program is not to be trusted is, with a warning.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::escape;
use crate::guardable;
use crate::moment::Moment;
use crate::rule::{Identity, Rule, RuleSet, Watch};
use crate::sys::trust;
use crate::sys::users;

use super::Daemon;

impl Daemon {
    /// Gives the monitor the rules in force; it says when they are armed.
    pub(super) fn arm(&mut self, now: Moment) {
        self.is_monitor_settled = false;
        let mut armed = RuleSet { daemon: self.rules.daemon.clone(), rules: Vec::new() };
        for rule in &self.rules.rules {
            let book = self.board.book(&rule.name);
            match self.supervisor.can_contain(&rule.setting) {
                Ok(level) => {
                    if let Some(book) = book {
                        (book.contained_by, book.refusal) = (Some(level.as_str().to_owned()), None);
                    }
                    armed.rules.push(Arc::clone(rule));
                }
                Err(reason) => {
                    log::warn!(rule = rule.name, reason = reason; "degraded");
                    if let Some(book) = book {
                        (book.contained_by, book.refusal) = (None, Some(reason));
                    }
                    armed.rules.push(Arc::new(unwatched(rule)));
                }
            }
        }
        self.warn_of_programs();
        self.arm_guard(now, &armed.rules);
        armed.rules.iter_mut().for_each(leave_to_guard);
        self.monitor.set_rules(&Arc::new(armed));
    }

    /// Says of programs that others may write that they will not be run as root: each start refuses them, and the
    /// first may come at night.
    fn warn_of_programs(&self) {
        let (own_uid, _) = users::own_ids();
        if own_uid != 0 || self.settings.is_insecure {
            return;
        }
        let mut seen = BTreeSet::new();
        for rule in self.rules.rules.iter().filter(|rule| runs_as_root(rule)) {
            for program in rule.programs().filter(|program| seen.insert(program.to_string())) {
                if let Some(distrust) = trust::flaw_of_root_program(Path::new(program)) {
                    log::warn!(
                        rule = rule.name, reason = distrust.to_string(), help = distrust.way_out(),
                        path = escape::path(Path::new(program));
                        "program is not to be trusted, and will not be run as root"
                    );
                }
            }
        }
    }
}

/// Whether its commands have root's rights where the daemon has.
fn runs_as_root(rule: &Rule) -> bool {
    match &rule.setting.user {
        None | Some(Identity::Id(0)) => true,
        Some(Identity::Name(name)) => name == "root",
        Some(Identity::Id(_)) => false,
    }
}

/// A rule that asks for permission events asks for nothing else, and is none of the monitor's.
fn leave_to_guard(rule: &mut Arc<Rule>) {
    if guardable::wants_permission(&rule.watch) {
        *rule = Arc::new(unwatched(rule));
    }
}

/// The same rule with nothing to watch, so that the others keep their ids.
fn unwatched(rule: &Rule) -> Rule {
    let watch = Watch { paths: Vec::new(), ..rule.watch.clone() };
    Rule { watch, ..rule.clone() }
}
