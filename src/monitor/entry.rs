//! What happens to an entry of a directory; when it has arrived; what a walk found.

use std::ffi::OsStr;
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;

use nix::errno::Errno;

use super::arrivals::{Held, Stage, Waiting};
use super::atlas::{Node, Whereabouts};
use super::inbox::Look;
use super::notice::Notice;
use super::traffic::{Audience, Change, Found, FoundEntry};
use super::verdict::Verdict;
use super::world::{Happening, Hit, Now, World, key_of, object_id};
use crate::event::{Cause, EventMask, Origin};
use crate::matcher::RootId;
use crate::rule::RuleId;
use crate::sys::decode::{RawEvent, RawHandle};
use crate::sys::fanotify::ON_DIRECTORY;
use crate::sys::handle::ObjectKey;
use crate::sys::place::{self, Kind};
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
        let mask = EventMask::from_kernel_bits(raw.mask);
        let is_dir = raw.mask & ON_DIRECTORY != 0;
        let key = object.map(RawHandle::as_bytes);
        let comes = if is_dir { mask.contains(EventMask::MOVED_TO) } else { mask.intersects(COMING) };
        let arrival = if comes { EventMask::ARRIVED } else { EventMask::EMPTY };
        let subjects = self.entry_subjects(spot.verdict, spot.name);
        let mut hits = self.hits(&subjects, mask | arrival, is_dir);
        if hits.is_empty() {
            return;
        }
        let happening = self.happening(raw, object);
        if hits.iter().any(|hit| hit.mask.contains(EventMask::ARRIVED))
            && !happening.is_dir
            && !self.is_finished(spot, &happening, now)
        {
            hits.iter_mut().for_each(|hit| hit.mask = hit.mask.without(EventMask::ARRIVED));
        }
        if comes {
            self.note_told(spot, key, &hits);
        }
        for hit in hits {
            self.deliver(hit, &happening, now, notices);
        }
    }

    /// Whether an entry is there and nobody writes it; if somebody does, or may be about to, it is waited for.
    fn is_finished(&mut self, spot: Spot<'_>, happening: &Happening, now: Now) -> bool {
        self.arrivals.forget(&spot.node.id, spot.name);
        let is_done = happening.mask.intersects(DONE);
        if spot.node.is_foreign {
            // To look could block: what the kernel said has to do, or what a surveyor sees.
            if !is_done {
                let look = Look {
                    directory: spot.node.id.clone(),
                    path: spot.verdict.path.clone(),
                    name: spot.name.to_owned(),
                };
                self.inbox.order(|orders| orders.look(look));
            }
            return is_done;
        }
        let stage = match sight(&spot.verdict.path, spot.name) {
            Sight::Gone => return false,
            Sight::Finished => return true,
            Sight::Held => Stage::Held,
            Sight::Idle | Sight::Unknown if is_done => return true,
            // Of a file of another user we are not told who writes it: its last close may tell, or nothing.
            Sight::Idle | Sight::Unknown => Stage::Young,
        };
        let held = Waiting {
            cause: happening.cause.clone(),
            origin: Origin::Event,
            object: happening.object.clone(),
            stage,
        };
        !self.arrivals.wait(&spot.node.id, spot.name, held, now.moment)
    }

    /// The rules that were to be told of files that are waited for, each with when the file changed last: nobody looks
    /// at them any more.
    pub fn let_go_of_held(&mut self) -> Vec<(RuleId, SystemTime)> {
        let mut owed = Vec::new();
        while let Some(held) = self.arrivals.next() {
            let Some(node) = self.node(&held.node) else { continue };
            let Some(verdict) = self.verdict(&node) else { continue };
            let subjects = self.entry_subjects(&verdict, &held.name);
            let hits = self.hits(&subjects, EventMask::ARRIVED, false);
            // One that is gone is nothing to be told of.
            let Ok(status) = place::status_at(place::ANYWHERE, &verdict.path.join(&held.name)) else {
                continue;
            };
            owed.extend(hits.iter().map(|hit| (hit.rule, status.changed)));
        }
        owed
    }

    /// A file that is waited for is due to be looked at again.
    pub fn look_again(&mut self, held: Held, now: Now, notices: &mut Vec<Notice>) {
        let Some(node) = self.node(&held.node) else { return };
        let Some(verdict) = self.verdict(&node) else { return };
        let spot = Spot { node: &node, verdict: &verdict, name: &held.name };
        match sight(&verdict.path, &held.name) {
            Sight::Gone => {}
            Sight::Held => self.arrivals.wait_on(held, now.moment),
            Sight::Idle if held.waiting.stage != Stage::Idle => self.arrivals.read_first(held, now.moment),
            Sight::Finished | Sight::Idle | Sight::Unknown => self.tell_arrived(spot, &held, now, notices),
        }
    }

    /// A file that was waited for is finished.
    fn tell_arrived(&mut self, spot: Spot<'_>, held: &Held, now: Now, notices: &mut Vec<Notice>) {
        let happening = Happening {
            mask: EventMask::ARRIVED,
            is_dir: false,
            cause: held.waiting.cause.clone(),
            origin: held.waiting.origin,
            object: held.waiting.object.clone(),
        };
        let subjects = self.entry_subjects(spot.verdict, spot.name);
        let hits = self.hits(&subjects, happening.mask, false);
        let key = happening.object.as_ref().and_then(key_of);
        self.note_told(spot, key.as_ref().map(ObjectKey::as_bytes), &hits);
        for hit in hits {
            self.deliver(hit, &happening, now, notices);
        }
    }

    /// A walk found entries of a directory; what was told of already is not told again.
    pub fn found(&mut self, found: &Found, now: Now, notices: &mut Vec<Notice>) {
        let id = &found.directory;
        let node = self
            .node(id)
            .unwrap_or_else(|| Rc::new(Node::new(id.clone(), Whereabouts::At(found.path.clone()), false)));
        let Some(verdict) = self.verdict(&node) else { return };
        for entry in &found.entries {
            let spot = Spot { node: &node, verdict: &verdict, name: &entry.name };
            self.found_entry(spot, found, entry, now, notices);
        }
    }

    fn includes(&self, audience: &Audience, rule: RuleId) -> bool {
        match audience {
            Audience::Rule(name) => self.roster.rule(rule).name == *name,
            Audience::Everybody | Audience::Root(_) => true,
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
        let (candidates, is_dir) = match entry.change {
            Change::Arrived | Change::Held => (FOUND_FILE, false),
            Change::Directory => (FOUND_DIRECTORY, true),
        };
        let mut subjects = self.entry_subjects(spot.verdict, spot.name);
        subjects.retain(|subject| found.audience.includes(subject.root));
        let mut hits = self.hits(&subjects, candidates, is_dir);
        hits.retain(|hit| self.includes(&found.audience, hit.rule));
        hits.retain_mut(|hit| {
            let told = self.told(spot, key, hit, found.walk);
            hit.mask = hit.mask.without(told);
            !told.contains(EventMask::ARRIVED) && !hit.mask.is_empty()
        });
        if hits.is_empty() {
            return;
        }
        let mut is_held =
            entry.change == Change::Held && hits.iter().any(|hit| hit.mask.contains(EventMask::ARRIVED));
        if is_held {
            let waiting = Waiting {
                cause: Cause::default(),
                origin: found.origin,
                object: key.map(object_id),
                stage: Stage::Held,
            };
            is_held = self.arrivals.wait(&spot.node.id, spot.name, waiting, now.moment);
        }
        let not_yet = if is_held { EventMask::ARRIVED } else { EventMask::EMPTY };
        let happening = Happening {
            mask: candidates,
            is_dir,
            cause: Cause::default(),
            origin: found.origin,
            object: key.map(object_id),
        };
        hits.iter_mut().for_each(|hit| hit.mask = hit.mask.without(not_yet));
        self.note_told(spot, key.map(ObjectKey::as_bytes), &hits);
        for mut hit in hits {
            hit.mask = least(hit.mask, is_dir);
            self.deliver(hit, &happening, now, notices);
        }
    }

    /// What a rule was told of an entry since a walk was asked for.
    fn told(&self, spot: Spot<'_>, key: Option<&ObjectKey>, hit: &Hit, walk: u64) -> EventMask {
        let rule = &self.roster.rule(hit.rule).name;
        self.recent.told((&spot.node.id, spot.name), key, (rule, hit.root), walk)
    }

    /// Remembers what rules were told of an entry, as long as a walk could find it again.
    fn note_told(&mut self, spot: Spot<'_>, key: Option<&[u8]>, hits: &[Hit]) {
        if !self.recent.is_of_use() {
            return;
        }
        for hit in hits {
            let rule = &self.roster.rule(hit.rule).name;
            self.recent.note((&spot.node.id, spot.name), key, (rule, hit.root), hit.mask);
        }
    }
}

