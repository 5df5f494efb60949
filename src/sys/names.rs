//! Tells when a name in a directory comes to mean something else: inotify(7). Opens nothing, and asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// A set of directories whose names are watched.
#[derive(Debug)]
pub struct NameWatcher {
    inotify: Inotify,
    directories: BTreeMap<WatchDescriptor, PathBuf>,
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A name was made, removed, moved away or moved to.
    Name(PathBuf, OsString),
    /// The directory itself is gone from where it was; it is not watched any more.
    Directory(PathBuf),
    /// Anything: the kernel could not keep up.
    Overflow,
}

impl NameWatcher {
    /// An empty set.
    ///
    /// # Errors
    /// No descriptor left, or too many of these (fs.inotify.max_user_instances).
    pub fn new() -> io::Result<NameWatcher> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(NameWatcher { inotify, directories: BTreeMap::new() })
    }

    /// Watches a directory; says whether it was not watched yet.
    ///
    /// # Errors
    /// It is not there, or there are too many (fs.inotify.max_user_watches).
    pub fn watch(&mut self, directory: &Path) -> io::Result<bool> {
        if self.directories.values().any(|watched| watched == directory) {
            return Ok(false);
        }
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        let descriptor = self.inotify.add_watch(directory, flags)?;
        self.directories.insert(descriptor, directory.to_owned());
        Ok(true)
    }

    /// Watches no others any more.
    pub fn keep_only(&mut self, directories: &BTreeSet<&Path>) {
        self.directories.retain(|descriptor, directory| {
            let is_kept = directories.contains(directory.as_path());
            if !is_kept {
                // One that is gone has lost its watch already.
                let _ = self.inotify.rm_watch(*descriptor);
            }
            is_kept
        });
    }

    /// What changed since the last look.
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub fn changes(&mut self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EAGAIN) => return Ok(changes),
                Err(errno) => return Err(errno.into()),
            };
            for event in events {
                let is_over = event.mask.intersects(
                    AddWatchFlags::IN_IGNORED
                        | AddWatchFlags::IN_MOVE_SELF
                        | AddWatchFlags::IN_DELETE_SELF
                        | AddWatchFlags::IN_UNMOUNT,
                );
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    changes.push(Change::Overflow);
                } else if is_over {
                    if let Some(directory) = self.directories.remove(&event.wd) {
                        let _ = self.inotify.rm_watch(event.wd);
                        changes.push(Change::Directory(directory));
                    }
                } else if let (Some(directory), Some(name)) = (self.directories.get(&event.wd), event.name) {
                    changes.push(Change::Name(directory.clone(), name));
                }
            }
        }
    }
}

impl AsFd for NameWatcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_that_come_and_go_are_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, moved) = (directory.path().join("d"), directory.path().join("e"));
        fs::create_dir(&path).expect("ours");
        let mut watcher = NameWatcher::new().expect("inotify");
        assert!(watcher.watch(&path).expect("it is there") && !watcher.watch(&path).expect("it is there"));
        fs::write(path.join("f"), "").expect("ours");
        fs::rename(path.join("f"), path.join("g")).expect("ours");
        let name = |name: &str| Change::Name(path.clone(), name.into());
        assert_eq!(watcher.changes().expect("told"), [name("f"), name("f"), name("g")]);
        fs::rename(&path, &moved).expect("ours");
        assert_eq!(watcher.changes().expect("told"), [Change::Directory(path.clone())]);
        fs::write(moved.join("f"), "").expect("ours");
        assert_eq!(watcher.changes().expect("told"), [], "it is somebody else's name now");
    }

    #[test]
    fn what_is_not_kept_is_not_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut watcher = NameWatcher::new().expect("inotify");
        watcher.watch(directory.path()).expect("it is there");
        watcher.keep_only(&BTreeSet::new());
        fs::write(directory.path().join("f"), "").expect("ours");
        assert_eq!(watcher.changes().expect("told"), []);
        assert!(watcher.watch(directory.path()).expect("it is there"));
    }
}
