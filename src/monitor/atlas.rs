//! Which directory a handle stands for, and what that directory means: the loop's memory of places.
//!
//! A directory of a marked tree is known as a name in its parent, so that the rename of a directory moves all
//! below it in one step. What a directory means is looked up once and kept until something on the map changes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;

use super::traffic::Token;
use super::verdict::Verdict;
use crate::matcher::RootId;
use crate::sys::handle::ObjectKey;

/// A known directory.
#[derive(Debug)]
pub struct Node {
    whereabouts: RefCell<Whereabouts>,
    verdict: RefCell<Option<Rc<Verdict>>>,
    verdict_edition: Cell<u64>,
    /// Whether looking at it may block.
    pub is_foreign: bool,
}

/// Where a directory is.
#[derive(Clone, Debug)]
pub enum Whereabouts {
    /// At this path, without links.
    At(PathBuf),
    /// In another known directory, by this name.
    Below(Rc<Node>, OsString),
    /// Nowhere that we know: removed, or moved out of sight.
    Nowhere,
}

/// The directories and files that handles stand for, group by group.
#[derive(Debug, Default)]
pub struct Atlas {
    groups: HashMap<Token, Chart>,
    /// Goes up whenever a path or a meaning may have changed.
    edition: u64,
}

#[derive(Debug, Default)]
struct Chart {
    directories: HashMap<ObjectKey, Rc<Node>>,
    objects: HashMap<ObjectKey, Vec<RootId>>,
}

impl Atlas {
    /// The directory of a handle, given as its bytes.
    pub fn directory(&self, token: Token, key: &[u8]) -> Option<&Rc<Node>> {
        self.groups.get(&token)?.directories.get(key)
    }

    /// The roots that are the file of a handle.
    pub fn object(&self, token: Token, key: &[u8]) -> &[RootId] {
        let chart = self.groups.get(&token);
        chart.and_then(|chart| chart.objects.get(key)).map_or(&[], Vec::as_slice)
    }

    /// Puts a directory at its place; one that is known moves there, and all below it with it.
    pub fn place(&mut self, token: Token, key: ObjectKey, whereabouts: Whereabouts, is_foreign: bool) {
        let chart = self.groups.entry(token).or_default();
        let is_known = chart.directories.contains_key(&key);
        let node = chart.directories.entry(key).or_insert_with(|| Rc::new(Node::new(is_foreign)));
        if is_known && node.is_at(&whereabouts) {
            return;
        }
        // A directory below itself would have no end; the kernel forbids it, so what says so is out of date.
        let whereabouts = if whereabouts.is_below(node) { Whereabouts::Nowhere } else { whereabouts };
        node.whereabouts.replace(whereabouts);
        if is_known {
            self.edition += 1;
        }
    }

    /// Notes that a file is a root.
    pub fn place_object(&mut self, token: Token, key: ObjectKey, root: RootId) {
        let roots = self.groups.entry(token).or_default().objects.entry(key).or_default();
        if !roots.contains(&root) {
            roots.push(root);
        }
    }

    /// Forgets which files a root was.
    pub fn forget_objects(&mut self, root: RootId) {
        for chart in self.groups.values_mut() {
            chart.objects.retain(|_, roots| {
                roots.retain(|other| *other != root);
                !roots.is_empty()
            });
        }
    }

    /// Forgets a directory that was removed.
    pub fn remove(&mut self, token: Token, key: &[u8]) {
        let removed = self.groups.get_mut(&token).and_then(|chart| chart.directories.remove(key));
        if let Some(node) = removed {
            node.whereabouts.replace(Whereabouts::Nowhere);
        }
    }

    /// A directory went out of sight, with all below it.
    pub fn lose(&mut self, token: Token, key: &[u8]) {
        if let Some(node) = self.directory(token, key) {
            node.whereabouts.replace(Whereabouts::Nowhere);
            self.edition += 1;
        }
    }

    /// What directories mean may have changed.
    pub fn revise(&mut self) {
        self.edition += 1;
    }

