//! A directory that is ours alone: state that others could write would be orders that others could give.
//!
//! It is opened once, never through a link in its last component, and locked, so that two daemons never keep
//! their state in one place. Everything in it is reached through its descriptor: whoever renames a directory
//! above it changes nothing.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, geteuid, linkat, unlinkat};

use super::directory::{DirectoryError, open_private};
use super::lock::lock;

/// The directory, open and locked until it is dropped.
#[derive(Debug)]
pub struct PrivateDirectory {
    descriptor: Flock<File>,
    path: PathBuf,
}

/// Why a directory is not used.
#[derive(Debug)]
pub enum PrivateError {
    /// Another process has locked it.
    InUse,
    /// It is not ours alone.
    Unfit(DirectoryError),
    /// The system refused.
    Failed(io::Error),
}

impl fmt::Display for PrivateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrivateError::InUse => f.write_str("another process uses the directory"),
            PrivateError::Unfit(error) => error.fmt(f),
            PrivateError::Failed(error) => error.fmt(f),
        }
    }
}

impl PrivateDirectory {
    /// Opens it as [`open_private`] does, and locks it: flock(2). The mode of one that was there stays as it is, lest
    /// somebody's slip shuts `/` to everybody; nothing in it is for others to read anyway.
    ///
    /// # Errors
    /// It cannot be made or opened, is not ours alone, or is locked by another process.
    pub fn open(path: &Path) -> Result<PrivateDirectory, PrivateError> {
        let directory = File::from(open_private(path).map_err(PrivateError::Unfit)?);
        let locked = lock(directory).map_err(PrivateError::Failed)?;
        let descriptor = locked.ok_or(PrivateError::InUse)?;
        Ok(PrivateDirectory { descriptor, path: path.to_owned() })
    }

    /// Its path as it was given, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file in it for reading; none if there is none.
    ///
    /// # Errors
    /// It is not a regular file of our own, or the system refuses.
    pub fn read(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = match openat(&*self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.uid() != geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a regular file of our own"));
        }
        Ok(Some(file))
    }

    /// Makes a new file in it, for writing: openat(2) with O_EXCL, mode 0600.
    ///
    /// # Errors
    /// The name is taken, or the system refuses.
    pub fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&*self.descriptor, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    /// Removes a file from it, if it is there: unlinkat(2).
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&*self.descriptor, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Renames a file in it, over another if there is one: renameat(2).
    ///
    /// # Errors
    /// The system refuses.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&*self.descriptor, from, &*self.descriptor, to)?)
    }

    /// Gives a file in it a further name: linkat(2).
    ///
    /// # Errors
    /// The name is taken, it is no file, or the file system knows no hard links.
    pub fn link(&self, name: &str, further: &str) -> io::Result<()> {
        Ok(linkat(&*self.descriptor, name, &*self.descriptor, further, AtFlags::empty())?)
    }

    /// Waits until its entries are on the disk: fsync(2).
    ///
    /// # Errors
    /// The system refuses.
    pub fn sync(&self) -> io::Result<()> {
        self.descriptor.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_directory_is_made_closed_to_others_and_one_that_is_there_keeps_its_mode() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        drop(PrivateDirectory::open(&path).unwrap());
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o700);
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        drop(PrivateDirectory::open(&path).unwrap());
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("real")).unwrap();
        symlink("real", place.path().join("link")).unwrap();
        let refused = PrivateDirectory::open(&place.path().join("link"));
        assert!(matches!(refused, Err(PrivateError::Unfit(_))), "{refused:?}");
    }

    #[test]
    fn only_one_holds_it_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let first = PrivateDirectory::open(place.path()).unwrap();
        assert!(matches!(PrivateDirectory::open(place.path()), Err(PrivateError::InUse)));
        drop(first);
        assert!(PrivateDirectory::open(place.path()).is_ok());
    }

    #[test]
    fn only_regular_files_of_our_own_are_read() {
        let place = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::open(place.path()).unwrap();
        assert!(directory.read("missing").unwrap().is_none());
        directory.create("file").unwrap().write_all(b"text").unwrap();
        let mut text = String::new();
        directory.read("file").unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");

        symlink("file", place.path().join("link")).unwrap();
        nix::unistd::mkfifo(&place.path().join("fifo"), Mode::S_IRWXU).unwrap();
        std::fs::create_dir(place.path().join("directory")).unwrap();
        for name in ["link", "fifo", "directory"] {
            assert!(directory.read(name).is_err(), "{name}");
        }
        assert!(directory.create("file").is_err(), "a name that is taken is not written over");
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let other = Some(nix::unistd::Uid::from_raw(65534));
        let path = place.path().join("theirs");
        std::fs::create_dir(&path).unwrap();
        nix::unistd::chown(&path, other, None).unwrap();
        assert!(matches!(PrivateDirectory::open(&path), Err(PrivateError::Unfit(_))));

        let directory = PrivateDirectory::open(place.path()).unwrap();
        drop(directory.create("planted").unwrap());
        nix::unistd::chown(&place.path().join("planted"), other, None).unwrap();
        assert!(directory.read("planted").is_err());
    }
}
