//! Directories of file systems that are marked as a whole: found by their handles when an event first names them.
//!
//! Most of them mean nothing to any rule, and that is remembered too, so that the noise of a busy file system costs
//! one look-up an event. No descriptor is kept: the file system could not be unmounted.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::atlas::{Node, NodeId, Whereabouts};
use super::traffic::{Territory, Token};
use super::verdict::Verdict;
use crate::matcher::RootId;
use crate::plan;
use crate::sys::decode::{Parts, RawEvent};
use crate::sys::fanotify::ON_DIRECTORY;
use crate::sys::handle::{self, ObjectKey, fsid_of};
use crate::sys::place;

/// Directories that are remembered; twice as many at most.
const REMEMBERED_MAX: usize = 16_384;
/// Directories whose names are remembered; twice as many at most.
const NAMED_MAX: usize = 8192;
/// How deep below a directory that is still there one is looked for that is gone.
const GONE_DEPTH_MAX: u32 = 256;

/// The file systems that are marked as a whole.
#[derive(Debug, Default)]
pub struct Territories {
    doors: HashMap<(Token, [i32; 2]), Vec<Door>>,
    listeners: HashMap<(Token, [i32; 2]), Vec<RootId>>,
    /// Directories, by whether they were named lately; the older half goes when the newer is full.
    newer: Remembered,
    older: Remembered,
    /// By what names directories came or went, in which directories: one that is gone when an event of it is read
    /// cannot be found by its handle any more.
    named: HashMap<(Token, ObjectKey), (ObjectKey, OsString)>,
    named_before: HashMap<(Token, ObjectKey), (ObjectKey, OsString)>,
    /// Whether an event's directory could not be looked for: there was no descriptor, no memory, or no answer.
    has_missed: Cell<bool>,
    /// Directories that were too deep for the kernel to name, and how many of them were told of.
    unnameable: Cell<u64>,
    told_unnameable: u64,
}

type Remembered = HashMap<(Token, ObjectKey), Rc<[Rc<Node>]>>;

/// A mount through which the directories of a file system are seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Which mount: what is there must still be it.
    pub mount: u64,
}

impl Territories {
    /// A file system is marked from now on, or is so no more.
    pub fn open(&mut self, territory: Territory) {
        self.forget();
        let Territory { token, fsid, doors, listeners } = territory;
        match doors.is_empty() {
            true => drop(self.doors.remove(&(token, fsid))),
            false => drop(self.doors.insert((token, fsid), doors)),
        }
        match listeners.is_empty() {
            true => drop(self.listeners.remove(&(token, fsid))),
            false => drop(self.listeners.insert((token, fsid), listeners)),
        }
    }

    /// The roots whose rules ask for the errors of a file system.
    pub fn listeners(&self, token: Token, fsid: [i32; 2]) -> &[RootId] {
        self.listeners.get(&(token, fsid)).map_or(&[], Vec::as_slice)
    }

    /// Whether any file system is marked as a whole.
    pub fn are_there(&self) -> bool {
        !self.doors.is_empty()
    }

    /// Remembers by what name a directory came or went.
    pub fn learn(&mut self, token: Token, event: &RawEvent<'_>) {
        if event.mask & ON_DIRECTORY == 0 || event.mask & plan::STRUCTURE & !ON_DIRECTORY == 0 {
            return;
        }
        let Ok(Parts { entry: Some(entry), object: Some(object), .. }) = event.parts() else { return };
        if self.doors.contains_key(&(token, fsid_of(object.as_bytes()))) {
            if self.named.len() >= NAMED_MAX {
                self.named_before = std::mem::take(&mut self.named);
            }
            let name = (entry.directory.into(), entry.name.to_owned());
            self.named.insert((token, object.into()), name);
        }
    }

    /// Whether events were passed over since this was asked last, since their directories could not be looked for.
    pub fn has_missed(&mut self) -> bool {
        self.has_missed.take()
    }

    /// How many directories were too deep to be named, with so many that others know, when they are twice as many as
    /// were told of. Whether rules ask for what happens in them is not known.
    pub fn unnameable(&mut self, others: u64) -> Option<u64> {
        let count = self.unnameable.get() + others;
        (count >= (2 * self.told_unnameable).max(1)).then(|| {
            self.told_unnameable = count;
            count
        })
    }

