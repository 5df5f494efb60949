//! What the journal's records amount to: which paths wait for an answer, who owes a rescan, what was watched until
//! when. Pure; bounded whatever the records say.
//!
//! A path waits until something says that it does not: a run in flight, a retry to come and a debounce are all
//! the same here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::record::{Object, Record, Waiting};
use super::stamp::Stamp;
use crate::event::{EventMask, ObjectId, Origin};
use crate::rule::Scope;

/// Paths that may wait over all rules; beyond it a rule's state is incomplete, and a walk makes good for it.
pub const WAITING_MAX: usize = 65_536;

/// Bytes that these paths may take.
pub const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the records so far amount to.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Boxed: a map's nodes are half empty.
    pub(super) rules: BTreeMap<Box<str>, Box<RuleState>>,
    pub(super) read_until: Option<Stamp>,
    waiting_count: usize,
    waiting_bytes: usize,
    is_incomplete: bool,
}

/// What is known of one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleState {
    pub waiting: BTreeMap<Box<[u8]>, Entry>,
    pub owes_rescan: Option<Stamp>,
    /// More waits than could be held; what came from then on is not known.
    pub incomplete: Option<Stamp>,
    pub is_paused: bool,
    /// Its paths, in order; a map would take many times the room, for most rules have one.
    watches: Vec<(Box<[u8]>, Watched)>,
}

/// [`Waiting`] without its path, owned.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub mask: EventMask,
    pub is_dir: bool,
    pub origin: Origin,
    pub time: SystemTime,
    pub old_path: Option<Box<[u8]>>,
    pub object: Option<Box<ObjectId>>,
}

/// A path of a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub scope: Scope,
    /// None: it is watched.
    pub until: Option<Stamp>,
}

impl State {
    /// Takes in a record.
    pub fn apply(&mut self, record: &Record<'_>) {
        match record {
            Record::Generation(_) | Record::Complete => {}
            Record::Waits { rule, waiting } => self.wait(rule, waiting),
            Record::Answered { rule, paths } => paths.iter().for_each(|path| self.answer(rule, path)),
            Record::Reset => {
                (self.waiting_count, self.waiting_bytes, self.is_incomplete) = (0, 0, false);
                for state in self.rules.values_mut() {
                    **state =
                        RuleState { watches: std::mem::take(&mut state.watches), ..RuleState::default() };
                }
            }
            Record::Forgotten { rule } => {
                let gone = self.rules.remove(*rule).unwrap_or_default();
                self.waiting_count -= gone.waiting.len();
                self.waiting_bytes -=
                    gone.waiting.iter().map(|(path, entry)| entry.cost(path)).sum::<usize>();
            }
            Record::OwesRescan { rule, since } => {
                let state = self.rule(rule);
                state.owes_rescan = since.map(|since| since.or_earlier(state.owes_rescan));
            }
            Record::Incomplete { rule, since } => self.miss(rule, *since),
            Record::Paused { rule, is_paused } => self.rule(rule).is_paused = *is_paused,
            Record::Armed { rule, path, scope } => self.watch(rule, path, *scope, None),
            Record::Disarmed { rule, path } => {
                let read_until = self.read_until;
                let state = self.rule(rule);
                if let Ok(index) = state.find(path) {
                    let (_, watched) = &mut state.watches[index];
                    watched.until = watched.until.or(read_until);
                }
            }
            Record::WatchedUntil { rule, path, scope, until } => {
                self.watch(rule, path, *scope, Some(*until));
            }
            Record::ReadUntil(stamp) => self.read_until = Some(*stamp),
        }
    }

