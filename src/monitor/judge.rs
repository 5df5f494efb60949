//! From one record of the kernel to the rules that it concerns.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::rc::Rc;

use super::atlas::{NodeId, Whereabouts};
use super::entry::Spot;
use super::inbox::{Entered, Left};
use super::notice::Notice;
use super::traffic::{By, Token};
use super::verdict::{Home, Verdict};
use super::world::{Happening, Hit, Now, Subject, World, join};
use crate::escape;
use crate::event::EventMask;
use crate::matcher::RootId;
use crate::plan;
use crate::sys::decode::{Malformed, Parts, RawEntry, RawError, RawEvent, RawHandle};
use crate::sys::fanotify::ON_DIRECTORY;
use crate::sys::handle::fsid_of;

/// The name that stands for the directory itself.
const ITSELF: &str = ".";

/// Bits of events on the way: an entry or a directory there is not what it was.
const ON_THE_WAY: u64 = (plan::WAY | plan::PASSAGE) & !ON_DIRECTORY;
/// Bits of a directory that itself goes.
const SELF: u64 = libc::FAN_DELETE_SELF | libc::FAN_MOVE_SELF;

impl World {
    /// Takes in one event.
    ///
    /// # Errors
    /// Its records break the rules.
    pub fn judge(
        &mut self,
        token: Token,
        raw: &RawEvent<'_>,
        now: Now,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Malformed> {
        let is_own = [self.own_pid, self.past].contains(&Some(raw.pid));
        if is_own && raw.mask & ON_THE_WAY == 0 {
            return Ok(());
        }
        let parts = raw.parts()?;
        let happening = |world: &mut World| world.happening(raw, parts.object);
        if parts.old.is_some() || parts.new.is_some() {
            if !is_own {
                let happening = happening(self);
                self.renamed(token, &parts, &happening, now, notices);
            }
            return Ok(());
        }
        if raw.mask & libc::FAN_FS_ERROR != 0 {
            self.error_event(token, raw, &parts, now, notices);
            return Ok(());
        }
        let Some(entry) = parts.entry else {
            if let Some(object) = parts.object
                && !is_own
            {
                self.object_event(token, object, &happening, now, notices);
            }
            return Ok(());
        };
        let seen = Seen { raw, object: parts.object, is_own };
        for node in self.nodes(token, entry.directory.as_bytes()) {
            let is_itself = entry.name == ITSELF;
            let is_parting = is_itself && raw.mask & SELF != 0;
            let parting = || if is_parting { node.take_parting() } else { None };
            if let Some(verdict) = self.verdict(&node).or_else(parting) {
                let spot = Spot { node: &node, verdict: &verdict, name: entry.name };
                match is_itself {
                    true => self.itself(spot, seen, now, notices),
                    false => self.entry(spot, seen, now, notices),
                }
            }
        }
        Ok(())
    }

    /// Something happened to a directory that is known.
    fn itself(&mut self, spot: Spot<'_>, seen: Seen<'_, '_>, now: Now, notices: &mut Vec<Notice>) {
        self.passage(spot.verdict, seen.raw.mask);
        if seen.is_own {
            return;
        }
        let subjects = self.directory_subjects(spot.verdict);
        let hits = self.hits(&subjects, EventMask::from_kernel_bits(seen.raw.mask), true);
        if !hits.is_empty() {
            let happening = self.happening(seen.raw, seen.object);
            hits.into_iter().for_each(|hit| self.deliver(hit, &happening, now, notices));
        }
    }

    /// Something happened to an entry of a directory that is known.
    fn entry(&mut self, spot: Spot<'_>, seen: Seen<'_, '_>, now: Now, notices: &mut Vec<Notice>) {
        let is_dir = seen.raw.mask & ON_DIRECTORY != 0;
        self.way(spot.verdict, spot.name, seen.raw.mask, is_dir);
        if is_dir && seen.raw.mask & plan::STRUCTURE & !ON_DIRECTORY != 0 {
            self.structure(spot, seen);
        }
        if !seen.is_own {
            self.entry_event(spot, seen.raw, seen.object, now, notices);
        }
    }

    /// A directory went away that is on the way to roots.
    fn passage(&mut self, verdict: &Verdict, mask: u64) {
        if mask & SELF != 0
            && let Some(site) = &verdict.site
            && site.has_passage()
        {
            // It may have come back by then, and what was looked up meanwhile may lie there again.
            self.territories.forget();
            let number = self.recent.ask();
            self.inbox.order(|orders| {
                orders.walks = number;
                orders.passed.extend(site.passage());
                orders.survey.extend(site.passage());
            });
        }
    }

    /// An entry came or went that is on the way to roots.
    fn way(&mut self, verdict: &Verdict, name: &OsStr, mask: u64, is_dir: bool) {
        if mask & plan::WAY & !ON_DIRECTORY == 0 {
            return;
        }
        let mut roots: Vec<RootId> = Vec::new();
        if let Some(site) = &verdict.site {
            let comes = mask & (libc::FAN_CREATE | libc::FAN_MOVED_TO) != 0;
            roots.extend(site.way(name).chain(site.own(name).filter(|_| is_dir || comes)));
        }
        // A directory that is passed is out of sight by the time it tells of its going itself.
        let mut passed: Vec<RootId> = Vec::new();
        if is_dir && let Some(site) = self.index.site(&verdict.path.join(name)) {
            passed.extend(site.passage());
            roots.extend(&passed);
        }
        if !roots.is_empty() {
            // What is found at their ends may be told of by events as well.
            let number = self.recent.ask();
            self.inbox.order(|orders| {
                orders.walks = number;
                orders.passed.extend(passed);
                orders.survey.extend(roots);
            });
        }
    }

    /// A directory came into a tree, or went.
    fn structure(&mut self, spot: Spot<'_>, seen: Seen<'_, '_>) {
        let mask = seen.raw.mask;
        let is_made = mask & libc::FAN_MOVED_TO == 0;
        let is_gone = mask & (libc::FAN_CREATE | libc::FAN_MOVED_TO) == 0;
        let roots: Vec<RootId> =
            spot.verdict.homes.iter().filter_map(|home| self.concerned(home, is_made)).collect();
        let is_moved = mask & (libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO) != 0;
        if is_moved && !spot.verdict.homes.is_empty() {
            // Directories that are found by their handles may be below it, or may have been.
            self.territories.forget();
            self.recent.forget();
        }
        if let Some(object) = seen.object
            && self.past.is_none()
        {
            let NodeId { token, mount, .. } = spot.node.id;
            let id = NodeId { token, mount, key: object.into() };
            if mask & libc::FAN_DELETE != 0 {
                self.atlas.remove(token, object.as_bytes());
            } else if mask & libc::FAN_MOVED_FROM != 0 {
                // If it came there as well, only a walk can tell which was first.
                self.gone(spot, id);
            } else if !roots.is_empty() {
                self.come(spot, id);
            }
        }
        if !is_gone && !roots.is_empty() {
            let number = self.recent.ask();
            let entered = Entered {
                parent: spot.node.id.clone(),
                parent_path: spot.verdict.path.clone(),
                name: spot.name.to_owned(),
                is_made,
                roots,
            };
            self.inbox.order(|orders| orders.enter(number, entered));
        }
    }

    /// A directory came to a place in a tree.
    fn come(&mut self, spot: Spot<'_>, id: NodeId) {
        let parent = self.atlas.node(&spot.node.id).filter(|parent| parent.path() == spot.node.path());
        match parent.map(Rc::clone) {
            Some(parent) => {
                let is_foreign = parent.is_foreign;
                self.inbox.order(|orders| orders.came(&id));
                self.atlas.place(id, Whereabouts::Below(parent, spot.name.to_owned()), is_foreign);
            }
            // It is found by its handle, as what it came to.
            None => self.atlas.remove(id.token, id.key.as_bytes()),
        }
    }

    /// A directory left a place. A surveyor looks where it is now: it takes the marks away that nobody wants there, and
    /// sees if it came back to a tree unseen.
    fn gone(&mut self, spot: Spot<'_>, id: NodeId) {
        let place = Whereabouts::Below(Rc::clone(spot.node), spot.name.to_owned());
        let meant = self.atlas.node(&id).and_then(|node| self.verdict(node));
        if self.atlas.leave(&id, &place, meant) {
            let left = Left { id, door: spot.verdict.path.clone() };
            self.inbox.order(|orders| orders.left.push_back(left));
        }
    }

    /// The root of a home, if a directory that comes there concerns its tree.
    fn concerned(&self, home: &Home, is_made: bool) -> Option<RootId> {
        let root = self.roster.root(home.root)?;
        let knows = root.demand.knows_subdirectories && home.below.is_empty();
        // A mark on the file system sees all that happens in a directory from its first moment.
        let is_seen = is_made && root.state.as_ref().is_some_and(|state| state.ways() == [By::Filesystem]);
        (knows || root.demand.tree_choice.is_some() && !is_seen).then_some(home.root)
    }

    /// Something happened to a file that a root is, which only the file itself is told of.
    fn object_event(
        &mut self,
        token: Token,
        object: RawHandle<'_>,
        happening: &dyn Fn(&mut World) -> Happening,
        now: Now,
        notices: &mut Vec<Notice>,
    ) {
        let roots = self.atlas.object(token, object.as_bytes()).to_vec();
        let subjects: Vec<_> = roots.into_iter().filter_map(|root| self.root_subject(root)).collect();
        if subjects.is_empty() {
            return;
        }
        let happening = happening(self);
        for hit in self.hits(&subjects, happening.mask, happening.is_dir) {
            self.deliver(hit, &happening, now, notices);
        }
    }

    /// A file system reported an error. What it was is for the log: a rule is only told that there was one.
    fn error_event(
        &mut self,
        token: Token,
        raw: &RawEvent<'_>,
        parts: &Parts<'_>,
        now: Now,
        notices: &mut Vec<Notice>,
    ) {
        let Some(object) = parts.object else { return };
        let roots = self.territories.listeners(token, fsid_of(object.as_bytes())).to_vec();
        let error = parts.error.unwrap_or(RawError { errno: 0, count: 0 });
        let happening = Happening { is_dir: false, ..self.happening(raw, None) };
        for root in roots {
            let Some(subject) = self.root_subject(root) else { continue };
            for rule in subject.rules {
                let Some(root) = self.roster.root(root) else { continue };
                let (name, watch) = (&self.roster.rule(rule).name, &self.roster.rule(rule).watch);
                let wanted = EventMask::FS_ERROR.intersection(watch.on.wanted());
                if wanted.is_empty() {
                    continue;
                }
                let path = root.written.clone();
                let reason = nix::errno::Errno::from_raw(error.errno).desc();
                log::warn!(
                    rule:% = name, errno = error.errno, count = error.count, path:% = escape::path(&path);
                    "file system error: {reason}"
                );
                let hit = Hit { rule, root: subject.root, path, mask: wanted };
                self.deliver(hit, &happening, now, notices);
            }
        }
    }

    /// An entry was renamed, and both of its paths are told in one event.
    fn renamed(
        &mut self,
        token: Token,
        parts: &Parts<'_>,
        happening: &Happening,
        now: Now,
        notices: &mut Vec<Notice>,
    ) {
        let mask = EventMask::RENAME;
        let (old_subjects, old_path) = self.side(token, parts.old);
        let (new_subjects, _) = self.side(token, parts.new);
        let old_hits = self.hits(&old_subjects, mask, happening.is_dir);
        let new_hits = self.hits(&new_subjects, mask, happening.is_dir);
        for hit in &new_hits {
            // The path before, as the rule would write it where it reaches there.
            let old = old_subjects.iter().filter(|old| old.rules.contains(&hit.rule));
            let written = old
                .max_by_key(|old| old.root == hit.root)
                .and_then(|old| Some(join(&self.roster.root(old.root)?.written, &old.below)));
            let before = notices.len();
            self.deliver(hit.clone(), happening, now, notices);
            set_old_path(&mut notices[before..], written.or_else(|| old_path.clone()));
        }
        for hit in old_hits {
            if new_hits.iter().all(|new| new.rule != hit.rule) {
                let path = hit.path.clone();
                let before = notices.len();
                self.deliver(hit, happening, now, notices);
                set_old_path(&mut notices[before..], Some(path));
            }
        }
    }

    /// One side of a rename: what it is to the roots, and its path without links if that is known.
    fn side(&mut self, token: Token, entry: Option<RawEntry<'_>>) -> (Vec<Subject>, Option<PathBuf>) {
        let Some(entry) = entry else { return (Vec::new(), None) };
        let mut subjects = Vec::new();
        let mut path = None;
        for node in self.nodes(token, entry.directory.as_bytes()) {
            path = path.or_else(|| Some(node.path()?.join(entry.name)));
            if let Some(verdict) = self.verdict(&node) {
                subjects.extend(self.entry_subjects(&verdict, entry.name));
            }
        }
        (subjects, path)
    }
}

/// One event of the kernel, apart from where.
#[derive(Clone, Copy)]
struct Seen<'r, 'b> {
    raw: &'r RawEvent<'b>,
    object: Option<RawHandle<'b>>,
    is_own: bool,
}

fn set_old_path(notices: &mut [Notice], old_path: Option<PathBuf>) {
    if let [Notice::Event { event, .. }] = notices {
        event.old_path = old_path;
    }
}
