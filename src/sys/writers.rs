//! Whether somebody holds a file open for writing.
//!
//! The kernel counts writers but shows the count to nobody; the one question that it answers is whether a read
//! lease may be had (fcntl(2), F_SETLEASE): only while nobody writes. The lease is given back at once. Limits: the
//! file must be ours or CAP_LEASE held, readable, and on a file system with leases; and somebody who opens the
//! file for writing in the microsecond of the lease waits for its end, or with O_NONBLOCK is told EWOULDBLOCK.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;

use super::place::{self, Kind, Status};

/// `F_SETSIG` of fcntl(2), the same on every architecture; libc does not have it.
const F_SETSIG: i32 = 10;

/// What a look at an entry shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// What it is.
    pub status: Status,
    /// Who writes; of something that is no regular file nobody.
    pub writers: Writers,
}

/// Whether somebody holds a file open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Nobody.
    None,
    /// Somebody.
    Some,
    /// The kernel does not tell us.
    Unknown,
}

/// Looks at an entry; a symbolic link anywhere on the way is an error.
///
/// # Errors
/// ENOENT: it is not there; EACCES: it is not ours to see; ELOOP: there is a link on the way.
pub fn look(path: &Path) -> Result<Glance, Errno> {
    let place = place::touch_straight(place::ANYWHERE, path)?;
    let status = place::status(place.as_fd())?;
    let writers = match status.kind {
        Kind::File => writers(place.as_fd()),
        Kind::Directory | Kind::Link | Kind::Special => Writers::None,
    };
    Ok(Glance { status, writers })
}

/// Whether somebody holds this regular file, opened as a mere place, open for writing.
pub fn writers(place: BorrowedFd<'_>) -> Writers {
    let file = match place::open_for_reading(place) {
        Ok(file) => file,
        // Somebody holds a lease to write, which is being called back.
        Err(Errno::EWOULDBLOCK) => return Writers::Some,
        // Nobody can tell now: whoever waits for writers asks again.
        Err(errno) if place::may_pass(errno) => return Writers::Some,
        Err(_) => return Writers::Unknown,
    };
    // Whoever opens the file for writing meanwhile breaks the lease, and we would be killed by SIGIO; SIGURG is
    // ignored unless asked for.
    if let Err(errno) = fcntl(file.as_fd(), F_SETSIG, libc::SIGURG) {
        return if place::may_pass(errno) { Writers::Some } else { Writers::Unknown };
    }
    match fcntl(file.as_fd(), libc::F_SETLEASE, libc::F_RDLCK) {
        // The lease goes with the last descriptor, which is this one.
        Ok(()) => Writers::None,
        Err(errno) if errno == Errno::EAGAIN || place::may_pass(errno) => Writers::Some,
        Err(_) => Writers::Unknown,
    }
}

#[expect(unsafe_code, reason = "nix's fcntl knows no leases")]
fn fcntl(fd: BorrowedFd<'_>, command: i32, argument: i32) -> Result<(), Errno> {
    // SAFETY: F_SETSIG and F_SETLEASE take an int (fcntl(2)); the descriptor is open as long as it is borrowed.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), command, argument) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    #[test]
    fn a_writer_is_seen_as_long_as_it_holds_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("f");
        let writer = File::create(&path).expect("a file");
        let look = || look(&path).expect("it is there").writers;
        assert_eq!(look(), Writers::Some);
        drop(writer);
        assert_eq!(look(), Writers::None);
        let reader = File::open(&path).expect("it can be read");
        assert_eq!(look(), Writers::None, "a reader is no writer");
        let writer = OpenOptions::new().append(true).open(&path).expect("it can be written");
        drop(reader);
        assert_eq!(look(), Writers::Some);
        drop(writer);
        assert_eq!(look(), Writers::None, "no lease is left behind");
    }

    #[test]
    fn a_fifo_is_not_opened() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        let glance = look(&path).expect("it is there");
        assert_eq!((glance.status.kind, glance.writers), (Kind::Special, Writers::None));
        assert_eq!(super::look(&directory.path().join("none")), Err(Errno::ENOENT));
    }
}
