//! What a path of a rule stands for at this moment: the object to guard, found without opening it.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::wire::Opener;
use crate::guardable::{self, Facts, Refusal};
use crate::sys::peek::{self, Identity, PATH_LEN_MAX};
use crate::sys::permission;

/// A path of a rule, and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As the rule wrote it.
    path: PathBuf,
    /// As the kernel shows it.
    real: PathBuf,
    device: u64,
    inode: u64,
    is_dir: bool,
}

/// Why a path is not guarded.
#[derive(Debug)]
pub enum Obstacle {
    /// It may not be.
    Refused(Refusal),
    /// It cannot be found.
    Unfound(io::Error),
}

impl Place {
    /// Finds what a path leads to. The descriptor (O_PATH) is for the guard, and asks nobody.
    ///
    /// # Errors
    /// It is not there, or must not be guarded.
    pub fn find(path: &Path, facts: &Facts<'_>) -> Result<(Place, OwnedFd), Obstacle> {
        let found = permission::find_object(path).map_err(Obstacle::Unfound)?;
        let identity = Identity::of(found.as_fd()).map_err(Obstacle::Unfound)?;
        let mut buffer = vec![0; PATH_LEN_MAX];
        let real = peek::path_of(found.as_fd(), &mut buffer).map_err(Obstacle::Unfound)?;
        let real = PathBuf::from(OsStr::from_bytes(real));
        let file_system = permission::file_system_of(found.as_fd()).map_err(Obstacle::Unfound)?;
        let facts = Facts { real: Some(&real), file_system: Some(file_system), ..*facts };
        if let Some(refusal) = guardable::path_refusal(path, &facts) {
            return Err(Obstacle::Refused(refusal));
        }
        let Identity { device, inode, is_dir, .. } = identity;
        Ok((Place { path: path.to_owned(), real, device, inode, is_dir }, found))
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
    let is_there = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (opener.device, opener.inode))
    };
    let directories = || places.iter().filter(|place| place.is_dir);
    let shown = directories().find(|place| path.parent() == Some(&place.real)).or(directories().next())?;
    let by_name = directories().map(|place| place.path.join(name)).find(|path| is_there(path));
    by_name.or_else(|| Some(shown.path.join(bare.unwrap_or(name))))
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Refused(refusal) => refusal.fmt(f),
            Obstacle::Unfound(error) => error.fmt(f),
        }
    }
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
        let (one, real_one) = (one.to_str().expect("UTF-8"), "/real/one");
        let other = other.to_str().expect("UTF-8");
        let mut places = [place(one, real_one, 10, true), place(other, "/real/other", 11, true)];
        assert_eq!(named(&places, 50, b"/real/other/x"), Some(format!("{other}/x")));
        let found = fs::metadata(&file).expect("it is there");
        places.iter_mut().for_each(|place| place.device = found.dev());
        let opener = Opener {
            mask: 1,
            pid: 1,
            session: 1,
            device: found.dev(),
            inode: found.ino(),
            is_dir: false,
            path: b"/container/f",
        };
        assert_eq!(path_of(&places, &opener), Some(file.clone()));
    }
}
