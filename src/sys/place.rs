//! Directories and their entries, opened so that no symbolic link is followed unseen and nothing blocks.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::statfs::fstatfs;

use super::peek::PATH_LEN_MAX;

/// Where a path begins that is not below an opened directory.
pub const ANYWHERE: BorrowedFd<'static> = AT_FDCWD;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, fifo or socket.
    Special,
}

/// What stat(2) says of an object, as far as we ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: Kind,
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// `st_nlink`; 0: removed.
    pub links: u64,
    /// `st_size`.
    pub len: u64,
    /// `st_ctime`: when content, owner, mode or name changed last; nobody can set it.
    pub changed: SystemTime,
}

/// Whether it is no failure that something could not be opened: it is not there any more, or something else is.
pub fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV | Errno::ESTALE)
}

/// Whether a failure says nothing of what was to be opened: there was no descriptor left, or no memory.
pub fn is_passing(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EINTR | Errno::EAGAIN)
}

/// … or a disk did not answer, which it may the next time.
pub fn may_pass(errno: Errno) -> bool {
    is_passing(errno) || errno == Errno::EIO
}

/// Opens an object as a mere place (O_PATH), the last component not followed: neither read, nor woken, nor blocked.
///
/// # Errors
/// ENOENT, ENOTDIR, EACCES and the like.
pub fn touch(at: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd, Errno> {
    open_long(at, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, ResolveFlag::empty())
}

/// Opens an object as a mere place; a symbolic link anywhere in the path is an error.
///
/// # Errors
/// ELOOP: there is a link; else as [`touch`].
pub fn touch_straight(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let straight = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    open_long(at, path, flags, straight)
}

/// Opens an object below an opened directory as a mere place; what leads out of the directory, as a symbolic link or
/// `..` may, is an error.
///
/// # Errors
/// ELOOP: there is a link; EXDEV: it leads out; else as [`touch`].
pub fn touch_beneath(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let beneath =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    open_long(at, path, flags, beneath)
}

/// Opens a directory to list it; a symbolic link anywhere in the path, or another mount, is an error.
///
/// # Errors
/// ELOOP: there is a link; EXDEV: another mount begins on the way; else as [`touch`].
pub fn open_directory(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let straight =
        ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    open_long(at, path, flags, straight)
}

/// Opens a directory through which objects of its mount can be opened by their handles, for which a mere place does
/// not do; a symbolic link anywhere in the path is an error.
///
/// # Errors
/// As [`open_directory`], but for EXDEV.
pub fn open_door(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let straight = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    open_long(at, path, flags, straight)
}

/// openat2(2), for paths of any length: one that is longer than the kernel takes is opened piece by piece, each below the
/// one before.
fn open_long(at: BorrowedFd<'_>, path: &Path, flags: OFlag, resolve: ResolveFlag) -> Result<OwnedFd, Errno> {
    let open = |at: BorrowedFd<'_>, piece: &[u8], flags: OFlag| {
        openat2(at, OsStr::from_bytes(piece), OpenHow::new().flags(flags).resolve(resolve))
    };
    let mut rest = path.as_os_str().as_bytes();
    let mut above: Option<OwnedFd> = None;
    while rest.len() >= PATH_LEN_MAX {
        let end = rest[..PATH_LEN_MAX].iter().rposition(|byte| *byte == b'/').filter(|end| *end > 0);
        let end = end.ok_or(Errno::ENAMETOOLONG)?;
        let at = above.as_ref().map_or(at, |above| above.as_fd());
        let way = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        above = Some(open(at, &rest[..end], way)?);
        rest = &rest[end + 1..];
    }
    open(above.as_ref().map_or(at, |above| above.as_fd()), rest, flags)
}

/// What an opened object is (fstat(2)).
///
/// # Errors
/// The file system's own.
pub fn status(fd: BorrowedFd<'_>) -> Result<Status, Errno> {
    fstat(fd).map(|stat| Status::from(&stat))
}

/// What an entry of a directory is, the last component not followed (fstatat(2)).
///
/// # Errors
/// ENOENT, EACCES and the like.
pub fn status_at(at: BorrowedFd<'_>, name: &Path) -> Result<Status, Errno> {
    if name.as_os_str().len() >= PATH_LEN_MAX {
        return status(touch(at, name)?.as_fd());
    }
    fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| Status::from(&stat))
}

/// The id that fanotify reports for what lies on this object's file system (statfs(2)).
///
/// # Errors
/// The file system's own.
#[expect(unsafe_code, reason = "libc hides what is in an fsid_t")]
pub fn fsid(fd: BorrowedFd<'_>) -> Result<[i32; 2], Errno> {
    let fsid = fstatfs(fd)?.filesystem_id();
    // SAFETY: fsid_t is two ints in a row, without padding, on every Linux (statfs(2)).
    Ok(unsafe { std::mem::transmute::<libc::fsid_t, [i32; 2]>(fsid) })
}

/// The mount that an object was opened through, by an id that is never used again (Linux 6.8), else by one that may
/// be; 0: the kernel says neither (before 5.8). Does not ask the file system (statx(2)).
///
/// # Errors
/// ENOMEM.
#[expect(unsafe_code, reason = "nix has no statx")]
pub fn mount_id(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mask = libc::STATX_MNT_ID | libc::STATX_MNT_ID_UNIQUE;
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let mut status = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: statx(2) takes an empty path with AT_EMPTY_PATH, and writes one `struct statx`.
    let result = unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), flags, mask, status.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid `struct statx`, whatever the kernel wrote over it.
    let status = unsafe { status.assume_init() };
    Errno::result(result)?;
    Ok(if status.stx_mask & mask != 0 { status.stx_mnt_id } else { 0 })
}

/// Opens what a mere place stands for to read it, without ever waiting for anybody: only for regular files.
///
/// # Errors
/// EACCES: not ours to read; EWOULDBLOCK: a lease on it is being broken (fcntl(2), F_SETLEASE).
pub fn open_for_reading(place: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    open(format!("/proc/self/fd/{}", place.as_raw_fd()).as_str(), flags, Mode::empty())
}

impl From<&FileStat> for Status {
    fn from(stat: &FileStat) -> Self {
        let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
        let nanoseconds = u32::try_from(stat.st_ctime_nsec).unwrap_or(0);
        Status {
            kind: Kind::from(SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())),
            device: stat.st_dev,
            inode: stat.st_ino,
            links: stat.st_nlink,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            changed: SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds),
        }
    }
}

impl From<SFlag> for Kind {
    fn from(flag: SFlag) -> Self {
        match flag {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Directory,
            SFlag::S_IFLNK => Kind::Link,
            _ => Kind::Special,
        }
    }
}

/// Whether two descriptors stand for the same object.
pub fn is_same(one: &Status, other: &Status) -> bool {
    (one.device, one.inode) == (other.device, other.inode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;

    #[test]
    fn a_link_is_never_followed_unseen() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("a")).expect("a directory");
        std::os::unix::fs::symlink("a", directory.path().join("l")).expect("a link");
        let link = touch(ANYWHERE, &directory.path().join("l")).expect("the link itself");
        assert_eq!(status(link.as_fd()).expect("a status").kind, Kind::Link);
        assert_eq!(open_directory(ANYWHERE, &directory.path().join("l")).err(), Some(Errno::ELOOP));
        assert_eq!(touch_straight(ANYWHERE, &directory.path().join("l/.")).err(), Some(Errno::ELOOP));
    }
}