    /// Gives the records that make an empty state into this one.
    pub fn snapshot(&self, mut give: impl FnMut(&Record<'_>)) {
        if let Some(stamp) = self.read_until {
            give(&Record::ReadUntil(stamp));
        }
        for (rule, state) in &self.rules {
            state.snapshot(rule, &mut give);
        }
    }

    /// A life of the daemon has ended, and another begins: nothing is watched, and what could not be held is to
    /// be found by a walk.
    pub fn begin_life(&mut self) {
        self.is_incomplete = false;
        let read_until = self.read_until;
        for state in self.rules.values_mut() {
            if let Some(since) = state.incomplete.take() {
                state.owes_rescan = Some(since.or_earlier(state.owes_rescan));
            }
            for (_, watched) in &mut state.watches {
                watched.until = watched.until.or(read_until);
            }
            state.watches.retain(|(_, watched)| watched.until.is_some());
        }
    }

    /// Forgets the watches of all other paths: nobody asks for their history any more.
    pub fn keep_watches(&mut self, is_known: impl Fn(&str, &Path) -> bool) {
        for (rule, state) in &mut self.rules {
            state.watches.retain(|(path, _)| is_known(rule, Path::new(OsStr::from_bytes(path))));
        }
    }

    /// Records are missing at the end: whatever was watched then may owe an answer to what came since.
    pub fn distrust(&mut self) {
        let Some(read_until) = self.read_until else { return };
        for rule in self.rules.keys().cloned().collect::<Vec<_>>() {
            self.miss(&rule, read_until);
        }
    }

    /// Whether more waits than could be held.
    pub fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Paths that wait, over all rules.
    pub fn waiting_count(&self) -> usize {
        self.waiting_count
    }

    fn wait(&mut self, rule: &str, waiting: &Waiting<'_>) {
        self.answer(rule, waiting.path);
        let entry = Entry::new(waiting);
        let cost = entry.cost(waiting.path);
        let is_full = self.waiting_count >= WAITING_MAX || self.waiting_bytes + cost > WAITING_BYTES_MAX;
        if is_full {
            let unread = Stamp { wall: waiting.time, since_boot: Duration::ZERO, boot_id: 0 };
            self.miss(rule, self.read_until.unwrap_or(unread));
            return;
        }
        self.rule(rule).waiting.insert(waiting.path.into(), entry);
        self.waiting_count += 1;
        self.waiting_bytes += cost;
    }

    fn miss(&mut self, rule: &str, since: Stamp) {
        self.is_incomplete = true;
        let state = self.rule(rule);
        state.incomplete = Some(since.or_earlier(state.incomplete));
    }

    fn answer(&mut self, rule: &str, path: &[u8]) {
        let Some(state) = self.rules.get_mut(rule) else { return };
        if let Some(entry) = state.waiting.remove(path) {
            self.waiting_count -= 1;
            self.waiting_bytes -= entry.cost(path);
        }
    }

    fn watch(&mut self, rule: &str, path: &[u8], scope: Scope, until: Option<Stamp>) {
        let state = self.rule(rule);
        let watched = Watched { scope, until };
        match state.find(path) {
            Ok(index) => state.watches[index].1 = watched,
            Err(index) => {
                state.watches.reserve_exact(1);
                state.watches.insert(index, (path.into(), watched));
            }
        }
    }

    fn rule(&mut self, rule: &str) -> &mut RuleState {
        if !self.rules.contains_key(rule) {
            self.rules.insert(rule.into(), Box::default());
        }
        self.rules.get_mut(rule).expect("it was put in where it was missing")
    }
}

impl RuleState {
    /// Its paths, in order, with how long each was watched.
    pub fn watches(&self) -> impl Iterator<Item = (&[u8], Watched)> {
        self.watches.iter().map(|(path, watched)| (&**path, *watched))
    }

    /// Where a path is among its paths, or belongs.
    fn find(&self, path: &[u8]) -> Result<usize, usize> {
        self.watches.binary_search_by(|(other, _)| (**other).cmp(path))
    }

