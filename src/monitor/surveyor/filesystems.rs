//! File systems that are marked as a whole, and the choice between that and one mark a directory.
//!
//! One mark for a file system is set at once, whatever the size of the tree, and sees a new directory from its first
//! moment; but everybody's events on that file system come to us, some 2 µs of CPU each. One mark a directory costs
//! a walk and a kilobyte of kernel memory for each, and nothing for others. So a small tree gets one mark a
//! directory, and a large one, or one that is most of its file system anyway, gets the file system marked.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::super::territory::Door;
use super::super::traffic::{By, Message, Over, Territory, Token};
use super::Surveyor;
use super::marks::trouble;
use super::root::Part;
use super::trail::{Place, Scout};
use super::walk::{Purpose, Walk};
use crate::matcher::RootId;
use crate::plan;
use crate::rule::MarkChoice;
use crate::sys::fanotify::Subject;
use crate::sys::handle;
use crate::sys::listing::{Buffer, Listing};
use crate::sys::place::{self, Kind};

/// Directories up to which a tree is marked one by one: counting them takes some 30 ms, marking them as long again.
const DIRECTORIES_MAX: usize = 4096;

/// The file systems that are marked as a whole, by `st_dev`.
#[derive(Debug, Default)]
pub struct Filesystems(BTreeMap<u64, Filesystem>);

/// A file system that is marked as a whole.
#[derive(Debug)]
struct Filesystem {
    token: Token,
    fsid: [i32; 2],
    /// The bits that its mark has.
    marked: u64,
    /// Who wants it marked: roots, by the base of the part of their tree that lies on it.
    users: BTreeMap<(RootId, PathBuf), User>,
}

/// What one part of a tree wants of a file system's mark.
#[derive(Clone, Debug)]
struct User {
    mask: u64,
    door: Door,
    /// Whether directories are to be found by their handles; else only errors are listened for.
    has_tree: bool,
}

impl Surveyor {
    /// Has a part of a root's tree watched the best way that works there: marks the file system, or leaves it to a
    /// walk to mark the directories.
    pub(super) fn open_part(&mut self, id: RootId, base: &Place) -> Result<By, Over> {
        let Some(root) = self.roots.get(&id) else { return Ok(By::Directories) };
        let choice = root.order.demand.tree_choice.unwrap_or(MarkChoice::Directories);
        let can =
            self.realm.is_none() && self.groups.is_privileged() && !self.groups.is_separate(base.device);
        let wants = can
            && match choice {
                MarkChoice::Directories => false,
                MarkChoice::Filesystem => true,
                MarkChoice::Auto => self.pays(id, base),
            };
        if !wants {
            return Ok(By::Directories);
        }
        let demand = root.order.demand;
        let mask = (demand.tree | demand.directory | plan::STRUCTURE) & !libc::FAN_EVENT_ON_CHILD;
        match self.mark_filesystem(id, base, mask, true)? {
            Ok(()) => Ok(By::Filesystem),
            Err(_) => Ok(By::Directories),
        }
    }

    /// Listens for the errors of the file system that a root is on, if a rule asks for them.
    pub(super) fn watch_errors(&mut self, id: RootId, place: &Place) -> Result<(), Over> {
        let Some(root) = self.roots.get(&id) else { return Ok(()) };
        let mask = root.order.demand.filesystem;
        if mask == 0 {
            return Ok(());
        }
        let result = match self.groups.is_privileged() {
            true => self.mark_filesystem(id, place, mask, false)?,
            false => Err(Errno::EPERM),
        };
        let is_privileged = self.groups.is_privileged();
        if let (Err(errno), Some(root)) = (result, self.roots.get_mut(&id)) {
            let what = "listen for errors of the file system of";
            root.deafness = Some(Box::new(trouble(what, &place.path, errno, is_privileged)));
        }
        Ok(())
    }

