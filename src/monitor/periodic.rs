//! Rules that are compared by a walk every so often (`rescan`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::world::Now;
use crate::moment::Moment;
use crate::rule::RuleSet;

/// The rules that have `rescan`.
#[derive(Debug, Default)]
pub struct Periodic(BTreeMap<Arc<str>, Turn>);

/// When a rule has its turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    every: Duration,
    /// When its next walk begins, and when its last one began; none: the rule has come just now.
    next: Option<(Moment, SystemTime)>,
}

impl Periodic {
    /// The rules of another rule set; those that stay keep their times.
    pub fn replace(&mut self, rules: &RuleSet) {
        let mut old = std::mem::take(&mut self.0);
        for (_, rule) in rules.iter() {
            if let Some(every) = rule.watch.rescan {
                let before = old.remove(&rule.name).filter(|turn| turn.every == every);
                self.0.insert(Arc::clone(&rule.name), before.unwrap_or(Turn { every, next: None }));
            }
        }
    }

    /// The rules whose turn it is, each with the time since which changes count.
    pub fn due(&mut self, now: Now) -> Vec<(Arc<str>, SystemTime)> {
        let mut due = Vec::new();
        for (name, turn) in &mut self.0 {
            let (at, since) = turn.next.unwrap_or((now.moment + turn.every, now.wall));
            if at <= now.moment {
                due.push((Arc::clone(name), since));
                turn.next = Some((now.moment + turn.every, now.wall));
            } else {
                turn.next = Some((at, since));
            }
        }
        due
    }

    /// When the next rule has its turn.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.0.values().map(|turn| turn.next.map_or(Moment::default(), |(at, _)| at)).min()
    }
}