    fn snapshot(&self, rule: &str, give: &mut impl FnMut(&Record<'_>)) {
        if self.is_paused {
            give(&Record::Paused { rule, is_paused: true });
        }
        if let Some(since) = self.owes_rescan {
            give(&Record::OwesRescan { rule, since: Some(since) });
        }
        if let Some(since) = self.incomplete {
            give(&Record::Incomplete { rule, since });
        }
        for (path, watched) in self.watches() {
            let scope = watched.scope;
            give(&match watched.until {
                None => Record::Armed { rule, path, scope },
                Some(until) => Record::WatchedUntil { rule, path, scope, until },
            });
        }
        for (path, entry) in &self.waiting {
            give(&Record::Waits { rule, waiting: entry.waiting(path) });
        }
    }
}

impl Entry {
    fn new(waiting: &Waiting<'_>) -> Entry {
        let owned = |object: &Object<'_>| ObjectId {
            fsid: object.fsid,
            kind: object.kind,
            handle: object.handle.into(),
        };
        Entry {
            mask: waiting.mask,
            is_dir: waiting.is_dir,
            origin: waiting.origin,
            time: waiting.time,
            old_path: waiting.old_path.map(Into::into),
            object: waiting.object.as_ref().map(owned).map(Box::new),
        }
    }

    /// Bytes that vary.
    fn cost(&self, path: &[u8]) -> usize {
        path.len() + self.old_path.as_ref().map_or(0, |old_path| old_path.len())
    }

