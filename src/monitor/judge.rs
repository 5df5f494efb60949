//! From one record of the kernel to the rules that it concerns.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::rc::Rc;

use super::atlas::{Node, Whereabouts};
use super::entry::Spot;
use super::notice::Notice;
use super::traffic::{Entered, Token};
use super::verdict::Verdict;
use super::world::{Happening, Now, World, join};
use crate::event::EventMask;
use crate::matcher::RootId;
use crate::plan;
use crate::sys::decode::{Malformed, Parts, RawEntry, RawEvent, RawHandle};
use crate::sys::fanotify::ON_DIRECTORY;
use crate::sys::handle::ObjectKey;

/// The name that stands for the directory itself.
const ITSELF: &str = ".";

/// Bits of events on the way: an entry or a directory there is not what it was.
const ON_THE_WAY: u64 = (plan::WAY | plan::PASSAGE) & !ON_DIRECTORY;

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
        let is_own = self.own_pid == Some(raw.pid);
        if is_own && raw.mask & ON_THE_WAY == 0 {
            return Ok(());
        }
        let parts = raw.parts()?;
        let is_dir = raw.mask & ON_DIRECTORY != 0;
        let happening = |world: &mut World| world.happening(raw, parts.object);
        if parts.old.is_some() || parts.new.is_some() {
            if !is_own {
                let happening = happening(self);
                self.renamed(token, &parts, &happening, now, notices);
            }
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
        let Some(node) = self.atlas.directory(token, entry.directory.as_bytes()).map(Rc::clone) else {
            return Ok(());
        };
        let Some(verdict) = self.verdict(&node).filter(|verdict| !verdict.is_nothing()) else {
            return Ok(());
        };
        let is_itself = entry.name == ITSELF;
        if is_itself {
            self.passage(&verdict, raw.mask);
        } else {
            self.way(&verdict, entry.name, raw.mask, is_dir);
            if is_dir {
                self.structure(token, &node, &verdict, raw.mask, entry, parts.object);
            }
        }
        if is_own {
            return Ok(());
        }
        if is_itself {
            let hits =
                self.hits(&self.directory_subjects(&verdict), EventMask::from_kernel_bits(raw.mask), true);
            if !hits.is_empty() {
                let happening = happening(self);
                hits.into_iter().for_each(|hit| self.deliver(hit, &happening, now, notices));
            }
            return Ok(());
        }
        let spot = Spot { node: &node, verdict: &verdict, name: entry.name };
        self.entry_event(spot, raw, parts.object, now, notices);
        Ok(())
    }

    /// A directory went away that is on the way to roots.
    fn passage(&self, verdict: &Verdict, mask: u64) {
        if mask & (libc::FAN_DELETE_SELF | libc::FAN_MOVE_SELF) != 0
            && let Some(site) = &verdict.site
            && site.has_passage()
        {
            self.inbox.order(|orders| orders.survey.extend(site.passage()));
        }
    }

    /// An entry came or went that is on the way to roots.
    fn way(&self, verdict: &Verdict, name: &OsStr, mask: u64, is_dir: bool) {
        let Some(site) = &verdict.site else { return };
        if mask & plan::WAY & !ON_DIRECTORY == 0 {
            return;
        }
        let own = site.own(name).filter(|_| is_dir || mask & (libc::FAN_CREATE | libc::FAN_MOVED_TO) != 0);
        let roots: Vec<RootId> = site.way(name).chain(own).collect();
        if !roots.is_empty() {
            self.inbox.order(|orders| orders.survey.extend(roots));
        }
    }

    /// A directory came into a tree, or went.
    fn structure(
        &mut self,
        token: Token,
        node: &Rc<Node>,
        verdict: &Verdict,
        mask: u64,
        entry: RawEntry<'_>,
        object: Option<RawHandle<'_>>,
    ) {
        let roots: Vec<RootId> = verdict.homes.iter().map(|home| home.root).collect();
        if roots.is_empty() {
            return;
        }
        if mask & (libc::FAN_CREATE | libc::FAN_MOVED_TO) != 0 {
            if let Some(object) = object {
                let whereabouts = Whereabouts::Below(Rc::clone(node), entry.name.to_owned());
                self.atlas.place(token, ObjectKey::from(object), whereabouts, node.is_foreign);
            }
            let number = self.recent.ask();
            self.inbox.enter(
                number,
                Entered {
                    token,
                    parent: ObjectKey::from(entry.directory),
                    parent_path: verdict.path.clone(),
                    name: entry.name.to_owned(),
                    roots,
                },
            );
        } else if let Some(object) = object {
            match mask & libc::FAN_DELETE != 0 {
                true => self.atlas.remove(token, object.as_bytes()),
                false if mask & libc::FAN_MOVED_FROM != 0 => self.atlas.lose(token, object.as_bytes()),
                false => {}
            }
        }
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
        let side = |world: &World, entry: Option<RawEntry<'_>>| {
            let Some(entry) = entry else { return (Vec::new(), None) };
            let Some(node) = world.atlas.directory(token, entry.directory.as_bytes()) else {
                return (Vec::new(), None);
            };
            let Some(verdict) = world.verdict(node) else { return (Vec::new(), None) };
            (world.entry_subjects(&verdict, entry.name), Some(verdict.path.join(entry.name)))
        };
        let (old_subjects, old_path) = side(self, parts.old);
        let (new_subjects, _) = side(self, parts.new);
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
}

fn set_old_path(notices: &mut [Notice], old_path: Option<std::path::PathBuf>) {
    if let [Notice::Event { event, .. }] = notices {
        event.old_path = old_path;
    }
}

/// The bytes of a key.
pub fn bytes(key: &ObjectKey) -> &[u8] {
    key.borrow()
}
