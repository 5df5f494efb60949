//! What an earlier life of the daemon left behind, in the words of the engine and the monitor.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::stamp::Stamp;
use super::state::{Entry, RuleState, State};
use crate::event::{Cause, Event};
use crate::rule::{Rule, RuleSet, Scope};

/// Everything that was left, by the name of its rule.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Rules with something to go on with; each is of the present rules.
    pub rules: BTreeMap<Box<str>, RestoredRule>,
    /// Paths that waited and that nobody asks for any more, by the name of the rule that did: its rule is gone,
    /// or watches something else. To be reported as dropped, `removed`.
    pub removed: BTreeMap<Box<str>, Vec<PathBuf>>,
    now: Stamp,
}

/// What was left of one rule.
#[derive(Clone, Debug, Default)]
pub struct RestoredRule {
    /// What waited, in the order of the events' times. The causes are not kept: the processes are gone.
    pub events: Vec<Event>,
    /// What changed from this time on is to be found by a walk.
    pub owes_rescan: Option<SystemTime>,
    /// Whether a person had paused it.
    pub is_paused: bool,
    watched: BTreeMap<PathBuf, (Scope, Stamp)>,
}

impl Restored {
    /// What is left of a state at the beginning of a life ([`State::begin_life`]), for these rules.
    pub(super) fn new(state: &State, rules: &RuleSet, now: Stamp) -> Restored {
        let known: BTreeMap<&str, &Rule> = rules.rules.iter().map(|rule| (&*rule.name, &**rule)).collect();
        let mut restored = Restored { rules: BTreeMap::new(), removed: BTreeMap::new(), now };
        for (name, state) in &state.rules {
            let mut left = RestoredRule::new(state, now);
            let rule = known.get(&**name);
            let is_foreign = |event: &mut Event| {
                !rule.is_some_and(|rule| rule.watch.paths.iter().any(|path| event.path.starts_with(path)))
            };
            let foreign: Vec<PathBuf> =
                left.events.extract_if(.., is_foreign).map(|event| event.path.to_path_buf()).collect();
            if !foreign.is_empty() || rule.is_none() {
                restored.removed.insert(name.clone(), foreign);
            }
            if rule.is_some() {
                restored.rules.insert(name.clone(), left);
            }
        }
        restored
    }

    /// From which change time on this path of the rule was not watched: what `catch-up` asks for. None if it
    /// never was, or not with this scope: a new rule, or a new path of a rule, has no history. Rather too early
    /// than too late, also after the clock was set or a backup was restored ([`Stamp::changed_since`]).
    pub fn catch_up_since(&self, rule: &Rule, path: &Path) -> Option<SystemTime> {
        self.watched_until(rule, path).map(|until| until.changed_since(self.now))
    }

    /// Until when this path of the rule was watched with this scope.
    pub fn watched_until(&self, rule: &Rule, path: &Path) -> Option<Stamp> {
        let (scope, until) = self.rules.get(&*rule.name)?.watched.get(path)?;
        (*scope == rule.watch.scope).then_some(*until)
    }
}

impl RestoredRule {
    fn new(state: &RuleState, now: Stamp) -> RestoredRule {
        let mut events: Vec<Event> = state.waiting.iter().map(|(path, entry)| event(path, entry)).collect();
        events.sort_by_key(|event| event.time);
        let watched = state.watches().filter_map(|(path, watched)| {
            Some((PathBuf::from(OsStr::from_bytes(path)), (watched.scope, watched.until?)))
        });
        RestoredRule {
            events,
            owes_rescan: state.owes_rescan.map(|since| since.changed_since(now)),
            is_paused: state.is_paused,
            watched: watched.collect(),
        }
    }
}

fn event(path: &[u8], entry: &Entry) -> Event {
    Event {
        mask: entry.mask,
        path: Path::new(OsStr::from_bytes(path)).into(),
        old_path: entry.old_path.as_deref().map(|path| OsStr::from_bytes(path).into()),
        is_dir: entry.is_dir,
        cause: Cause::default(),
        time: entry.time,
        origin: entry.origin,
        object: entry.object.as_deref().cloned(),
    }
}
