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
use crate::event::PATH_BYTES_MAX;
use crate::matcher::RootId;
use crate::sys::handle::ObjectKey;

/// The longest path of a directory of which something is told, bytes: a name in it and what a rule calls its root come
/// beside it.
const DIRECTORY_BYTES_MAX: usize = PATH_BYTES_MAX - 8192;

/// A directory that has been seen.
#[derive(Debug)]
pub struct Node {
    /// The group that tells of it, and its handle.
    pub id: NodeId,
    whereabouts: RefCell<Whereabouts>,
    verdict: RefCell<Option<Rc<Verdict>>>,
    verdict_edition: Cell<u64>,
    /// What it meant when it went out of sight, until the event is read that tells of its going.
    parting: RefCell<Option<Rc<Verdict>>>,
    /// Whether looking at it may block.
    pub is_foreign: bool,
}

/// A directory as it is seen through one mount, whatever becomes of its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// The group that tells of it.
    pub token: Token,
    /// Its handle.
    pub key: ObjectKey,
    /// The mount: the same directory may be seen at several places through several of them.
    pub mount: u64,
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

/// Why a directory has no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hidden {
    /// It is nowhere that we know.
    Nowhere,
    /// It is so deep that nothing is told of it.
    TooLong,
}

/// The directories and files that handles stand for, group by group.
#[derive(Debug, Default)]
pub struct Atlas {
    groups: HashMap<Token, Sheet>,
    /// Which directory a path stands for that a directory is known by, mount by mount: another comes in its place.
    seats: HashMap<(u64, PathBuf), Rc<Node>>,
    /// Goes up whenever a path or a meaning may have changed.
    edition: u64,
    /// Directories that were looked up and whose paths are too long.
    too_long: Cell<u64>,
}

/// What one group knows.
#[derive(Debug, Default)]
struct Sheet {
    /// Each directory once for every mount through which it is watched: nearly always one.
    directories: HashMap<ObjectKey, Vec<Rc<Node>>>,
    objects: HashMap<ObjectKey, Vec<RootId>>,
}

impl Atlas {
    /// The directory of a handle, given as its bytes, through each mount.
    pub fn directory(&self, token: Token, key: &[u8]) -> &[Rc<Node>] {
        let sheet = self.groups.get(&token);
        sheet.and_then(|sheet| sheet.directories.get(key)).map_or(&[], Vec::as_slice)
    }

    /// A directory as it is seen through one mount.
    pub fn node(&self, id: &NodeId) -> Option<&Rc<Node>> {
        self.directory(id.token, id.key.as_bytes()).iter().find(|node| node.id.mount == id.mount)
    }

    /// The roots that are the file of a handle.
    pub fn object(&self, token: Token, key: &[u8]) -> &[RootId] {
        let sheet = self.groups.get(&token);
        sheet.and_then(|sheet| sheet.objects.get(key)).map_or(&[], Vec::as_slice)
    }

    /// Puts a directory at its place; one that is known moves there, and all below it with it.
    pub fn place(&mut self, id: NodeId, whereabouts: Whereabouts, is_foreign: bool) {
        let seat = match &whereabouts {
            Whereabouts::At(path) => Some((id.mount, path.clone())),
            Whereabouts::Below(..) | Whereabouts::Nowhere => None,
        };
        let node = self.put(id, whereabouts, is_foreign);
        if let Some(seat) = seat
            && let Some(other) = self.seats.insert(seat.clone(), Rc::clone(&node))
            && other.id != node.id
            && other.is_at(&Whereabouts::At(seat.1))
        {
            other.whereabouts.replace(Whereabouts::Nowhere);
            self.edition += 1;
        }
    }