    /// What a directory means, looked up at most once an edition.
    pub fn verdict(&self, node: &Node, look_up: impl FnOnce(PathBuf) -> Verdict) -> Option<Rc<Verdict>> {
        let edition = self.edition + 1;
        if node.verdict_edition.get() != edition {
            let verdict = node.path().map(|path| Rc::new(look_up(path)));
            node.verdict.replace(verdict);
            node.verdict_edition.set(edition);
        }
        node.verdict.borrow().clone()
    }
}

impl Node {
    fn new(is_foreign: bool) -> Node {
        Node {
            whereabouts: RefCell::new(Whereabouts::Nowhere),
            verdict: RefCell::new(None),
            verdict_edition: Cell::new(0),
            is_foreign,
        }
    }

    /// Its path without links; none: it is out of sight.
    pub fn path(&self) -> Option<PathBuf> {
        match &*self.whereabouts.borrow() {
            Whereabouts::At(path) => Some(path.clone()),
            Whereabouts::Below(parent, name) => {
                let mut path = parent.path()?;
                path.push(name);
                Some(path)
            }
            Whereabouts::Nowhere => None,
        }
    }

    fn is_at(&self, whereabouts: &Whereabouts) -> bool {
        match (&*self.whereabouts.borrow(), whereabouts) {
            (Whereabouts::At(one), Whereabouts::At(other)) => one == other,
            (Whereabouts::Below(parent, name), Whereabouts::Below(other, by)) => {
                Rc::ptr_eq(parent, other) && name == by
            }
            (Whereabouts::Nowhere, Whereabouts::Nowhere) => true,
            (Whereabouts::At(_) | Whereabouts::Below(..) | Whereabouts::Nowhere, _) => false,
        }
    }
}

impl Whereabouts {
    /// Whether this is at or below that directory.
    fn is_below(&self, node: &Rc<Node>) -> bool {
        match self {
            Whereabouts::Below(parent, _) => {
                Rc::ptr_eq(parent, node) || parent.whereabouts.borrow().is_below(node)
            }
            Whereabouts::At(_) | Whereabouts::Nowhere => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::Index;
    use crate::monitor::traffic::MAIN;

    fn key(number: u8) -> ObjectKey {
        ObjectKey::new([0, 0], 1, &[number]).expect("a short handle")
    }

    fn bytes(key: &ObjectKey) -> &[u8] {
        std::borrow::Borrow::borrow(key)
    }

    #[test]
    fn a_rename_moves_all_below_in_one_step() {
        let mut atlas = Atlas::default();
        atlas.place(MAIN, key(1), Whereabouts::At("/srv".into()), false);
        let parent = |atlas: &Atlas, number: u8| {
            Rc::clone(atlas.directory(MAIN, bytes(&key(number))).expect("a known directory"))
        };
        let root = parent(&atlas, 1);
        atlas.place(MAIN, key(2), Whereabouts::Below(Rc::clone(&root), "a".into()), false);
        let a = parent(&atlas, 2);
        atlas.place(MAIN, key(3), Whereabouts::Below(a, "b".into()), false);
        let b = parent(&atlas, 3);
        assert_eq!(b.path(), Some("/srv/a/b".into()));
        let verdict = |atlas: &Atlas| {
            atlas.verdict(&b, |path| Verdict::of(path, &Index::default(), &|_, _| Vec::new()))
        };
        assert_eq!(verdict(&atlas).map(|verdict| verdict.path.clone()), Some("/srv/a/b".into()));
        atlas.place(MAIN, key(2), Whereabouts::Below(root, "z".into()), false);
        assert_eq!(verdict(&atlas).map(|verdict| verdict.path.clone()), Some("/srv/z/b".into()));
        atlas.lose(MAIN, bytes(&key(2)));
        assert!(verdict(&atlas).is_none());
    }

    #[test]
    fn a_directory_is_never_below_itself() {
        let mut atlas = Atlas::default();
        atlas.place(MAIN, key(1), Whereabouts::At("/srv".into()), false);
        let node = Rc::clone(atlas.directory(MAIN, bytes(&key(1))).expect("a known directory"));
        atlas.place(MAIN, key(1), Whereabouts::Below(Rc::clone(&node), "x".into()), false);
        assert_eq!(node.path(), None);
    }
}
