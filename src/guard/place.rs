//! What a path of a rule stands for at this moment: the object to guard, and the names of what is opened there.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::walk::{self, Obstacle, Step};
use super::wire::Opener;
use crate::event::ObjectId;
use crate::guardable::{self, Facts};
use crate::sys::mounts::MountTable;
use crate::sys::peek::Identity;
use crate::sys::{handle, place};

/// A path of a rule, and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As the rule wrote it.
    path: PathBuf,
    /// Free of links.
    real: PathBuf,
    device: u64,
    inode: u64,
    is_dir: bool,
}

impl Place {
    /// Finds what a path leads to. The descriptor is a mere place (O_PATH), for the guard; it asks nobody.
    ///
    /// # Errors
    /// It is not there, or must not be guarded.
    pub fn find(
        path: &Path,
        facts: &Facts<'_>,
        mounts: &MountTable,
        steps: &mut Vec<Step>,
    ) -> Result<(Place, OwnedFd), Obstacle> {
        let found = walk::walk(path, mounts, steps)?;
        let facts = Facts { real: Some(&found.real), ..*facts };
        if let Some(refusal) = guardable::path_refusal(path, &facts) {
            return Err(Obstacle::Refused(refusal));
        }
        let identity = Identity::of(found.object.as_fd()).map_err(Obstacle::Missing)?;
        let Identity { device, inode, is_dir, .. } = identity;
        Ok((Place { path: path.to_owned(), real: found.real, device, inode, is_dir }, found.object))
    }

    /// As the rule wrote it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The path of an opened file as its rule would write it.
///
/// The kernel shows the path as the opener's mount sees it, which may be that of a container; so what counts is
/// which object was opened, then its name. In doubt it is named after the first place: a wrong name is better
/// than a file that nobody decides about.
pub fn path_of(places: &[Place], opener: &Opener<'_>) -> Option<PathBuf> {
    let is_itself = |place: &&Place| (place.device, place.inode) == (opener.device, opener.inode);
    if let Some(place) = places.iter().find(is_itself) {
        return Some(place.path.clone());
    }
    let path = Path::new(OsStr::from_bytes(opener.path));
    let name = path.file_name()?;
    let bare = name.as_bytes().strip_suffix(b" (deleted)").map(OsStr::from_bytes);
    let is_there = |path: &PathBuf| {
        let found = fs::symlink_metadata(path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == (opener.device, opener.inode))
    };
    let directories = || places.iter().filter(|place| place.is_dir);
    let by_name = directories().map(|place| place.path.join(name)).find(is_there);
    let by_directory = || directories().find(|place| path.parent() == Some(&place.real));
    by_name.or_else(|| {
        let place = by_directory().or_else(|| directories().next())?;
        Some(place.path.join(bare.unwrap_or(name)))
    })
}

/// The very file that was opened, for a command that is to read it whatever happens to its name; none when it is
/// not under this path any more, or has no handle.
pub fn object_of(path: &Path, opener: &Opener<'_>) -> Option<ObjectId> {
    let object = place::touch(place::ANYWHERE, path).ok()?;
    let Identity { device, inode, .. } = Identity::of(object.as_fd()).ok()?;
    if (device, inode) != (opener.device, opener.inode) {
        return None;
    }
    let key = handle::of_opened(object.as_fd()).ok()?.on(place::fsid(object.as_fd()).ok()?);
    Some(ObjectId { fsid: key.fsid(), kind: key.kind(), handle: key.handle().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str, real: &str, inode: u64, is_dir: bool) -> Place {
        Place { path: path.into(), real: real.into(), device: 1, inode, is_dir }
    }

    fn named(places: &[Place], inode: u64, path: &[u8]) -> Option<String> {
        let opener = Opener { mask: 1, pid: 1, session: 1, device: 1, inode, is_dir: false, path };
        path_of(places, &opener).map(|path| path.display().to_string())
    }

    #[test]
    fn a_path_begins_as_the_rule_wrote_it() {
        let places = [place("/srv/current", "/srv/v2", 10, true), place("/srv/key", "/srv/key", 11, false)];
        assert_eq!(named(&places, 50, b"/srv/v2/a"), Some("/srv/current/a".into()));
        assert_eq!(named(&places, 50, b"/inside/container/a"), Some("/srv/current/a".into()));
        assert_eq!(named(&places, 50, b"/srv/v2/a (deleted)"), Some("/srv/current/a".into()));
        assert_eq!(named(&places, 10, b"/srv/v2"), Some("/srv/current".into()));
        assert_eq!(named(&places, 11, b"/elsewhere/link"), Some("/srv/key".into()), "another hard link");
    }

    #[test]
    fn of_several_directories_the_one_that_holds_the_file_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        fs::create_dir(&one).and_then(|()| fs::create_dir(&other)).expect("ours");
        let file = other.join("f");
        fs::write(&file, "").expect("ours");
        let (one, shown) = (one.to_str().expect("UTF-8"), other.to_str().expect("UTF-8"));
        let places = [place(one, "/real/one", 10, true), place(shown, "/real/other", 11, true)];
        assert_eq!(named(&places, 50, b"/real/other/x"), Some(format!("{shown}/x")));
        let found = fs::metadata(&file).expect("it is there");
        let (device, inode) = (found.dev(), found.ino());
        let path: &[u8] = b"/container/f";
        let opener = Opener { mask: 1, pid: 1, session: 1, device, inode, is_dir: false, path };
        assert_eq!(path_of(&places, &opener), Some(file));
    }

    #[test]
    fn the_very_file_is_found_only_under_its_own_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, other) = (directory.path().join("f"), directory.path().join("g"));
        fs::write(&file, "").and_then(|()| fs::write(&other, "")).expect("ours");
        let found = fs::metadata(&file).expect("it is there");
        let (device, inode) = (found.dev(), found.ino());
        let opener = Opener { mask: 1, pid: 1, session: 1, device, inode, is_dir: false, path: b"/f" };
        assert_eq!(object_of(&other, &opener), None);
        assert!(object_of(&file, &opener).is_some(), "the file systems of test machines have handles");
    }
}
