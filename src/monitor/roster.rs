//! Which rules stand behind which root: the rules of the moment, by the paths that they wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inbox::RootOrder;
use super::traffic::{RootState, Trouble};
use crate::event::EventMask;
use crate::matcher::{self, RootId};
use crate::plan::Demand;
use crate::rule::{Rule, RuleId, RuleSet};

/// The rules, and the roots that they share.
#[derive(Debug, Default)]
pub struct Roster {
    rules: Arc<RuleSet>,
    /// Boxed: a map's nodes are half empty.
    roots: BTreeMap<RootId, Box<Root>>,
    by_path: BTreeMap<PathBuf, RootId>,
    by_name: BTreeMap<Arc<str>, RuleId>,
    /// For each rule what was told of it last.
    told: Vec<Option<Told>>,
    next: u32,
}

/// A path as rules wrote it.
#[derive(Debug)]
pub struct Root {
    /// As they wrote it.
    pub written: PathBuf,
    /// Which rules.
    pub rules: Vec<RuleId>,
    /// What they need.
    pub demand: Demand,
    /// How it stands with it; none: not known yet.
    pub state: Option<RootState>,
    /// A directory of its tree that may not be read, and how many there are.
    unreadable: Option<(PathBuf, usize)>,
}

/// How it stands with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is watched, these ways.
    Armed(String),
    /// A path of it cannot be watched now.
    Degraded(Trouble),
}

impl Roster {
    /// Puts a rule set in the place of the old. Paths that stay keep their roots, so that nothing is lost of them.
    pub fn replace(&mut self, rules: &Arc<RuleSet>) -> Vec<RootOrder> {
        let mut by_path = BTreeMap::<PathBuf, Vec<RuleId>>::new();
        for (id, rule) in rules.iter() {
            for path in &rule.watch.paths {
                let of_path = by_path.entry(path.clone()).or_default();
                // A path that a rule names twice counts once.
                if of_path.last() != Some(&id) {
                    of_path.push(id);
                }
            }
        }
        let mut old = std::mem::take(&mut self.roots);
        let ids = std::mem::take(&mut self.by_path);
        for (written, of_path) in by_path {
            let id = ids.get(&written).copied().unwrap_or_else(|| {
                self.next += 1;
                RootId(self.next)
            });
            let unreadable = old.remove(&id).and_then(|root| root.unreadable);
            let demand = Demand::of(of_path.iter().map(|id| &rules.rule(*id).watch));
            self.by_path.insert(written.clone(), id);
            // It is followed again, and may be watched another way from now on.
            let root = Root { written, rules: of_path, demand, state: None, unreadable };
            self.roots.insert(id, Box::new(root));
        }
        self.by_name = rules.iter().map(|(id, rule)| (Arc::clone(&rule.name), id)).collect();
        self.keep_told(rules);
        self.rules = Arc::clone(rules);
        self.orders()
    }

    /// The rules of the moment.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// A rule of the moment.
    pub fn rule(&self, id: RuleId) -> &Arc<Rule> {
        self.rules.rule(id)
    }

    /// A root; none: no rule has its path any more.
    pub fn root(&self, id: RootId) -> Option<&Root> {
        self.roots.get(&id).map(Box::as_ref)
    }

    /// Every root.
    pub fn ids(&self) -> impl Iterator<Item = RootId> {
        self.roots.keys().copied()
    }

    /// The rule of this name.
    pub fn by_name(&self, name: &str) -> Option<RuleId> {
        self.by_name.get(name).copied()
    }

    /// Those rules of a root that ask for the entries of a directory below its home.
    pub fn entering(&self, root: RootId, below: &[u8]) -> Vec<RuleId> {
        let rules = self.root(root).map_or(&[][..], |root| &root.rules);
        let enters = |id: &&RuleId| matcher::is_entered(&self.rule(**id).watch, below);
        rules.iter().filter(enters).copied().collect()
    }

