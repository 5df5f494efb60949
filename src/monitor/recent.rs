//! What was told while walks were under way, so that what they find is not told a second time.
//!
//! A walk finds what changed before it came by, and events tell of the same changes. So what a rule was told after
//! a walk was asked for is not told to it again when that walk finds it. It says nothing about other rules, nor about
//! walks that were asked for later.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::atlas::NodeId;
use crate::event::EventMask;
use crate::matcher::RootId;
use crate::sys::handle::ObjectKey;

/// Tellings that are remembered; what comes beyond may be told twice.
const TELLINGS_MAX: usize = 16_384;

/// Entries, and what each rule was told of them since the oldest walk under way was asked for.
#[derive(Debug, Default)]
pub struct Recent {
    entries: HashMap<(NodeId, OsString), Entry>,
    /// How many tellings there are of all entries.
    tellings: usize,
    /// The number of the last order for a walk, and the last that is known to be carried out.
    asked: u64,
    done: u64,
}

/// An entry that somebody was told of.
#[derive(Debug)]
struct Entry {
    key: Option<ObjectKey>,
    tellings: Vec<Telling>,
}

/// What one rule was told of an entry.
#[derive(Debug)]
struct Telling {
    rule: Arc<str>,
    /// By which of its paths.
    root: RootId,
    mask: EventMask,
    /// The number of the last walk that had been asked for by then.
    asked: u64,
}

impl Recent {
    /// A walk is about to be asked for; gives its number.
    pub fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// All walks up to this number are over.
    pub fn finish(&mut self, number: u64) {
        self.done = self.done.max(number);
        let done = self.done;
        self.entries.retain(|_, entry| {
            entry.tellings.retain(|telling| telling.asked > done);
            !entry.tellings.is_empty()
        });
        self.tellings = self.entries.values().map(|entry| entry.tellings.len()).sum();
        if self.entries.is_empty() {
            self.entries.shrink_to(1024);
        }
    }

    /// Something moved: what was told of is elsewhere, and what is found there is to be told again.
    pub fn forget(&mut self) {
        self.entries.clear();
        self.tellings = 0;
    }

    /// Whether there is a walk under way that could find something again.
    pub fn is_of_use(&self) -> bool {
        self.asked != self.done && self.tellings < TELLINGS_MAX
    }

    /// Remembers that a rule was told something of an entry.
    pub fn note(
        &mut self,
        (node, name): (&NodeId, &OsStr),
        key: Option<&[u8]>,
        (rule, root): (&Arc<str>, RootId),
        mask: EventMask,
    ) {
        if !self.is_of_use() || mask.is_empty() {
            return;
        }
        let entry = self.entries.entry((node.clone(), name.to_owned()));
        let entry = entry.or_insert_with(|| Entry { key: None, tellings: Vec::new() });
        if entry.key.as_ref().map(ObjectKey::as_bytes) != key {
            entry.key = key.and_then(ObjectKey::from_bytes);
            self.tellings -= entry.tellings.len();
            entry.tellings.clear();
        }
        let asked = self.asked;
        match entry.tellings.iter_mut().find(|telling| telling.root == root && telling.rule == *rule) {
            Some(telling) if telling.asked == asked => telling.mask |= mask,
            // What it was told before another walk was asked for may have changed since.
            Some(telling) => (telling.mask, telling.asked) = (mask, asked),
            None => {
                entry.tellings.push(Telling { rule: Arc::clone(rule), root, mask, asked });
                self.tellings += 1;
            }
        }
    }

    /// What a rule was told of an entry since the walk of this number was asked for, if it is still that object.
    pub fn told(
        &self,
        (node, name): (&NodeId, &OsStr),
        key: Option<&ObjectKey>,
        (rule, root): (&Arc<str>, RootId),
        walk: u64,
    ) -> EventMask {
        if self.entries.is_empty() {
            return EventMask::EMPTY;
        }
        let entry = self.entries.get(&(node.clone(), name.to_owned()));
        let tellings =
            entry.filter(|entry| entry.key.as_ref() == key).map_or(&[][..], |entry| &entry.tellings);
        let is_it =
            |telling: &&Telling| telling.root == root && telling.rule == *rule && telling.asked >= walk;
        tellings.iter().find(is_it).map_or(EventMask::EMPTY, |telling| telling.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::traffic::MAIN;

    const ROOT: RootId = RootId(1);

    fn key(number: u8) -> ObjectKey {
        ObjectKey::new([0, 0], 1, &[number]).expect("a short handle")
    }

    fn node() -> NodeId {
        NodeId { token: MAIN, key: key(0), mount: 1 }
    }

    fn note(recent: &mut Recent, name: &str, rule: &str, mask: EventMask) {
        let spot = (&node(), OsStr::new(name));
        recent.note(spot, Some(key(1).as_bytes()), (&rule.into(), ROOT), mask);
    }

    fn told(recent: &Recent, rule: &str, walk: u64) -> EventMask {
        recent.told((&node(), OsStr::new("f")), Some(&key(1)), (&rule.into(), ROOT), walk)
    }

    #[test]
    fn what_one_rule_was_told_another_was_not() {
        let mut recent = Recent::default();
        let walk = recent.ask();
        note(&mut recent, "f", "a", EventMask::ARRIVED);
        assert_eq!(told(&recent, "a", walk), EventMask::ARRIVED);
        assert_eq!(told(&recent, "b", walk), EventMask::EMPTY);
    }

    #[test]
    fn what_was_told_before_a_walk_was_asked_for_is_told_again_when_it_finds_it() {
        let mut recent = Recent::default();
        let first = recent.ask();
        note(&mut recent, "f", "a", EventMask::ARRIVED);
        let second = recent.ask();
        assert_eq!(told(&recent, "a", first), EventMask::ARRIVED);
        assert_eq!(told(&recent, "a", second), EventMask::EMPTY);
        recent.finish(first);
        assert_eq!(told(&recent, "a", first), EventMask::EMPTY, "nothing asks for it any more");
        note(&mut recent, "f", "a", EventMask::CREATE);
        assert_eq!(told(&recent, "a", second), EventMask::CREATE);
    }

    #[test]
    fn what_does_not_fit_any_more_is_told_again() {
        let mut recent = Recent::default();
        let walk = recent.ask();
        for number in 0..TELLINGS_MAX {
            note(&mut recent, &number.to_string(), "a", EventMask::ARRIVED);
        }
        note(&mut recent, "f", "a", EventMask::ARRIVED);
        assert_eq!(told(&recent, "a", walk), EventMask::EMPTY);
        recent.finish(walk);
        assert_eq!(recent.tellings, 0);
    }
}
