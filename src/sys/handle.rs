//! Objects by file system and handle: the same object whatever happens to its name. name_to_handle_at(2),
//! open_by_handle_at(2).

use std::borrow::Borrow;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, readlink};

use super::decode::RawHandle;

/// MAX_HANDLE_SZ.
const HANDLE_LEN_MAX: usize = 128;
/// What stands before the handle in an [`ObjectKey`]: fsid, length, type.
const HEAD_LEN: usize = 16;

/// A file system's id and a file handle, laid out as in the records of fanotify(7), so that a record finds its
/// object without being copied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Box<[u8]>);

/// A file handle without its file system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    kind: i32,
    len: usize,
    bytes: [u8; HANDLE_LEN_MAX],
}

/// `struct file_handle` with room for the longest handle.
#[repr(C, align(8))]
struct Buffer {
    head: libc::file_handle,
    bytes: [u8; HANDLE_LEN_MAX],
}

/// The handle of an entry of a directory, links not followed; `.` is the directory itself, which may be opened
/// with O_PATH (name_to_handle_at(2)).
///
/// AT_HANDLE_FID gives what fanotify reports, on every file system; kernels before 6.5 know only handles that can
/// be opened again, which are the same where both exist.
///
/// # Errors
/// EOPNOTSUPP: the file system has no handles; ENOENT, EACCES and the like.
pub fn of(at: BorrowedFd<'_>, name: &Path) -> Result<Handle, Errno> {
    match handle(at, name, libc::AT_HANDLE_FID) {
        Err(Errno::EINVAL) => handle(at, name, 0),
        result => result,
    }
}

/// The handle of an opened object, which may be a mere place (O_PATH).
///
/// # Errors
/// As [`of`].
pub fn of_opened(fd: BorrowedFd<'_>) -> Result<Handle, Errno> {
    let nothing = Path::new("");
    match handle(fd, nothing, libc::AT_HANDLE_FID | libc::AT_EMPTY_PATH) {
        Err(Errno::EINVAL) => handle(fd, nothing, libc::AT_EMPTY_PATH),
        result => result,
    }
}

/// Opens an object by its handle, seen from the mount that `mount` lies on, which must be opened for more than as a
/// mere place (open_by_handle_at(2)).
///
/// # Errors
/// ESTALE: it is gone, or the file system cannot find it by its handle; EPERM: CAP_DAC_READ_SEARCH is missing.
#[expect(unsafe_code, reason = "nix has no open_by_handle_at")]
pub fn open(mount: BorrowedFd<'_>, key: &[u8], flags: OFlag) -> Result<OwnedFd, Errno> {
    let handle = Handle::from_key(key).ok_or(Errno::EINVAL)?;
    let mut buffer = handle.buffer();
    // SAFETY: open_by_handle_at(2) reads a `struct file_handle` of `handle_bytes` bytes behind its head; `buffer`
    // is one, properly aligned, with `handle_bytes` at most its room.
    let fd = unsafe {
        libc::open_by_handle_at(
            mount.as_raw_fd(),
            (&raw mut buffer).cast(),
            (flags | OFlag::O_CLOEXEC).bits(),
        )
    };
    let fd = Errno::result(fd)?;
    // SAFETY: the call succeeded, so `fd` is an open descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The path of an open object as this process would walk to it, seen from the mount that it was opened through;
/// ` (deleted)` at its end and paths outside of that mount are for the caller to tell apart.
///
/// # Errors
/// ENAMETOOLONG: it is deeper than PATH_MAX.
pub fn path_of(fd: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str()).map(PathBuf::from)
}

#[expect(unsafe_code, reason = "nix has no name_to_handle_at")]
fn handle(at: BorrowedFd<'_>, name: &Path, flags: i32) -> Result<Handle, Errno> {
    let mut buffer = Handle { kind: 0, len: HANDLE_LEN_MAX, bytes: [0; HANDLE_LEN_MAX] }.buffer();
    let mut mount_id = 0;
    let result = name.with_nix_path(|name| {
        // SAFETY: name_to_handle_at(2) writes at most `handle_bytes` bytes, which are there, behind the head of the
        // buffer, and a mount id; `name` ends in a NUL.
        unsafe {
            libc::name_to_handle_at(
                at.as_raw_fd(),
                name.as_ptr(),
                (&raw mut buffer).cast(),
                &raw mut mount_id,
                flags,
            )
        }
    })?;
    Errno::result(result)?;
    let len = buffer.head.handle_bytes as usize;
    Ok(Handle { kind: buffer.head.handle_type, len: len.min(HANDLE_LEN_MAX), bytes: buffer.bytes })
}