    /// Notes how it stands with a root; gives the rules for which that makes a difference.
    pub fn note(&mut self, id: RootId, state: RootState) -> Vec<(RuleId, Told)> {
        let Some(root) = self.roots.get_mut(&id) else { return Vec::new() };
        root.state = Some(state);
        let rules = root.rules.clone();
        rules.into_iter().filter_map(|rule| Some((rule, self.news(rule)?))).collect()
    }

    /// Notes what of a root's tree may not be read; gives its rules, and what of all their trees may not be read.
    pub fn note_unreadable(
        &mut self,
        id: RootId,
        one: Option<(PathBuf, usize)>,
    ) -> Vec<(RuleId, Option<(PathBuf, usize)>)> {
        let Some(root) = self.roots.get_mut(&id) else { return Vec::new() };
        root.unreadable = one;
        let rules = root.rules.clone();
        let owned = |(path, count): (&Path, usize)| (path.to_owned(), count);
        rules.into_iter().map(|rule| (rule, self.unreadable(rule).map(owned))).collect()
    }

    /// What of a rule's trees may not be read: one directory, and how many they are.
    pub fn unreadable(&self, rule: RuleId) -> Option<(&Path, usize)> {
        let roots = self.rule(rule).watch.paths.iter().filter_map(|path| self.root(*self.by_path.get(path)?));
        let parts = roots.filter_map(|root| root.unreadable.as_ref());
        parts
            .map(|(path, count)| (path.as_path(), *count))
            .reduce(|(path, count), (_, more)| (path, count + more))
    }

    /// What is to be told of a rule, if all its roots are known and it was not told yet.
    pub fn news(&mut self, rule: RuleId) -> Option<Told> {
        let told = self.standing(rule)?;
        let before = &mut self.told[rule.0 as usize];
        (before.as_ref() != Some(&told)).then(|| before.insert(told).clone())
    }

    fn standing(&self, rule: RuleId) -> Option<Told> {
        let paths = self.rule(rule).watch.paths.iter();
        let states: Option<Vec<&RootState>> =
            paths.map(|path| self.root(*self.by_path.get(path)?)?.state.as_ref()).collect();
        let states = states?;
        let asks_for_errors = self.rule(rule).watch.on.wanted().contains(EventMask::FS_ERROR);
        let degraded = states.iter().find_map(|state| match state {
            RootState::Degraded(trouble) => Some(Told::Degraded(trouble.clone())),
            RootState::Deaf(_, trouble) if asks_for_errors => Some(Told::Degraded(Trouble::clone(trouble))),
            RootState::Armed(_) | RootState::Deaf(..) => None,
        });
        Some(degraded.unwrap_or_else(|| {
            let ways = states.iter().flat_map(|state| state.ways());
            let words: BTreeSet<&str> = ways.map(|by| by.as_str()).collect();
            Told::Armed(words.into_iter().collect::<Vec<_>>().join(","))
        }))
    }

    /// A rule that stays as it was is not told of again.
    fn keep_told(&mut self, rules: &Arc<RuleSet>) {
        let told = std::mem::take(&mut self.told);
        let mut old: BTreeMap<Arc<str>, (Arc<Rule>, Option<Told>)> = self
            .rules
            .iter()
            .zip(told)
            .map(|((_, rule), told)| (Arc::clone(&rule.name), (Arc::clone(rule), told)))
            .collect();
        self.told = rules
            .iter()
            .map(|(_, rule)| {
                let (before, told) = old.remove(&rule.name)?;
                (before.watch == rule.watch).then_some(told)?
            })
            .collect();
    }

    fn orders(&self) -> Vec<RootOrder> {
        let order = |id: &RootId, root: &Root| {
            let rules = root.rules.iter().map(|id| Arc::clone(self.rule(*id))).collect();
            RootOrder { id: *id, written: root.written.clone(), demand: root.demand, rules }
        };
        self.roots.iter().map(|(id, root)| order(id, root)).collect()
    }
}
