//! Directories of file systems that are marked as a whole: found by their handles when an event first names them.
//!
//! Most of them mean nothing to any rule, and that is remembered too, so that the noise of a busy file system costs
//! one look-up an event. No descriptor is kept: the file system could not be unmounted.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::fcntl::OFlag;

use super::atlas::{Node, NodeId, Whereabouts};
use super::traffic::{Territory, Token};
use super::verdict::Verdict;
use crate::matcher::RootId;
use crate::sys::handle::{self, ObjectKey, fsid_of};
use crate::sys::place;

/// Directories that are remembered; twice as many at most.
const REMEMBERED_MAX: usize = 16_384;

/// The file systems that are marked as a whole.
#[derive(Debug, Default)]
pub struct Territories {
    doors: HashMap<(Token, [i32; 2]), Vec<Door>>,
    listeners: HashMap<(Token, [i32; 2]), Vec<RootId>>,
    /// Directories, by whether they were named lately; the older half goes when the newer is full.
    newer: Remembered,
    older: Remembered,
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
            None => {
                let doors = self.doors.get(&(token, fsid_of(key)))?;
                doors.iter().filter_map(|door| door.find(token, &id.1, &look_up)).collect()
            }
        };
        if self.newer.len() >= REMEMBERED_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(id, Rc::clone(&nodes));
        Some(nodes)
    }
}

impl Door {
    /// The directory of a handle as it is seen through this mount, if it means anything there.
    fn find(&self, token: Token, key: &ObjectKey, look_up: impl Fn(PathBuf) -> Verdict) -> Option<Rc<Node>> {
        let mount = self.enter()?;
        let fd = handle::open(mount.as_fd(), key.as_bytes(), OFlag::O_PATH).ok()?;
        let path = handle::path_of(fd.as_fd()).ok()?;
        if look_up(path.clone()).is_nothing() || !leads_to(&path, &fd) {
            return None;
        }
        let id = NodeId { token, key: key.clone(), mount: self.mount };
        Some(Rc::new(Node::new(id, Whereabouts::At(path), false)))
    }

    fn enter(&self) -> Option<OwnedFd> {
        let mount = place::touch_straight(place::ANYWHERE, &self.point).ok()?;
        (place::mount_id(mount.as_fd()) == self.mount).then_some(mount)
    }
}

/// Whether a path leads to what was opened. What lies outside of the mount, below another one, or is removed, has a
/// path that leads elsewhere or nowhere.
fn leads_to(path: &Path, fd: &OwnedFd) -> bool {
    let (Ok(there), Ok(here)) = (place::status_at(place::ANYWHERE, path), place::status(fd.as_fd())) else {
        return false;
    };
    here.links > 0 && place::is_same(&there, &here)
}