impl Handle {
    /// With its file system.
    pub fn on(&self, fsid: [i32; 2]) -> ObjectKey {
        let mut key = Vec::with_capacity(HEAD_LEN + self.len);
        key.extend_from_slice(&fsid[0].to_ne_bytes());
        key.extend_from_slice(&fsid[1].to_ne_bytes());
        key.extend_from_slice(&u32::try_from(self.len).unwrap_or(0).to_ne_bytes());
        key.extend_from_slice(&self.kind.to_ne_bytes());
        key.extend_from_slice(&self.bytes[..self.len]);
        ObjectKey(key.into())
    }

    fn from_key(key: &[u8]) -> Option<Handle> {
        let (head, handle) = key.split_at_checked(HEAD_LEN)?;
        let kind = i32::from_ne_bytes(*head.last_chunk()?);
        let mut bytes = [0; HANDLE_LEN_MAX];
        bytes.get_mut(..handle.len())?.copy_from_slice(handle);
        Some(Handle { kind, len: handle.len(), bytes })
    }

    fn buffer(&self) -> Buffer {
        let handle_bytes = u32::try_from(self.len).unwrap_or(0);
        let head = libc::file_handle { handle_bytes, handle_type: self.kind, f_handle: [] };
        Buffer { head, bytes: self.bytes }
    }
}

impl ObjectKey {
    /// From its parts.
    pub fn new(fsid: [i32; 2], kind: i32, handle: &[u8]) -> Option<ObjectKey> {
        let mut bytes = [0; HANDLE_LEN_MAX];
        bytes.get_mut(..handle.len())?.copy_from_slice(handle);
        Some(Handle { kind, len: handle.len(), bytes }.on(fsid))
    }

    /// From the bytes of a record; none: they are no handle.
    pub fn from_bytes(bytes: &[u8]) -> Option<ObjectKey> {
        Handle::from_key(bytes).map(|handle| handle.on(fsid_of(bytes)))
    }

    /// The id and the handle as they lie in a record.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The file system's id.
    pub fn fsid(&self) -> [i32; 2] {
        fsid_of(&self.0)
    }

    /// `handle_type` of `struct file_handle`.
    pub fn kind(&self) -> i32 {
        self.0[..HEAD_LEN].last_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes))
    }

    /// `f_handle` of `struct file_handle`.
    pub fn handle(&self) -> &[u8] {
        &self.0[HEAD_LEN..]
    }
}

/// The file system's id in the bytes of a key.
pub fn fsid_of(key: &[u8]) -> [i32; 2] {
    let half = |offset: usize| {
        let bytes = key.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| i32::from_ne_bytes(*bytes))
    };
    [half(0), half(4)]
}

impl From<RawHandle<'_>> for ObjectKey {
    fn from(raw: RawHandle<'_>) -> Self {
        ObjectKey(raw.as_bytes().into())
    }
}

impl Borrow<[u8]> for ObjectKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.on([0, 0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_directory_is_found_again_by_its_handle() {
        let directory = tempfile::tempdir().expect("a directory");
        let fd = File::open(directory.path()).expect("it can be opened");
        let handle = of(fd.as_fd(), Path::new(".")).expect("it has a handle");
        let key = handle.on([1, -2]);
        assert_eq!((key.fsid(), key.kind()), ([1, -2], handle.kind));
        assert_eq!(ObjectKey::new(key.fsid(), key.kind(), key.handle()), Some(key.clone()));
        match open(fd.as_fd(), key.borrow(), OFlag::O_PATH) {
            Ok(found) => assert_eq!(path_of(found.as_fd()).expect("a path"), directory.path()),
            Err(errno) => assert_eq!(errno, Errno::EPERM, "only without CAP_DAC_READ_SEARCH"),
        }
    }

    #[test]
    fn bytes_that_are_no_key_open_nothing() {
        let fd = File::open("/").expect("it can be opened");
        assert_eq!(open(fd.as_fd(), b"short", OFlag::O_PATH).err(), Some(Errno::EINVAL));
        assert_eq!(open(fd.as_fd(), &[0; 300], OFlag::O_PATH).err(), Some(Errno::EINVAL));
    }
}