    fn put(&mut self, id: NodeId, whereabouts: Whereabouts, is_foreign: bool) -> Rc<Node> {
        let sheet = self.groups.entry(id.token).or_default();
        let nodes = sheet.directories.entry(id.key.clone()).or_default();
        let Some(node) = nodes.iter().find(|node| node.id.mount == id.mount) else {
            nodes.reserve_exact(1);
            let node = Rc::new(Node::new(id, whereabouts, is_foreign));
            nodes.push(Rc::clone(&node));
            return node;
        };
        if node.is_at(&whereabouts) {
            return Rc::clone(node);
        }
        // A directory below itself would have no end; the kernel forbids it, so what says so is out of date.
        let whereabouts = if whereabouts.is_below(node) { Whereabouts::Nowhere } else { whereabouts };
        node.whereabouts.replace(whereabouts);
        self.edition += 1;
        Rc::clone(node)
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
        for sheet in self.groups.values_mut().filter(|sheet| !sheet.objects.is_empty()) {
            sheet.objects.retain(|_, roots| {
                roots.retain(|other| *other != root);
                !roots.is_empty()
            });
        }
    }

    /// Forgets a directory that was removed, or is not marked any more.
    pub fn remove(&mut self, token: Token, key: &[u8]) {
        let removed = self.groups.get_mut(&token).and_then(|sheet| sheet.directories.remove(key));
        removed.into_iter().flatten().for_each(|node| self.clear(&node));
    }

    /// Forgets a directory as it is seen through one mount.
    pub fn remove_node(&mut self, id: &NodeId) {
        let Some(sheet) = self.groups.get_mut(&id.token) else { return };
        let Some(nodes) = sheet.directories.get_mut(&id.key) else { return };
        let removed: Vec<_> = nodes.extract_if(.., |node| node.id.mount == id.mount).collect();
        if nodes.is_empty() {
            sheet.directories.remove(&id.key);
        }
        removed.iter().for_each(|node| self.clear(node));
    }

    fn clear(&mut self, node: &Rc<Node>) {
        if let Whereabouts::At(path) = node.whereabouts.replace(Whereabouts::Nowhere) {
            let seat = (node.id.mount, path);
            if self.seats.get(&seat).is_some_and(|other| Rc::ptr_eq(other, node)) {
                self.seats.remove(&seat);
            }
        }
    }

    /// A directory left this place, with all below it, and is out of sight; says whether it was known to be there. Where
    /// it is known to be elsewhere, a surveyor saw it there before the event was read that tells of its leaving.
    pub fn leave(&mut self, id: &NodeId, place: &Whereabouts, meant: Option<Rc<Verdict>>) -> bool {
        let Some(node) = self.node(id).filter(|node| node.is_seen_at(place)) else { return false };
        node.whereabouts.replace(Whereabouts::Nowhere);
        node.parting.replace(meant);
        self.edition += 1;
        true
    }

    /// Forgets what was seen through a mount that is gone.
    pub fn forget_mount(&mut self, mount: u64) {
        for sheet in self.groups.values_mut() {
            sheet.directories.retain(|_, nodes| {
                for node in nodes.extract_if(.., |node| node.id.mount == mount) {
                    node.whereabouts.replace(Whereabouts::Nowhere);
                }
                !nodes.is_empty()
            });
        }
        self.seats.retain(|(other, _), _| *other != mount);
        self.edition += 1;
    }

    /// Forgets all that a group knew.
    pub fn forget_group(&mut self, token: Token) {
        self.groups.remove(&token);
        self.seats.retain(|_, node| node.id.token != token);
    }

    /// What directories mean may have changed.
    pub fn revise(&mut self) {
        self.edition += 1;
    }

    /// How many directories were looked up whose paths are too long.
    pub fn too_long(&self) -> u64 {
        self.too_long.get()
    }

    /// What a directory means, looked up at most once an edition; none: it is out of sight, or too deep.
    pub fn verdict(&self, node: &Node, look_up: impl FnOnce(PathBuf) -> Verdict) -> Option<Rc<Verdict>> {
        let edition = self.edition + 1;
        if node.verdict_edition.get() != edition {
            let path = node.locate();
            if path == Err(Hidden::TooLong) {
                self.too_long.set(self.too_long.get() + 1);
            }
            node.verdict.replace(path.ok().map(|path| Rc::new(look_up(path))));
            node.verdict_edition.set(edition);
        }
        node.verdict.borrow().clone()
    }
}

