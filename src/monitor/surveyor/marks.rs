//! Setting marks, and taking them away: each directory has one, with all that anybody wants of it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use nix::errno::Errno;

use super::super::atlas::NodeId;
use super::super::traffic::{By, Known, KnownPlace, Message, Over, Token, Trouble};
use super::Surveyor;
use super::root::Standing;
use super::trail::{Place, Scout};
use crate::escape;
use crate::matcher::RootId;
use crate::plan;
use crate::sys::clock;
use crate::sys::fanotify::Subject;
use crate::sys::handle::ObjectKey;
use crate::sys::place;

/// A directory that is to be marked.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// It, opened.
    pub fd: BorrowedFd<'t>,
    /// … only as a mere place.
    pub is_place: bool,
    /// Its `st_dev`.
    pub device: u64,
    /// The mount that it is seen through.
    pub mount: u64,
    /// What is wanted of it.
    pub mask: u64,
}

impl Surveyor {
    /// Makes directories known and marks them as their sites want it.
    pub(super) fn mark_sites(
        &mut self,
        scout: &mut Scout<'_>,
        directories: &BTreeSet<Arc<Path>>,
    ) -> Result<(), Over> {
        let mut places: Vec<Rc<Place>> = Vec::with_capacity(directories.len());
        for path in directories {
            match scout.directory(path) {
                Ok(place) => places.push(place),
                Err(errno) if place::is_gone(errno) => {}
                Err(errno) => self.trouble_at(path, errno, clock::wall()),
            }
        }
        let known = places.iter().map(|place| self.known(place, self.groups.of(place.device).0)).collect();
        self.outbox.tell(Message::Known(known))?;
        for place in &places {
            let mask = self.directory_mask(&place.path);
            if mask == 0 {
                continue;
            }
            self.note_mount(place);
            let (fd, device, mount) = (place.fd.as_fd(), place.device, place.mount);
            let target = Target { fd, is_place: true, device, mount, mask };
            let is_foreign = self.is_foreign(&place.path);
            let known = |token| Known {
                id: place.id(token),
                place: KnownPlace::At { path: place.path.clone(), is_foreign },
            };
            if let Err(errno) = self.mark(target, known)? {
                self.trouble_at(&place.path, errno, clock::wall());
            }
        }
        Ok(())
    }

    /// Marks a directory in the group of its file system, which it gets if it needs one of its own; gives the group.
    pub(super) fn mark(
        &mut self,
        target: Target<'_>,
        known: impl Fn(Token) -> Known,
    ) -> Result<Result<Token, Errno>, Over> {
        let Target { fd, is_place, device, mount, mask } = target;
        let name = is_place.then_some(Path::new("."));
        self.marked_through.entry(device).or_default().insert(mount);
        let (token, group) = self.groups.of(device);
        let result = group.add(Subject::Directory, mask, fd, name);
        if result != Err(Errno::EXDEV) {
            self.groups.note(device, mount);
            return Ok(result.map(|()| token));
        }
        let (token, group) = match self.groups.separate(device, mount) {
            Ok(separate) => separate,
            Err(error) => return Ok(Err(errno(&error))),
        };
        self.outbox.tell(Message::Group(token, Arc::clone(&group)))?;
        self.outbox.tell(Message::Known(vec![known(token)]))?;
        Ok(group.add(Subject::Directory, mask, fd, name).map(|()| token))
    }

    /// Marks the file that a root is, for what it alone is told of.
    pub(super) fn mark_object(
        &mut self,
        id: RootId,
        parent: &Place,
        name: &Path,
        key: ObjectKey,
        mask: u64,
    ) -> Result<(), Over> {
        let (token, group) = self.groups.of(parent.device);
        let group = Arc::clone(group);
        let known = Known { id: NodeId { token, key, mount: parent.mount }, place: KnownPlace::Object(id) };
        self.outbox.tell(Message::Known(vec![known]))?;
        if let Err(errno) = group.add(Subject::Entry, mask, parent.fd.as_fd(), Some(name)) {
            self.trouble(id, &parent.path.join(name), errno, clock::wall());
        }
        Ok(())
    }

    /// Takes bits away that nobody wants any more.
    pub(super) fn trim(&mut self, directories: &BTreeSet<Arc<Path>>) {
        for path in directories {
            let Ok(fd) = place::touch_straight(place::ANYWHERE, path) else { continue };
            let Ok(status) = place::status(fd.as_fd()) else { continue };
            self.trim_one(fd.as_fd(), status.device, self.directory_mask(path));
        }
    }

    /// Leaves only these bits of a directory's mark.
    pub(super) fn trim_one(&self, fd: BorrowedFd<'_>, device: u64, mask: u64) {
        if self.marked_through.get(&device).is_some_and(|mounts| mounts.len() > 1) {
            // Its mark may be wanted where it is seen through another mount.
            return;
        }
        let surplus = plan::ON_DIRECTORIES & !mask;
        let (_, group) = self.groups.of(device);
        // What stays nevertheless is passed over when it is reported.
        group.remove(Subject::Directory, surplus, fd, Path::new(".")).ok();
    }

