//! Walking a tree in slices: each directory is made known and marked first, then listed, so that nothing that
//! comes into it is missed; what is found can be reported.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::errno::Errno;

use super::super::traffic::{Audience, Found, FoundEntry, Known, KnownPlace, Message, Over, Token};
use super::Surveyor;
use crate::event::Origin;
use crate::matcher::RootId;
use crate::sys::handle::{self, ObjectKey};
use crate::sys::mounts::Nature;
use crate::sys::place::{self, Kind, Status};
use crate::sys::writers::{Writers, writers};

/// Directories of one slice: so many descriptors are open at once, and so long other orders wait.
const SLICE_LEN: usize = 64;

/// A walk through a tree, as far as it has come.
#[derive(Debug)]
pub struct Walk {
    /// The directory where it begins, without links.
    pub base: PathBuf,
    /// The directory that it is in, if that is known by its handle.
    pub parent: Option<ObjectKey>,
    /// Whether what is found is told, and to whom.
    pub report: Option<Report>,
    /// Roots that are armed when it ends.
    pub arms: Vec<RootId>,
    /// Directories still to be walked, the next one last.
    stack: Vec<Step>,
}

/// Whom a walk tells of what.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whom.
    pub audience: Audience,
    /// What the events say of their origin.
    pub origin: Origin,
    /// Only what changed since; none: everything.
    pub since: Option<SystemTime>,
}

/// One directory of a walk.
#[derive(Debug)]
struct Step {
    below: PathBuf,
    parent: Option<ObjectKey>,
    /// Whether all in it counts as changed: it is below a directory that changed itself.
    is_all_new: bool,
}

/// A directory that is held open while it is dealt with.
struct Visit {
    step: Step,
    path: PathBuf,
    fd: OwnedFd,
    token: Token,
    key: ObjectKey,
    device: u64,
    mask: u64,
}

impl Walk {
    /// A walk that begins at a directory.
    pub fn new(base: PathBuf, parent: Option<ObjectKey>, report: Option<Report>, arms: Vec<RootId>) -> Walk {
        let stack = vec![Step { below: PathBuf::new(), parent: parent.clone(), is_all_new: true }];
        Walk { base, parent, report, arms, stack }
    }
}

impl Surveyor {
    /// Goes on with a walk; says whether it is at its end.
    ///
    /// # Errors
    /// The loop is gone.
    pub(super) fn walk_on(&mut self, walk: &mut Walk) -> Result<bool, Over> {
        let Ok(base) = place::touch_straight(place::ANYWHERE, &walk.base) else {
            // It went away; whoever asked is told by the marks on the way to it.
            return Ok(true);
        };
        let at = walk.stack.len().saturating_sub(SLICE_LEN);
        let steps = walk.stack.split_off(at);
        let mut visits = Vec::with_capacity(steps.len());
        for step in steps.into_iter().rev() {
            visits.extend(self.visit(walk, &base, step));
        }
        self.outbox.tell(Message::Known(visits.iter().map(|visit| visit.known(visit.token)).collect()))?;
        for visit in visits.iter_mut().filter(|visit| visit.mask != 0) {
            let known = |token| visit.known(token);
            match self.mark_directory(visit.fd.as_fd(), visit.device, visit.mask, known)? {
                Ok(token) => visit.token = token,
                Err(errno) => self.unwatched(&visit.path, errno),
            }
        }
        for visit in visits {
            self.list(walk, visit)?;
        }
        Ok(walk.stack.is_empty())
    }