    /// Puts a root's parts in the place of those that it had; what was marked for them alone is so no more.
    pub(super) fn close_parts(&mut self, id: RootId, parts: Vec<Part>) -> Result<(), Over> {
        self.replace_parts(id, parts);
        self.close_old_parts(id)
    }

    /// Puts a root's parts in the place of those that it had, which stay marked until the new ones are.
    pub(super) fn replace_parts(&mut self, id: RootId, parts: Vec<Part>) {
        if let Some(root) = self.roots.get_mut(&id) {
            root.old_parts.extend(std::mem::replace(&mut root.parts, parts));
        }
    }

    /// What was marked for parts alone that a root has no more is so no more.
    pub(super) fn close_old_parts(&mut self, id: RootId) -> Result<(), Over> {
        let Some(root) = self.roots.get_mut(&id) else { return Ok(()) };
        let old = std::mem::take(&mut root.old_parts);
        let parts = root.parts.clone();
        for part in old.into_iter().filter(|part| !parts.contains(part)) {
            if part.by == By::Directories {
                self.walks.push_back(Walk::new(part.base, Purpose::Trim, None));
            }
        }
        // Errors are listened for as long as the root is somewhere.
        let is_kept = !parts.is_empty();
        let is_used = |base: &Path| parts.iter().any(|part| part.by == By::Filesystem && part.base == base);
        let devices: Vec<u64> = self.filesystems.0.keys().copied().collect();
        for device in devices {
            let Some(filesystem) = self.filesystems.0.get_mut(&device) else { continue };
            let before = filesystem.users.len();
            filesystem
                .users
                .retain(|(root, base), user| *root != id || is_used(base) || !user.has_tree && is_kept);
            if filesystem.users.len() != before {
                self.refresh_filesystem(device)?;
            }
        }
        Ok(())
    }

    /// What was marked as a whole and is mounted nowhere any more is not marked either.
    pub(super) fn forget_filesystems(&mut self, mount: u64) -> Result<(), Over> {
        let devices: Vec<u64> = self.filesystems.0.keys().copied().collect();
        for device in devices {
            let Some(filesystem) = self.filesystems.0.get_mut(&device) else { continue };
            let before = filesystem.users.len();
            filesystem.users.retain(|_, user| user.door.mount != mount);
            if filesystem.users.len() != before {
                self.refresh_filesystem(device)?;
            }
        }
        Ok(())
    }

    /// Whether marking the file system costs less than marking the directories of a tree.
    fn pays(&self, id: RootId, base: &Place) -> bool {
        let is_marked = self
            .filesystems
            .0
            .get(&base.device)
            .is_some_and(|filesystem| filesystem.users.values().any(|user| user.has_tree));
        is_marked || self.has_more_directories(id, base, DIRECTORIES_MAX)
    }

    /// Whether a tree has more directories than this; looks no further than it must.
    fn has_more_directories(&self, id: RootId, base: &Place, max: usize) -> bool {
        let Some(root) = self.roots.get(&id) else { return false };
        let home = self.index.homes(&base.path).find(|(other, _)| *other == id);
        let Some((_, home)) = home else { return false };
        let mut stack = vec![PathBuf::from(".")];
        let mut buffer = Buffer::default();
        let mut count = 0;
        while let Some(below) = stack.pop() {
            self.pulse.beat();
            let Ok(directory) = place::open_directory(base.fd.as_fd(), &below) else { continue };
            let mut listing = Listing::of(directory.as_fd(), &mut buffer);
            while let Some(Ok(entry)) = listing.next_entry() {
                let below = below.join(entry.name);
                if entry.kind == Some(Kind::Directory) && root.enters(home, &base.path.join(&below)) {
                    count += 1;
                    stack.push(below);
                }
                if count > max {
                    return true;
                }
            }
        }
        false
    }

