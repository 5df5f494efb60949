//! Sockets and locks in a directory that is held open: names are looked up in that very directory, whatever happens
//! to its path, and a long path does not matter (sun_path of unix(7) has 108 bytes).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, OFlag, openat};
use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, getsockopt, setsockopt, socket};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat};
use nix::sys::time::TimeVal;
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

/// What can stand in the way of binding a socket.
#[derive(Debug)]
pub enum BindError {
    /// Something of this name is there that is no socket, or not ours. It is left alone.
    Occupied,
    /// The system refuses.
    System(io::Error),
}

/// Binds a listening, non-blocking socket of mode 0600. A socket of this name that belongs to us is what a former
/// life left behind, and is replaced: the caller holds the [`lock`].
///
/// # Errors
/// The name is taken by something else, or the system refuses.
pub fn bind(directory: BorrowedFd<'_>, name: &str) -> Result<UnixListener, BindError> {
    let system = |errno: Errno| BindError::System(errno.into());
    match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            let is_socket = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFSOCK;
            if !is_socket || stat.st_uid != geteuid().as_raw() {
                return Err(BindError::Occupied);
            }
            remove(directory, name).map_err(BindError::System)?;
        }
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(system(errno)),
    }
    let listener = UnixListener::bind(path_of(directory, name)).map_err(BindError::System)?;
    fchmodat(directory, name, Mode::S_IRUSR | Mode::S_IWUSR, FchmodatFlags::FollowSymlink).map_err(system)?;
    listener.set_nonblocking(true).map_err(BindError::System)?;
    Ok(listener)
}

/// Connects to a listening socket within `limit`; the stream blocks.
///
/// # Errors
/// Nobody listens, we may not, or the queue of those who wait to be accepted stays full (`WouldBlock`).
pub fn connect(directory: BorrowedFd<'_>, name: &str, limit: Duration) -> io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let limit = TimeVal::new(limit.as_secs().try_into().unwrap_or(i64::MAX), limit.subsec_micros().into());
    // It bounds connect(2) too: unix(7) sockets wait there for room.
    setsockopt(&socket, SendTimeout, &limit)?;
    nix::sys::socket::connect(socket.as_raw_fd(), &UnixAddr::new(&path_of(directory, name))?)?;
    Ok(UnixStream::from(socket))
}

/// Removes a name (unlinkat(2)).
///
/// # Errors
/// It is not there, or we may not.
pub fn remove(directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    Ok(unlinkat(directory, name, UnlinkatFlags::NoRemoveDir)?)
}

/// The user at the other end when it connected (SO_PEERCRED, unix(7)).
///
/// # Errors
/// The system does not say.
pub fn peer_user(stream: &UnixStream) -> io::Result<u32> {
    Ok(getsockopt(stream, PeerCredentials)?.uid())
}

/// A lock on a directory by a file in it; gone with the process, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Takes the lock of this name (flock(2)), and writes our process id into it, for people. None: another process
/// has it.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock(directory: BorrowedFd<'_>, name: &str) -> io::Result<Option<Lock>> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file: OwnedFd = openat(directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let Some(mut file) = super::lock::lock(File::from(file))? else { return Ok(None) };
    // Only for people: that it cannot be written, on a full disk, is no reason not to start.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Some(Lock { _file: file }))
}

/// The process that has the lock, as it says itself.
pub fn lock_holder(directory: BorrowedFd<'_>, name: &str) -> Option<u32> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file: OwnedFd = openat(directory, name, flags, Mode::empty()).ok()?;
    let mut text = String::new();
    File::from(file).take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn path_of(directory: BorrowedFd<'_>, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_fd().as_raw_fd()))
}
