//! A look at descriptors and living processes through /proc and stat, into buffers of the caller: for those who
//! must not allocate because somebody waits for them.

use std::ffi::CStr;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{self, Pid};

/// Bytes of the longest path that the kernel tells of a descriptor (PATH_MAX).
pub const PATH_LEN_MAX: usize = libc::PATH_MAX as usize;

/// Which file it is, and in what state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// `st_ctim`: changes whenever the file is written to, and nobody can set it back.
    pub changed: (i64, i64),
    /// Whether it is a directory.
    pub is_dir: bool,
}

impl Identity {
    /// Of the file that is open here: fstat(2).
    ///
    /// # Errors
    /// The file system cannot say.
    pub fn of(file: BorrowedFd<'_>) -> io::Result<Identity> {
        let stat = fstat(file)?;
        Ok(Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            changed: (stat.st_ctime, stat.st_ctime_nsec),
            is_dir: SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT) == SFlag::S_IFDIR,
        })
    }
}

/// The name of an open descriptor in /proc: `/proc/self/fd/N`.
#[derive(Debug)]
pub struct DescriptorPath([u8; 32]);

impl DescriptorPath {
    /// Of this descriptor.
    pub fn of(file: BorrowedFd<'_>) -> DescriptorPath {
        DescriptorPath(format_path(format_args!("/proc/self/fd/{}", file.as_raw_fd())))
    }

    /// As system calls take it.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).expect("the number of a descriptor leaves room for the NUL")
    }
}

/// The path of an open file as the kernel shows it, with ` (deleted)` behind it where it has no name any more:
/// readlink(2) of its name in /proc. Opens nothing.
///
/// # Errors
/// The path is longer than the buffer, or /proc is not mounted.
#[expect(unsafe_code, reason = "readlink(2) into a buffer of the caller; the wrappers allocate")]
pub fn path_of<'b>(file: BorrowedFd<'_>, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let name = DescriptorPath::of(file);
    let (target, room) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: readlink(2) reads the name, which ends in a NUL, and writes at most `room` bytes into the buffer.
    let len = unsafe { libc::readlink(name.as_c_str().as_ptr(), target, room) };
    let len = usize::try_from(Errno::result(len)?).expect("a length is not negative");
    if len == buffer.len() {
        return Err(Errno::ENAMETOOLONG.into());
    }
    Ok(&buffer[..len])
}

/// The session of a living process: getsid(2). None for 0, the process that nobody here can name.
pub fn session_of(pid: i32) -> Option<i32> {
    let pid = (pid > 0).then(|| Pid::from_raw(pid))?;
    unistd::getsid(Some(pid)).ok().map(Pid::as_raw)
}

/// The parent of a living process: proc_pid_stat(5).
///
/// # Errors
/// It is gone, or there is no descriptor left to look.
pub fn parent_of(pid: i32) -> io::Result<i32> {
    let mut buffer = [0; 512];
    let path: [u8; 32] = format_path(format_args!("/proc/{pid}/stat"));
    let stat = read_file(&path, &mut buffer)?;
    parent_in(stat).ok_or_else(|| Errno::EINVAL.into())
}

/// The control groups of a living process, a line each: cgroups(7), `/proc/PID/cgroup`.
///
/// # Errors
/// It is gone, or there is no descriptor left to look.
pub fn cgroups_of(pid: i32, buffer: &mut [u8]) -> io::Result<&[u8]> {
    let path: [u8; 32] = format_path(format_args!("/proc/{pid}/cgroup"));
    read_file(&path, buffer)
}

/// The fourth field: behind the name of the program, which may itself hold spaces and parentheses.
fn parent_in(stat: &[u8]) -> Option<i32> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let field = stat[name_end + 1..].split(|byte| *byte == b' ').filter(|field| !field.is_empty()).nth(1)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn format_path<const LEN: usize>(path: std::fmt::Arguments<'_>) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    // One byte stays behind for the NUL.
    (&mut bytes[..LEN - 1]).write_fmt(path).expect("the path of a number fits");
    bytes
}

fn read_file<'b>(path: &[u8], buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let path = CStr::from_bytes_until_nul(path).expect("format_path leaves room for the NUL");
    let file = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let len = unistd::read(&file, buffer)?;
    Ok(&buffer[..len])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn the_parent_is_found_behind_every_name() {
        assert_eq!(parent_in(b"12 (sh) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent_in(b"12 (a) R 99 (x) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent_in(b"12 (sh"), None);
        assert_eq!(parent_in(b""), None);
    }

    #[test]
    fn a_process_is_known_while_it_lives() {
        let own = std::process::id().cast_signed();
        assert_eq!(parent_of(own).expect("we live"), std::os::unix::process::parent_id().cast_signed());
        assert!(session_of(own).is_some());
        assert_eq!(session_of(0), None, "0 would ask for our own session");
        assert!(cgroups_of(own, &mut [0; 4096]).is_ok());
        assert!(parent_of(i32::MAX).is_err());
    }

    #[test]
    fn an_open_file_tells_its_path() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a b");
        let file = std::fs::File::create(&path).expect("a file");
        let mut buffer = [0; PATH_LEN_MAX];
        let told = path_of(file.as_fd(), &mut buffer).expect("it is open");
        assert_eq!(
            told,
            std::os::unix::ffi::OsStrExt::as_bytes(path.canonicalize().expect("it is there").as_os_str())
        );
        let before = Identity::of(file.as_fd()).expect("it is open");
        std::fs::remove_file(&path).expect("ours");
        assert_eq!(Identity::of(file.as_fd()).expect("it is open").inode, before.inode);
        assert!(path_of(file.as_fd(), &mut buffer).expect("it is open").ends_with(b"a b (deleted)"));
        assert!(path_of(file.as_fd(), &mut [0; 8]).is_err(), "never half a path");
    }
}