    /// Has a file system marked for a part of a root.
    fn mark_filesystem(
        &mut self,
        id: RootId,
        base: &Place,
        mask: u64,
        has_tree: bool,
    ) -> Result<Result<(), Errno>, Over> {
        let point = self.mounts.of(&base.path).map_or_else(|| base.path.clone(), |mount| mount.point.clone());
        let user = User { mask, door: Door { point, mount: base.mount }, has_tree };
        let (token, _) = self.groups.of(base.device);
        if has_tree && let Err(errno) = can_be_found(base) {
            return Ok(Err(errno));
        }
        self.note_mount(base);
        let filesystem = self.filesystems.0.entry(base.device).or_insert_with(|| Filesystem {
            token,
            fsid: base.fsid,
            marked: 0,
            users: BTreeMap::new(),
        });
        filesystem.fsid = base.fsid;
        // Two wants of one root on one directory: its tree, and the file system's errors.
        let key = (id, base.path.clone());
        let before = filesystem.users.remove(&key);
        let user = User {
            mask: user.mask | before.as_ref().map_or(0, |before| before.mask),
            has_tree: user.has_tree || before.as_ref().is_some_and(|before| before.has_tree),
            ..user
        };
        filesystem.users.insert(key.clone(), user);
        self.tell_territory(base.device)?;
        let (_, group) = self.groups.of(base.device);
        let mask = if self.groups.has_targets() { mask } else { mask & !libc::FAN_RENAME };
        let result = group.add(Subject::Filesystem, mask, base.fd.as_fd(), Some(Path::new(".")));
        if let Some(filesystem) = self.filesystems.0.get_mut(&base.device) {
            match result {
                Ok(()) => filesystem.marked |= mask,
                Err(_) => drop(filesystem.users.remove(&key)),
            }
        }
        if result.is_err() {
            self.refresh_filesystem(base.device)?;
        }
        Ok(result)
    }

    /// Takes from a file system's mark what nobody wants any more.
    fn refresh_filesystem(&mut self, device: u64) -> Result<(), Over> {
        let Some(filesystem) = self.filesystems.0.get_mut(&device) else { return Ok(()) };
        let wanted = filesystem.users.values().fold(0, |mask, user| mask | user.mask);
        let surplus = filesystem.marked & !wanted;
        filesystem.marked &= wanted;
        let door = filesystem.users.values().map(|user| user.door.point.clone()).next();
        if surplus != 0
            && let Some(door) = door.or_else(|| self.door_of(device))
            && let Ok(place) = Scout::new(&self.mounts, None).directory(&door)
            && place.device == device
        {
            let (_, group) = self.groups.of(device);
            // What stays nevertheless is passed over when it is reported.
            group.remove(Subject::Filesystem, surplus, place.fd.as_fd(), Path::new(".")).ok();
        }
        self.tell_territory(device)?;
        self.filesystems.0.retain(|_, filesystem| !filesystem.users.is_empty());
        Ok(())
    }

    /// Any mount of a file system.
    fn door_of(&self, device: u64) -> Option<PathBuf> {
        self.mounts.iter().find(|mount| mount.device == device).map(|mount| mount.point.clone())
    }

    fn tell_territory(&self, device: u64) -> Result<(), Over> {
        let Some(filesystem) = self.filesystems.0.get(&device) else { return Ok(()) };
        let mut doors: Vec<Door> = Vec::new();
        for user in filesystem.users.values().filter(|user| user.has_tree) {
            if doors.iter().all(|door| door.mount != user.door.mount) {
                doors.push(user.door.clone());
            }
        }
        let listens = |user: &&User| user.mask & libc::FAN_FS_ERROR != 0;
        let listeners = filesystem.users.iter().filter(|(_, user)| listens(user)).map(|((id, _), _)| *id);
        self.outbox.tell(Message::Territory(Territory {
            token: filesystem.token,
            fsid: filesystem.fsid,
            doors,
            listeners: listeners.collect(),
        }))
    }
}

/// Whether directories of a file system can be found by their handles.
fn can_be_found(place: &Place) -> Result<(), Errno> {
    let door = place::open_door(place.fd.as_fd(), Path::new("."))?;
    handle::open(door.as_fd(), place.key().as_bytes(), OFlag::O_PATH).map(drop)
}
