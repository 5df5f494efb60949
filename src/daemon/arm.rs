//! Arming: which rules the monitor is given. A rule whose runs cannot be held as it demands is not armed.

use std::sync::Arc;

use crate::guardable;
use crate::moment::Moment;
use crate::rule::{Rule, RuleSet, Watch};

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
        self.arm_guard(now, &armed.rules);
        armed.rules.iter_mut().for_each(leave_to_guard);
        self.monitor.set_rules(&Arc::new(armed));
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