    /// All that a mark on a directory has to tell.
    pub(super) fn directory_mask(&self, path: &Path) -> u64 {
        let mut mask = self.site_mask(path);
        for (id, home) in self.index.homes(path) {
            let Some(root) = self.roots.get(&id) else { continue };
            let is_marked = root.part(path).is_none_or(|part| part.by == By::Directories);
            if root.order.demand.tree != 0 && is_marked && root.enters(home, path) {
                mask |= root.order.demand.tree;
            }
        }
        if self.groups.has_targets() { mask } else { mask & !libc::FAN_RENAME }
    }

    /// What a directory has to tell because of what it is itself to roots.
    fn site_mask(&self, path: &Path) -> u64 {
        let Some(site) = self.index.site(path) else { return 0 };
        let mut mask = 0;
        if site.has_passage() {
            mask |= plan::PASSAGE;
        }
        if site.has_way() {
            mask |= plan::WAY;
        }
        for root in site.owners().filter_map(|id| self.roots.get(&id)) {
            let demand = root.order.demand;
            mask |= match root.standing.as_deref() {
                Some(Standing::Directory { .. }) => demand.directory_entry,
                Some(Standing::File { .. }) => demand.entry,
                Some(Standing::Missing | Standing::Foreign(_) | Standing::Refused) | None => {
                    demand.entry | demand.directory_entry
                }
            };
        }
        for root in site.home().filter_map(|id| self.roots.get(&id)) {
            mask |= root.order.demand.directory;
        }
        mask
    }

    fn known(&self, place: &Place, token: Token) -> Known {
        let is_foreign = self.is_foreign(&place.path);
        Known { id: place.id(token), place: KnownPlace::At { path: place.path.clone(), is_foreign } }
    }

    /// Something could not be marked or walked: those roots are not watched as they should be that want it, and have
    /// not seen what happened there since this time.
    pub(super) fn trouble_at(&mut self, path: &Path, errno: Errno, since: SystemTime) {
        let site = self.index.site(path);
        let near = site.into_iter().flat_map(|site| site.owners().chain(site.home()));
        let homes = self
            .index
            .homes(path)
            .filter(|(id, home)| self.roots.get(id).is_some_and(|root| root.enters(home, path)));
        let near: BTreeSet<RootId> = near.collect();
        let trees: BTreeSet<RootId> = homes.map(|(id, _)| id).collect();
        for id in near.union(&trees) {
            let is_part = trees.contains(id) && !near.contains(id);
            match self.roots.get_mut(id) {
                // The rest of the tree is watched all the same.
                Some(root) if is_part && errno == Errno::EACCES => {
                    root.unreadable.get_or_insert_default().add(path, since);
                    self.troubled.insert(*id);
                }
                Some(_) | None => self.trouble(*id, path, errno, since),
            }
        }
    }

    /// A root is not watched as it should be. What a directory on the way hides is no trouble of its own.
    pub(super) fn trouble(&mut self, id: RootId, path: &Path, errno: Errno, since: SystemTime) {
        let is_privileged = self.groups.is_privileged();
        if let Some(root) = self.roots.get_mut(&id) {
            root.trouble.get_or_insert_with(|| trouble("watch", path, errno, is_privileged));
            root.blind.get_or_insert_default().add(path, since);
            self.troubled.insert(id);
        }
    }
}

/// Why something could not be done, and what helps.
pub fn trouble(what: &str, path: &Path, errno: Errno, is_privileged: bool) -> Trouble {
    let path = escape::path(path);
    let why = errno.desc().to_lowercase();
    let (capability, help) = match errno {
        Errno::EACCES if !is_privileged => (Some("CAP_DAC_READ_SEARCH"), ""),
        Errno::EPERM if !is_privileged => (Some("CAP_SYS_ADMIN"), ""),
        Errno::ENOSPC => (
            None,
            "no more marks for this user; help: raise the sysctl fs.fanotify.max_user_marks, or run as root",
        ),
        Errno::EMFILE => (
            None,
            "no more fanotify groups for this user, or no more descriptors; help: raise the sysctl \
             fs.fanotify.max_user_groups",
        ),
        Errno::EOPNOTSUPP | Errno::ENODEV => (None, "its file system does not support it"),
        _ => (None, ""),
    };
    let why = if help.is_empty() { why.as_str() } else { help };
    let missing = capability.map_or_else(String::new, |capability| format!(" ({capability} is missing)"));
    Trouble {
        reason: format!("cannot {what} {path}: {why}{missing}"),
        lacks_privilege: capability.is_some(),
        is_passing: place::is_passing(errno),
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EMFILE, Errno::from_raw)
}