    fn visit(&mut self, walk: &Walk, base: &OwnedFd, step: Step) -> Option<Visit> {
        let path =
            if step.below.as_os_str().is_empty() { walk.base.clone() } else { walk.base.join(&step.below) };
        let below = if step.below.as_os_str().is_empty() { Path::new(".") } else { &step.below };
        let fd = match place::open_directory(base.as_fd(), below) {
            Ok(fd) => fd,
            Err(Errno::EXDEV) => {
                self.graft(walk, path);
                return None;
            }
            // Gone again, or no directory any more: an event tells what came instead.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return None,
            Err(errno) => {
                self.unwatched(&path, errno);
                return None;
            }
        };
        let handle = handle::of(fd.as_fd(), Path::new(".")).ok()?;
        let fsid = place::fsid(fd.as_fd()).ok()?;
        let device = place::status(fd.as_fd()).ok()?.device;
        let mask = self.directory_mask(&path);
        let (token, _) = self.groups.of(device);
        Some(Visit { step, path, fd, token, key: handle.on(fsid), device, mask })
    }

    /// Another mount begins in the tree: what lies on it is walked for itself.
    fn graft(&mut self, walk: &Walk, path: PathBuf) {
        match self.mounts.at(&path).map(|mount| mount.nature) {
            Some(Nature::Local) => {
                self.walks.push_back(Walk::new(path, None, walk.report.clone(), Vec::new()));
            }
            Some(Nature::Foreign | Nature::Pseudo) | None => {}
        }
    }

    /// Lists a directory that is marked: what is in it is walked and reported.
    fn list(&mut self, walk: &mut Walk, visit: Visit) -> Result<(), Over> {
        let Visit { step, path, fd, token, key, .. } = visit;
        let Ok(at) = fd.try_clone() else { return Ok(()) };
        let Ok(entries) = place::entries(fd) else { return Ok(()) };
        let mut found = Vec::new();
        for entry in entries.map_while(Result::ok) {
            let Some(kind) = entry.kind.or_else(|| Some(status(&at, &entry.name)?.kind)) else { continue };
            let mut is_new = step.is_all_new;
            if let Some(report) = &walk.report {
                is_new = is_new || report.since.is_none();
                if !is_new && let (Some(since), Some(status)) = (report.since, status(&at, &entry.name)) {
                    is_new = status.changed >= since;
                }
                if is_new {
                    found.push(look(&at, entry.name.clone(), kind, &key));
                }
            }
            if kind == Kind::Directory && self.enters(walk, &path.join(&entry.name)) {
                let below = step.below.join(&entry.name);
                walk.stack.push(Step { below, parent: Some(key.clone()), is_all_new: is_new });
            }
        }
        match &walk.report {
            Some(report) if !found.is_empty() => self.outbox.tell(Message::Found(Found {
                token,
                key,
                entries: found,
                audience: report.audience.clone(),
                origin: report.origin,
            })),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a walk goes into a directory.
    fn enters(&self, walk: &Walk, path: &Path) -> bool {
        let audience = walk.report.as_ref().map_or(&Audience::Everybody, |report| &report.audience);
        self.index.homes(path).any(|(id, home)| {
            let is_concerned = match audience {
                Audience::Everybody | Audience::Rule(_) => true,
                Audience::Root(root) => *root == id,
            };
            is_concerned && self.root_enters(id, home, path)
        })
    }
}

impl Visit {
    fn known(&self, token: Token) -> Known {
        let place = match (&self.step.parent, self.path.file_name()) {
            (Some(parent), Some(name)) => KnownPlace::Below { parent: parent.clone(), name: name.to_owned() },
            _ => KnownPlace::At { path: self.path.clone(), is_foreign: false },
        };
        Known { token, key: self.key.clone(), place }
    }
}

fn status(at: &OwnedFd, name: &std::ffi::OsStr) -> Option<Status> {
    place::status_at(at.as_fd(), Path::new(name)).ok()
}

fn look(at: &OwnedFd, name: OsString, kind: Kind, directory: &ObjectKey) -> FoundEntry {
    let handle = handle::of(at.as_fd(), Path::new(&name)).ok();
    let key = handle.map(|handle| handle.on(directory.fsid()));
    let is_held = kind == Kind::File
        && place::touch(at.as_fd(), Path::new(&name))
            .is_ok_and(|place| writers(place.as_fd()) == Writers::Some);
    FoundEntry { name, is_dir: kind == Kind::Directory, is_held, key }
}