impl Node {
    /// A directory that was not seen before.
    pub fn new(id: NodeId, whereabouts: Whereabouts, is_foreign: bool) -> Node {
        Node {
            id,
            whereabouts: RefCell::new(whereabouts),
            verdict: RefCell::new(None),
            verdict_edition: Cell::new(0),
            parting: RefCell::default(),
            is_foreign,
        }
    }

    /// Its path without links; none: it is out of sight, or too deep.
    pub fn path(&self) -> Option<PathBuf> {
        self.locate().ok()
    }

    /// Steps upwards in a loop: whoever makes directories decides how deep they are, and the stack has an end.
    fn locate(&self) -> Result<PathBuf, Hidden> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        let mut here = self.whereabouts.borrow().clone();
        loop {
            match here {
                Whereabouts::At(path) if path.as_os_str().len() + bytes > DIRECTORY_BYTES_MAX => {
                    return Err(Hidden::TooLong);
                }
                Whereabouts::At(mut path) => {
                    path.extend(names.iter().rev());
                    return Ok(path);
                }
                Whereabouts::Below(parent, name) => {
                    bytes += name.len() + 1;
                    if bytes > DIRECTORY_BYTES_MAX {
                        return Err(Hidden::TooLong);
                    }
                    names.push(name);
                    here = parent.whereabouts.borrow().clone();
                }
                Whereabouts::Nowhere => return Err(Hidden::Nowhere),
            }
        }
    }

    /// What it meant before it went out of sight, for the one event that is still to come of it.
    pub fn take_parting(&self) -> Option<Rc<Verdict>> {
        self.parting.take()
    }

    /// Whether it is known to be at this place, whichever way that is known.
    fn is_seen_at(&self, place: &Whereabouts) -> bool {
        match (&*self.whereabouts.borrow(), place) {
            (Whereabouts::Below(parent, name), Whereabouts::Below(other, by)) => {
                parent.id == other.id && name == by
            }
            (Whereabouts::At(path), Whereabouts::Below(parent, name)) => {
                path.file_name() == Some(name)
                    && path.parent().is_some_and(|above| parent.path().as_deref() == Some(above))
            }
            (Whereabouts::At(_) | Whereabouts::Below(..) | Whereabouts::Nowhere, _) => self.is_at(place),
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
        let mut above = self.parent();
        while let Some(parent) = above {
            if Rc::ptr_eq(&parent, node) {
                return true;
            }
            above = parent.whereabouts.borrow().parent();
        }
        false
    }

    fn parent(&self) -> Option<Rc<Node>> {
        match self {
            Whereabouts::Below(parent, _) => Some(Rc::clone(parent)),
            Whereabouts::At(_) | Whereabouts::Nowhere => None,
        }
    }
}

