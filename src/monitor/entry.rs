//! What happens to an entry of a directory; when it has arrived; what a walk found.

use std::ffi::OsStr;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;

use super::arrivals::{Held, Waiting};
use super::atlas::Node;
use super::judge::bytes;
use super::notice::Notice;
use super::traffic::{Found, FoundEntry};
use super::verdict::Verdict;
use super::world::{Happening, Now, World, object_id};
use crate::event::{Cause, EventMask, Origin};
use crate::sys::decode::{RawEvent, RawHandle};
use crate::sys::place::Kind;
use crate::sys::writers::{self, Writers};

/// After these a file may be there that was not, or was not finished.
const COMING: EventMask = EventMask::CLOSE_WRITE.union(EventMask::MOVED_TO).union(EventMask::CREATE);
/// After these it is there, unless somebody still writes it.
const DONE: EventMask = EventMask::CLOSE_WRITE.union(EventMask::MOVED_TO);
/// What may have happened to a file that a walk finds.
const FOUND_FILE: EventMask =
    COMING.union(EventMask::ARRIVED).union(EventMask::MODIFY).union(EventMask::ATTRIB);
/// What may have happened to a directory that a walk finds.
const FOUND_DIRECTORY: EventMask =
    EventMask::CREATE.union(EventMask::ARRIVED).union(EventMask::MOVED_TO).union(EventMask::ATTRIB);

/// An entry of a known directory.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'e> {
    /// The directory.
    pub node: &'e Rc<Node>,
    /// What it means.
    pub verdict: &'e Verdict,
    /// The entry's name.
    pub name: &'e OsStr,
}

impl World {
    /// Something happened to an entry.
    pub fn entry_event(
        &mut self,
        spot: Spot<'_>,
        raw: &RawEvent<'_>,
        object: Option<RawHandle<'_>>,
        now: Now,
        notices: &mut Vec<Notice>,
    ) {
        let happening = self.happening(raw, object);
        let key = object.map(RawHandle::as_bytes);
        let comes = match happening.is_dir {
            true => happening.mask.contains(EventMask::MOVED_TO),
            false => happening.mask.intersects(COMING),
        };
        let arrival = if comes { EventMask::ARRIVED } else { EventMask::EMPTY };
        let subjects = self.entry_subjects(spot.verdict, spot.name);
        let mut hits = self.hits(&subjects, happening.mask | arrival, happening.is_dir);
        let mut told = happening.mask;
        if hits.iter().any(|hit| hit.mask.contains(EventMask::ARRIVED)) {
            if happening.is_dir || self.is_finished(spot, &happening, now) {
                told |= EventMask::ARRIVED;
            } else {
                hits.iter_mut().for_each(|hit| hit.mask = hit.mask.without(EventMask::ARRIVED));
            }
        }
        if comes {
            self.recent.note(spot.node, spot.name, key, told);
        }
        for hit in hits {
            self.deliver(hit, &happening, now, notices);
        }
    }

    /// Whether an entry is there and nobody writes it; if somebody does, or may be about to, it is waited for.
    fn is_finished(&mut self, spot: Spot<'_>, happening: &Happening, now: Now) -> bool {
        self.arrivals.forget(spot.node, spot.name);
        let is_done = happening.mask.intersects(DONE);
        if spot.node.is_foreign {
            // To look could block: what the kernel said has to do.
            return is_done;
        }
        let is_young = match look(&spot.verdict.path, spot.name) {
            Look::Gone => return false,
            Look::Finished => return true,
            Look::Unknown => return is_done,
            Look::Held => false,
            Look::Idle if is_done => return true,
            Look::Idle => true,
        };
        let held = Waiting {
            cause: happening.cause.clone(),
            origin: Origin::Event,
            object: happening.object.clone(),
            is_young,
        };
        !self.arrivals.wait(spot.node, spot.name, held, now.moment)
    }