impl Audience {
    fn includes(&self, id: RootId) -> bool {
        match self {
            Audience::Root(root) => *root == id,
            Audience::Everybody | Audience::Rule(_) => true,
        }
    }
}

/// Of all that may have happened to what a walk found, what says it in one word, where a rule asks for that word.
fn least(mask: EventMask, is_dir: bool) -> EventMask {
    let word = if is_dir { EventMask::CREATE } else { EventMask::ARRIVED };
    if mask.contains(word) { word } else { mask }
}

/// What a look at an entry shows.
enum Sight {
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

fn sight(directory: &Path, name: &OsStr) -> Sight {
    match writers::look(&directory.join(name)) {
        Ok(glance) => match (glance.status.kind, glance.writers) {
            (Kind::Directory, _) => Sight::Gone,
            (Kind::Link | Kind::Special, _) => Sight::Finished,
            (Kind::File, Writers::None) => Sight::Idle,
            (Kind::File, Writers::Some) => Sight::Held,
            (Kind::File, Writers::Unknown) => Sight::Unknown,
        },
        Err(Errno::ENOENT | Errno::ENOTDIR) => Sight::Gone,
        // Nobody can tell now: it is looked at again.
        Err(errno) if place::may_pass(errno) => Sight::Held,
        Err(_) => Sight::Unknown,
    }
}
