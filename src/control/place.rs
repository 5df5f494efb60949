//! Where the daemon is found and kept alone: the runtime directory with its socket and its lock.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::escape;
use crate::sys::directory::{DirectoryError, open_private};
use crate::sys::local::{self, BindError, Lock};

/// The socket's name in the runtime directory.
const SOCKET: &str = "control.sock";

/// The lock's name in the runtime and in the state directory.
const LOCK: &str = "lock";

/// A directory that this daemon alone uses, from start to end.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    directory: OwnedFd,
    _lock: Lock,
}

/// Why a directory is not ours.
#[derive(Debug)]
pub enum PlaceError {
    /// Another instance has it.
    AlreadyRunning {
        /// Which directory.
        path: PathBuf,
        /// Its process, as it says itself.
        pid: Option<u32>,
    },
    /// It cannot be used.
    Directory(DirectoryError),
    /// The lock or the socket cannot be made.
    System {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Where the socket should be there is something that is no socket, or not ours; it is left alone.
    Occupied {
        /// The file.
        path: PathBuf,
    },
}

impl Place {
    /// Opens the directory, making it where it is missing, and takes its lock. It goes with this process, however
    /// that ends.
    ///
    /// # Errors
    /// Another instance has it, or it cannot be used.
    pub fn take(path: &Path) -> Result<Place, PlaceError> {
        let directory = open_private(path).map_err(PlaceError::Directory)?;
        match local::lock(directory.as_fd(), LOCK) {
            Ok(Some(lock)) => Ok(Place { path: path.to_owned(), directory, _lock: lock }),
            Ok(None) => {
                let pid = local::lock_holder(directory.as_fd(), LOCK);
                Err(PlaceError::AlreadyRunning { path: path.to_owned(), pid })
            }
            Err(cause) => Err(PlaceError::System { path: path.join(LOCK), cause }),
        }
    }

    /// Its path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket, listening.
    pub(super) fn bind(&self) -> Result<UnixListener, PlaceError> {
        let path = || self.path.join(SOCKET);
        local::bind(self.directory.as_fd(), SOCKET).map_err(|error| match error {
            BindError::Occupied => PlaceError::Occupied { path: path() },
            BindError::System(cause) => PlaceError::System { path: path(), cause },
        })
    }

    /// Takes the socket away, so that nobody knocks in vain.
    pub(super) fn unbind(&self) {
        // What cannot be removed is replaced by the next start.
        let _ = local::remove(self.directory.as_fd(), SOCKET);
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Connects to the daemon whose runtime directory this is.
pub(super) fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
    let directory = open(path, flags, Mode::empty())?;
    local::connect(directory.as_fd(), SOCKET, limit)
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlaceError::AlreadyRunning { path, pid } => {
                write!(f, "another instance runs here: {} is locked", escape::path(path))?;
                pid.map_or(Ok(()), |pid| write!(f, " by process {pid}"))
            }
            PlaceError::Directory(error) => write!(f, "{error}"),
            PlaceError::System { path, cause } => write!(f, "cannot make {}: {cause}", escape::path(path)),
            PlaceError::Occupied { path } => write!(
                f,
                "cannot make the control socket: {path} is there, and is not a socket of ours\nhelp: move it away",
                path = escape::path(path)
            ),
        }
    }
}

impl std::error::Error for PlaceError {}