    /// Forgets where directories are: one of them moved, or what they mean changed.
    pub fn forget(&mut self) {
        self.newer.clear();
        self.older.clear();
    }

    /// The directory of a handle through each mount where it means anything; `look_up` says what a path means.
    pub fn directory(
        &mut self,
        token: Token,
        key: &[u8],
        look_up: impl Fn(PathBuf) -> Verdict,
    ) -> Option<Rc<[Rc<Node>]>> {
        if self.doors.is_empty() {
            return None;
        }
        let id = (token, ObjectKey::from_bytes(key)?);
        if let Some(nodes) = self.newer.get(&id) {
            return Some(Rc::clone(nodes));
        }
        let nodes = match self.older.remove(&id) {
            Some(nodes) => nodes,
            None => self.find(token, &id.1, &look_up, GONE_DEPTH_MAX)?,
        };
        if self.has_missed.get() {
            return Some(nodes);
        }
        if self.newer.len() >= REMEMBERED_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(id, Rc::clone(&nodes));
        Some(nodes)
    }
}

impl Territories {
    /// Finds a directory through every mount of its file system; one that is gone by the name that it had.
    fn find(
        &self,
        token: Token,
        key: &ObjectKey,
        look_up: &impl Fn(PathBuf) -> Verdict,
        depth: u32,
    ) -> Option<Rc<[Rc<Node>]>> {
        let doors = self.doors.get(&(token, key.fsid()))?;
        let mut is_gone = true;
        let mut nodes = Vec::new();
        for door in doors {
            match door.find(token, key, look_up) {
                Err(Errno::ESTALE) => {}
                Err(errno) => {
                    is_gone = false;
                    self.has_missed.set(self.has_missed.get() || place::may_pass(errno));
                    if errno == Errno::ENAMETOOLONG {
                        self.unnameable.set(self.unnameable.get() + 1);
                    }
                }
                Ok(node) => {
                    is_gone = false;
                    nodes.extend(node);
                }
            }
        }
        if !is_gone || depth == 0 {
            return Some(nodes.into());
        }
        let id = (token, key.clone());
        let Some((parent, name)) = self.named.get(&id).or_else(|| self.named_before.get(&id)) else {
            return Some(nodes.into());
        };
        let above = self.find(token, parent, look_up, depth - 1)?;
        let below = above.iter().filter_map(|above| {
            let path = above.path()?.join(name);
            let id = NodeId { key: key.clone(), ..above.id.clone() };
            let node = Node::new(id, Whereabouts::At(path.clone()), false);
            (!look_up(path).is_nothing()).then(|| Rc::new(node))
        });
        Some(below.collect())
    }
}

impl Door {
    /// The directory of a handle as it is seen through this mount, if it means anything there.
    ///
    /// # Errors
    /// ESTALE: it is gone; others: this is no way to find it.
    fn find(
        &self,
        token: Token,
        key: &ObjectKey,
        look_up: impl Fn(PathBuf) -> Verdict,
    ) -> Result<Option<Rc<Node>>, Errno> {
        let mount = self.enter()?;
        let fd = handle::open(mount.as_fd(), key.as_bytes(), OFlag::O_PATH)?;
        let path = handle::path_of(fd.as_fd())?;
        let here = place::status(fd.as_fd())?;
        if here.links == 0 {
            return Err(Errno::ESTALE);
        }
        // What lies outside of the mount, or below another one, has a path that leads elsewhere or nowhere.
        if look_up(path.clone()).is_nothing() {
            return Ok(None);
        }
        match place::status_at(place::ANYWHERE, &path) {
            Ok(there) if place::is_same(&there, &here) => {}
            Err(errno) if place::may_pass(errno) => return Err(errno),
            Ok(_) | Err(_) => return Ok(None),
        }
        let id = NodeId { token, key: key.clone(), mount: self.mount };
        Ok(Some(Rc::new(Node::new(id, Whereabouts::At(path), false))))
    }

    fn enter(&self) -> Result<OwnedFd, Errno> {
        let mount = place::open_door(place::ANYWHERE, &self.point)?;
        let is_it = place::mount_id(mount.as_fd())? == self.mount;
        if is_it { Ok(mount) } else { Err(Errno::ENOENT) }
    }
}