    fn waiting<'a>(&'a self, path: &'a [u8]) -> Waiting<'a> {
        let borrowed =
            |object: &'a ObjectId| Object { fsid: object.fsid, kind: object.kind, handle: &object.handle };
        Waiting {
            mask: self.mask,
            is_dir: self.is_dir,
            origin: self.origin,
            time: self.time,
            path,
            old_path: self.old_path.as_deref(),
            object: self.object.as_deref().map(borrowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "rule";

    fn at(seconds: u64) -> Stamp {
        let since_boot = Duration::from_secs(seconds);
        Stamp { wall: SystemTime::UNIX_EPOCH + since_boot, since_boot, boot_id: 1 }
    }

    fn waits(path: &str) -> Record<'_> {
        waits_with(path, EventMask::ARRIVED)
    }

    fn waits_with(path: &str, mask: EventMask) -> Record<'_> {
        let waiting = Waiting {
            mask,
            is_dir: false,
            origin: Origin::Event,
            time: at(1).wall,
            path: path.as_bytes(),
            old_path: None,
            object: None,
        };
        Record::Waits { rule: RULE, waiting }
    }

    fn answered<'a>(paths: &[&'a str]) -> Record<'a> {
        Record::Answered { rule: RULE, paths: paths.iter().map(|path| path.as_bytes()).collect() }
    }

    fn state(records: &[Record<'_>]) -> State {
        let mut state = State::default();
        records.iter().for_each(|record| state.apply(record));
        state
    }

    fn snapshot(state: &State) -> Vec<u8> {
        let mut bytes = Vec::new();
        state.snapshot(|record| record.write(&mut bytes));
        bytes
    }

    /// What waits: `PATH mask`, a line each; and the state must survive its own snapshot.
    fn waiting(state: &State) -> String {
        let mut again = State::default();
        state.snapshot(|record| again.apply(record));
        assert_eq!(snapshot(&again), snapshot(state), "a snapshot says all there is");

        let waiting = state.rules.values().flat_map(|state| &state.waiting);
        waiting.map(|(path, entry)| format!("{} {}\n", String::from_utf8_lossy(path), entry.mask)).collect()
    }

    #[test]
    fn a_path_waits_until_it_is_answered() {
        let state = state(&[waits("/a"), waits("/b"), waits("/c"), waits("/a"), answered(&["/b", "/c"])]);
        assert_eq!(waiting(&state), "/a arrived\n");
        assert_eq!((state.waiting_count, state.waiting_bytes), (1, 2));
    }

    #[test]
    fn the_last_word_on_a_path_holds() {
        let both = EventMask::ARRIVED | EventMask::DELETE;
        let records = [waits("/a"), waits_with("/a", both), waits_with("/a", EventMask::DELETE)];
        assert_eq!(waiting(&state(&records[..2])), "/a arrived,delete\n");
        assert_eq!(waiting(&state(&records)), "/a delete\n");
    }

    #[test]
    fn a_reset_leaves_only_what_was_watched() {
        let state = state(&[
            Record::ReadUntil(at(5)),
            Record::Armed { rule: RULE, path: b"/", scope: Scope::Tree },
            Record::Paused { rule: RULE, is_paused: true },
            Record::OwesRescan { rule: RULE, since: Some(at(4)) },
            waits("/a"),
            Record::Incomplete { rule: RULE, since: at(3) },
            Record::Reset,
            waits("/b"),
        ]);
        assert_eq!(waiting(&state), "/b arrived\n");
        assert_eq!(state.waiting_count, 1);
        let rule = &state.rules[RULE];
        assert_eq!((rule.is_paused, rule.owes_rescan, rule.incomplete), (false, None, None));
        assert_eq!(rule.watches.len(), 1);
    }

    #[test]
    fn a_forgotten_rule_leaves_nothing() {
        let state = state(&[waits("/a"), waits("/b"), Record::Forgotten { rule: RULE }]);
        assert!(state.rules.is_empty());
        assert_eq!((state.waiting_count, state.waiting_bytes), (0, 0));
    }

    #[test]
    fn beyond_the_limit_a_rescan_is_owed_and_what_waits_already_is_still_kept_up() {
        let mut state = state(&[Record::ReadUntil(at(7))]);
        for number in 0..=WAITING_MAX {
            state.apply(&waits(&format!("/{number}")));
        }
        assert_eq!(state.waiting_count(), WAITING_MAX);
        assert_eq!(state.rules[RULE].incomplete, Some(at(7)));
        state.apply(&waits_with("/17", EventMask::DELETE));
        assert_eq!(state.rules[RULE].waiting[&b"/17"[..]].mask, EventMask::DELETE);
    }

    #[test]
    fn long_paths_are_bounded_by_their_bytes() {
        let mut state = State::default();
        for number in 0..10_000 {
            state.apply(&waits(&format!("/{number}{}", "x".repeat(4_000))));
        }
        assert!(state.waiting_bytes <= WAITING_BYTES_MAX);
        assert!(state.is_incomplete());
    }

    #[test]
    fn a_rescan_that_is_owed_twice_goes_back_to_the_earlier_moment() {
        let owes = |since| Record::OwesRescan { rule: RULE, since };
        let twice = state(&[owes(Some(at(9))), owes(Some(at(4))), owes(Some(at(6)))]);
        assert_eq!(twice.rules[RULE].owes_rescan, Some(at(4)));
        let done = state(&[owes(Some(at(9))), owes(None)]);
        assert_eq!(done.rules[RULE].owes_rescan, None);
    }

    #[test]
    fn the_next_life_owes_what_this_one_could_not_hold() {
        let mut state = state(&[
            Record::ReadUntil(at(5)),
            Record::Armed { rule: RULE, path: b"/x", scope: Scope::Tree },
            Record::Armed { rule: RULE, path: b"/y", scope: Scope::Itself },
            Record::Disarmed { rule: RULE, path: b"/y" },
            Record::Incomplete { rule: RULE, since: at(3) },
            Record::ReadUntil(at(8)),
        ]);
        state.begin_life();
        let rule = &state.rules[RULE];
        assert_eq!((rule.owes_rescan, rule.incomplete), (Some(at(3)), None));
        let until = |path: &[u8]| rule.watches[rule.find(path).expect("it was watched")].1.until;
        assert_eq!((until(b"/x"), until(b"/y")), (Some(at(8)), Some(at(5))));
    }
}