    /// A file that is waited for is due to be looked at again.
    pub fn look_again(&mut self, held: Held, now: Now, notices: &mut Vec<Notice>) {
        let node = Rc::clone(&held.node);
        let Some(verdict) = self.verdict(&node) else { return };
        let spot = Spot { node: &node, verdict: &verdict, name: &held.name };
        match look(&verdict.path, &held.name) {
            Look::Gone => {}
            Look::Held => self.arrivals.wait_on(held, now.moment),
            Look::Finished | Look::Idle | Look::Unknown => {
                let happening = Happening {
                    mask: EventMask::ARRIVED,
                    is_dir: false,
                    cause: held.waiting.cause.clone(),
                    origin: held.waiting.origin,
                    object: held.waiting.object.clone(),
                };
                let subjects = self.entry_subjects(spot.verdict, spot.name);
                for hit in self.hits(&subjects, happening.mask, false) {
                    self.deliver(hit, &happening, now, notices);
                }
            }
        }
    }

    /// A walk found entries of a directory; what was told of already is not told again.
    pub fn found(&mut self, found: &Found, now: Now, notices: &mut Vec<Notice>) {
        let Some(node) = self.atlas.directory(found.token, bytes(&found.key)).map(Rc::clone) else { return };
        let Some(verdict) = self.verdict(&node) else { return };
        for entry in &found.entries {
            self.found_entry(
                Spot { node: &node, verdict: &verdict, name: &entry.name },
                found,
                entry,
                now,
                notices,
            );
        }
    }

    fn found_entry(
        &mut self,
        spot: Spot<'_>,
        found: &Found,
        entry: &FoundEntry,
        now: Now,
        notices: &mut Vec<Notice>,
    ) {
        let key = entry.key.as_ref();
        let told = self.recent.told(spot.node, spot.name, key);
        if told.contains(EventMask::ARRIVED) {
            return;
        }
        let candidates = if entry.is_dir { FOUND_DIRECTORY } else { FOUND_FILE }.without(told);
        let mut subjects = self.entry_subjects(spot.verdict, spot.name);
        subjects.retain(|subject| found.audience.includes_root(subject.root));
        let mut hits = self.hits(&subjects, candidates, entry.is_dir);
        hits.retain(|hit| found.audience.includes_rule(hit.rule));
        let mut is_held = entry.is_held && hits.iter().any(|hit| hit.mask.contains(EventMask::ARRIVED));
        if is_held {
            let waiting = Waiting {
                cause: Cause::default(),
                origin: found.origin,
                object: key.map(object_id),
                is_young: false,
            };
            is_held = self.arrivals.wait(spot.node, spot.name, waiting, now.moment);
        }
        let not_yet = if is_held { EventMask::ARRIVED } else { EventMask::EMPTY };
        let happening = Happening {
            mask: candidates,
            is_dir: entry.is_dir,
            cause: Cause::default(),
            origin: found.origin,
            object: key.map(object_id),
        };
        for mut hit in hits {
            hit.mask = least(hit.mask.without(not_yet), entry.is_dir);
            self.deliver(hit, &happening, now, notices);
        }
        self.recent.note(spot.node, spot.name, key.map(bytes), candidates.without(not_yet));
    }
}

/// Of all that may have happened to what a walk found, what says it in one word, where a rule asks for that word.
fn least(mask: EventMask, is_dir: bool) -> EventMask {
    let word = if is_dir { EventMask::CREATE } else { EventMask::ARRIVED };
    if mask.contains(word) { word } else { mask }
}

/// What a look at an entry shows.
enum Look {
    /// It is not there, or a directory is there instead.
    Gone,
    /// It is a link or a special file: nobody is ever writing it.
    Finished,
    /// It is a regular file that nobody writes.
    Idle,
    /// It is a regular file that somebody writes.
    Held,
    /// We may not look, or the file system does not say.
    Unknown,
}

fn look(directory: &Path, name: &OsStr) -> Look {
    match writers::look(&directory.join(name)) {
        Ok(glance) => match (glance.status.kind, glance.writers) {
            (Kind::Directory, _) => Look::Gone,
            (Kind::Link | Kind::Special, _) => Look::Finished,
            (Kind::File, Writers::None) => Look::Idle,
            (Kind::File, Writers::Some) => Look::Held,
            (Kind::File, Writers::Unknown) => Look::Unknown,
        },
        Err(Errno::ENOENT | Errno::ENOTDIR) => Look::Gone,
        Err(_) => Look::Unknown,
    }
}