/// Directories that only this one still knew go with it, in a loop as well.
impl Drop for Node {
    fn drop(&mut self) {
        let mut last = self.whereabouts.replace(Whereabouts::Nowhere);
        while let Whereabouts::Below(parent, _) = last {
            let Some(parent) = Rc::into_inner(parent) else { return };
            last = parent.whereabouts.replace(Whereabouts::Nowhere);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::Index;
    use crate::monitor::traffic::MAIN;

    fn id(number: u8) -> NodeId {
        let key = ObjectKey::new([0, 0], 1, &[number]).expect("a short handle");
        NodeId { token: MAIN, key, mount: 1 }
    }

    fn node(atlas: &Atlas, number: u8) -> Rc<Node> {
        Rc::clone(atlas.node(&id(number)).expect("a known directory"))
    }

    #[test]
    fn a_rename_moves_all_below_in_one_step() {
        let mut atlas = Atlas::default();
        atlas.place(id(1), Whereabouts::At("/srv".into()), false);
        let root = node(&atlas, 1);
        atlas.place(id(2), Whereabouts::Below(Rc::clone(&root), "a".into()), false);
        atlas.place(id(3), Whereabouts::Below(node(&atlas, 2), "b".into()), false);
        let b = node(&atlas, 3);
        let path = |atlas: &Atlas| {
            let verdict = atlas.verdict(&b, |path| Verdict::of(path, &Index::default(), &|_, _| Vec::new()));
            verdict.map(|verdict| verdict.path.clone())
        };
        assert_eq!(path(&atlas), Some("/srv/a/b".into()));
        atlas.place(id(2), Whereabouts::Below(root, "z".into()), false);
        assert_eq!(path(&atlas), Some("/srv/z/b".into()));
        let root = node(&atlas, 1);
        assert!(!atlas.leave(&id(2), &Whereabouts::Below(Rc::clone(&root), "a".into()), None));
        assert_eq!(path(&atlas), Some("/srv/z/b".into()), "it is not at the place that was left any more");
        assert!(atlas.leave(&id(2), &Whereabouts::Below(root, "z".into()), None));
        assert_eq!(path(&atlas), None);
    }

    #[test]
    fn a_directory_that_is_too_deep_is_counted_and_no_depth_is_too_much_for_the_stack() {
        let mut atlas = Atlas::default();
        let key = |number: u32| ObjectKey::new([0, 0], 1, &number.to_ne_bytes()).expect("a short handle");
        let id = |number| NodeId { key: key(number), ..id(1) };
        let name = "n".repeat(255);
        atlas.place(id(0), Whereabouts::At("/srv".into()), false);
        for number in 1..200_000 {
            let parent = Rc::clone(atlas.node(&id(number - 1)).expect("a known directory"));
            atlas.place(id(number), Whereabouts::Below(parent, (&name).into()), false);
        }
        let root = Rc::clone(atlas.node(&id(0)).expect("a known directory"));
        let deep = Rc::clone(atlas.node(&id(199_999)).expect("a known directory"));
        for number in [50, 150, 199_999] {
            let node = atlas.node(&id(number)).expect("a known directory");
            let look_up = |path| Verdict::of(path, &Index::default(), &|_, _| Vec::new());
            assert_eq!(atlas.verdict(node, look_up).is_some(), number == 50);
        }
        assert_eq!(atlas.too_long(), 2);
        assert!(Whereabouts::Below(Rc::clone(&deep), "x".into()).is_below(&root));
        drop(root);
        atlas.forget_group(MAIN);
        drop(deep);
    }

    #[test]
    fn what_was_seen_through_a_mount_goes_with_it() {
        let mut atlas = Atlas::default();
        atlas.place(id(1), Whereabouts::At("/srv".into()), false);
        atlas.place(NodeId { mount: 2, ..id(1) }, Whereabouts::At("/mnt".into()), false);
        let paths = |atlas: &Atlas| -> Vec<_> {
            atlas.directory(MAIN, id(1).key.as_bytes()).iter().map(|node| node.path()).collect()
        };
        assert_eq!(paths(&atlas), [Some("/srv".into()), Some("/mnt".into())]);
        atlas.forget_mount(1);
        assert_eq!(paths(&atlas), [Some("/mnt".into())]);
    }

    #[test]
    fn a_directory_that_another_is_in_the_place_of_is_out_of_sight() {
        let mut atlas = Atlas::default();
        atlas.place(id(1), Whereabouts::At("/srv".into()), false);
        let old = node(&atlas, 1);
        atlas.place(id(2), Whereabouts::At("/srv".into()), false);
        assert_eq!((old.path(), node(&atlas, 2).path()), (None, Some("/srv".into())));
        atlas.remove_node(&id(2));
        assert!(atlas.seats.is_empty());
    }

    #[test]
    fn a_directory_is_never_below_itself() {
        let mut atlas = Atlas::default();
        atlas.place(id(1), Whereabouts::At("/srv".into()), false);
        let root = node(&atlas, 1);
        atlas.place(id(1), Whereabouts::Below(Rc::clone(&root), "x".into()), false);
        assert_eq!(root.path(), None);
    }
}
