//! Which rules a run descends from: its own, and those of the runs whose doing triggered it, however indirectly.
//!
//! `ignore-self` asks this. What is known of a run outlives it, for what it caused may be read after its end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::RunId;

/// Ended runs that are remembered.
const ENDED_MAX: usize = 4096;

/// Rules that one lineage names; the farthest are forgotten first.
const RULES_MAX: usize = 64;

/// Names of rules, the nearest first, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lineage(Vec<Arc<str>>);

impl Lineage {
    /// Whether something of this lineage descends from the rule.
    pub(super) fn contains(&self, rule: &str) -> bool {
        self.0.iter().any(|name| **name == *rule)
    }

    /// Descends from those of the other as well.
    pub(super) fn join(&mut self, other: &Lineage) {
        for name in &other.0 {
            if self.0.len() < RULES_MAX && !self.contains(name) {
                self.0.push(Arc::clone(name));
            }
        }
    }

    /// The lineage of a run of this rule that was triggered by something of these lineages.
    pub(super) fn of_run<'a>(rule: &Arc<str>, causes: impl Iterator<Item = &'a Lineage>) -> Lineage {
        let mut lineage = Lineage(vec![Arc::clone(rule)]);
        causes.for_each(|cause| lineage.join(cause));
        lineage
    }
}

/// The lineages of all runs that are alive, and of the last [`ENDED_MAX`] that are not.
#[derive(Debug, Default)]
pub(super) struct Lineages {
    runs: BTreeMap<RunId, Lineage>,
    ended: VecDeque<RunId>,
}

impl Lineages {
    /// That of what this run causes; empty where no run of ours, or one that is forgotten, is the cause.
    pub(super) fn caused_by(&self, run: Option<RunId>) -> Lineage {
        run.and_then(|run| self.runs.get(&run)).cloned().unwrap_or_default()
    }

    /// A run starts.
    pub(super) fn start(&mut self, run: RunId, lineage: Lineage) {
        self.runs.insert(run, lineage);
    }

    /// A run is at its end.
    pub(super) fn end(&mut self, run: RunId) {
        self.ended.push_back(run);
        if self.ended.len() > ENDED_MAX {
            let oldest = self.ended.pop_front().expect("more than the maximum is more than none");
            self.runs.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rules_are_kept_and_the_oldest_runs_forgotten() {
        let mut lineages = Lineages::default();
        for number in 0..100_u64 {
            let cause = lineages.caused_by(number.checked_sub(1).map(RunId));
            let name = Arc::from(format!("rule-{number}"));
            lineages.start(RunId(number), Lineage::of_run(&name, std::iter::once(&cause)));
        }
        let last = lineages.caused_by(Some(RunId(99)));
        assert!(last.contains("rule-99") && last.contains("rule-36"));
        assert!(!last.contains("rule-35"), "only {RULES_MAX} are kept");

        for number in 0..100 + ENDED_MAX as u64 {
            lineages.start(RunId(number), last.clone());
            lineages.end(RunId(number));
        }
        assert!(lineages.caused_by(Some(RunId(99))) == Lineage::default());
        assert!(lineages.caused_by(Some(RunId(100))) == last);
    }
}
