//! What is mounted and unmounted while paths are watched.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;

use super::super::traffic::{Message, Over};
use super::Surveyor;
use super::trail::Place;
use crate::sys::place;

impl Surveyor {
    /// Something was mounted or unmounted: the ways that lead there, or past there, are followed again.
    pub(super) fn remount(&mut self) -> Result<(), Over> {
        let read = self.mountinfo.read();
        self.owes_remount = read.is_err();
        let Ok(mounts) = read else { return Ok(()) };
        let old = std::mem::replace(&mut self.mounts, Arc::new(mounts));
        let mut points: BTreeSet<PathBuf> = self.mounts.difference(&old).map(Path::to_owned).collect();
        let mut gone: Vec<(u64, PathBuf)> = Vec::new();
        for (id, point) in &self.seen_through {
            match mount_at(point) {
                Ok(found) if found == Some(*id) => {}
                Ok(_) => gone.push((*id, point.clone())),
                Err(_) => self.owes_remount = true,
            }
        }
        for (id, point) in gone {
            self.seen_through.remove(&id);
            self.marked_through.retain(|_, mounts| {
                mounts.remove(&id);
                !mounts.is_empty()
            });
            self.outbox.tell(Message::MountGone(id))?;
            for token in self.groups.forget_mount(id) {
                self.outbox.tell(Message::GroupGone(token))?;
            }
            self.forget_filesystems(id)?;
            self.roots.values_mut().for_each(|root| root.forget_mount(id));
            points.insert(point);
        }
        self.close_annexes()?;
        for root in self.roots.values() {
            let attachments = self.index.attachments(root.order.id);
            let is_concerned = points.iter().any(|point| {
                attachments.iter().any(|attachment| {
                    attachment.directory.starts_with(point) || point.starts_with(&attachment.directory)
                })
            });
            if is_concerned {
                self.dirty.insert(root.order.id);
            }
        }
        Ok(())
    }

    /// Notes that something is watched through a mount.
    pub(super) fn note_mount(&mut self, place: &Place) {
        if !self.seen_through.contains_key(&place.mount) {
            let mount = self.mounts.of(&place.path);
            let point = mount.map_or_else(|| place.path.clone(), |mount| mount.point.clone());
            self.seen_through.insert(place.mount, point);
        }
    }
}

/// The mount that is seen at this very path; none: nothing is there.
///
/// # Errors
/// It cannot be told now.
pub fn mount_at(point: &Path) -> Result<Option<u64>, Errno> {
    match place::touch_straight(place::ANYWHERE, point).and_then(|fd| place::mount_id(fd.as_fd())) {
        Err(errno) if place::may_pass(errno) => Err(errno),
        found => Ok(found.ok()),
    }
}
