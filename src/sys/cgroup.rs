//! Control groups: cgroups(7). Version 2 holds processes together and ends them; version 1 is used for its pids
//! controller alone, where a machine has that nowhere else.

use std::cell::{Cell, OnceCell};
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::uio::pread;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::listing::{Buffer, Listing};
use super::mounts::{Mount, Mountinfo};
use super::place::{self, Kind};

/// Bytes of `cgroup.events` that are read: a word and a number a line, two lines so far.
const EVENTS_LEN: usize = 256;

/// Bytes of `cgroup.procs` that are read at most: some 8 000 processes.
const MEMBERS_LEN_MAX: u64 = 64 * 1024;

/// How deep groups below one that is removed are looked for.
const DEPTH_MAX: usize = 32;

/// The extended attribute of a group whose processes are to be left alone.
const MARK: &CStr = c"user.facron.kept";

/// Which of the two kinds of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one hierarchy of version 2, also where it stands beside those of version 1.
    Two,
    /// The hierarchy of version 1 that has this controller.
    One(&'static str),
}

/// A control group, by its directory.
#[derive(Debug)]
pub struct ControlGroup {
    directory: OwnedFd,
    /// `cgroup.events`, once it was asked for: in a burst it is read after every run.
    events: OnceCell<OwnedFd>,
    was_killed: Cell<bool>,
}

/// Where this process is in a hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The directory.
    pub directory: PathBuf,
    /// The path from the root of the hierarchy, as /proc/PID/cgroup writes it.
    pub path: PathBuf,
}

impl Location {
    /// Looks it up in /proc/self/cgroup and /proc/self/mountinfo.
    ///
    /// # Errors
    /// ENOENT: there is no such hierarchy, or it is mounted nowhere that we can see.
    pub fn own(version: Version) -> io::Result<Location> {
        let missing = || io::Error::from(Errno::ENOENT);
        let path = path_in(&std::fs::read("/proc/self/cgroup")?, version).ok_or_else(missing)?;
        let mounts = Mountinfo::open()?.read()?;
        let is_it = |mount: &&Mount| match version {
            Version::Two => mount.kind == "cgroup2",
            Version::One(controller) => mount.kind == "cgroup" && is_named_for(&mount.point, controller),
        };
        let directory = mounts.iter().filter(is_it).find_map(|mount| {
            let below = path.strip_prefix(&mount.root).ok()?;
            Some(mount.point.join(below))
        });
        Ok(Location { directory: directory.ok_or_else(missing)?, path })
    }
}

/// Hierarchies of version 1 are mounted at the names of their controllers: `pids`, `cpu,cpuacct`. Where one is not, it is
/// not found, and a wrong one has no such files.
fn is_named_for(point: &Path, controller: &str) -> bool {
    let name = point.file_name().unwrap_or_default().as_bytes();
    name.split(|byte| *byte == b',').any(|name| name == controller.as_bytes())
}

impl ControlGroup {
    fn of(directory: OwnedFd) -> ControlGroup {
        ControlGroup { directory, events: OnceCell::new(), was_killed: Cell::new(false) }
    }

    /// Opens an existing one by its directory.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(directory: &Path) -> Result<ControlGroup, Errno> {
        open(directory, DIRECTORY, Mode::empty()).map(ControlGroup::of)
    }

    /// Makes one in this one, or opens it where it exists.
    ///
    /// # Errors
    /// EROFS, EACCES: it is not ours to divide.
    pub fn make(&self, name: &str) -> Result<ControlGroup, Errno> {
        match mkdirat(&self.directory, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => self.child(name.as_ref()),
            Err(errno) => Err(errno),
        }
    }

    /// Opens one in this one.
    ///
    /// # Errors
    /// ENOENT.
    pub fn child(&self, name: &OsStr) -> Result<ControlGroup, Errno> {
        openat(&self.directory, name, DIRECTORY, Mode::empty()).map(ControlGroup::of)
    }

    /// The names of those in this one.
    pub fn children(&self) -> Vec<OsString> {
        let mut names = Vec::new();
        let Ok(directory) = openat(&self.directory, ".", DIRECTORY, Mode::empty()) else { return names };
        let mut buffer = Buffer::default();
        let mut listing = Listing::of(directory.as_fd(), &mut buffer);
        while let Some(Ok(entry)) = listing.next_entry() {
            if entry.kind == Some(Kind::Directory) {
                names.push(entry.name.to_owned());
            }
        }
        names
    }

    /// Removes one in this one, and those below it: a group goes when no process is left in it.
    ///
    /// # Errors
    /// EBUSY: somebody is in there.
    pub fn remove(&self, name: &OsStr) -> Result<(), Errno> {
        self.remove_to_depth(name, DEPTH_MAX)
    }

    fn remove_to_depth(&self, name: &OsStr, depth: usize) -> Result<(), Errno> {
        let removed = unlinkat(&self.directory, name, UnlinkatFlags::RemoveDir);
        // A group with groups in it is as busy as one with processes.
        if removed != Err(Errno::EBUSY) || depth == 0 {
            return removed;
        }
        let group = self.child(name)?;
        for below in group.children() {
            // One that is busy keeps those above it, which the last attempt says.
            let _ = group.remove_to_depth(&below, depth - 1);
        }
        unlinkat(&self.directory, name, UnlinkatFlags::RemoveDir)
    }

    /// Ends every process in it and below it, however they fork meanwhile (`cgroup.kill`, Linux 5.14).
    ///
    /// # Errors
    /// ENOENT: the kernel is too old.
    pub fn kill(&self) -> Result<(), Errno> {
        self.was_killed.set(true);
        self.write("cgroup.kill", "1")
    }

    /// Whether a process is in it or below it that has not ended.
    ///
    /// # Errors
    /// ENODEV, ENOENT: it was removed.
    pub fn is_populated(&self) -> Result<bool, Errno> {
        Ok(has_line(self.events(&mut [0; EVENTS_LEN])?, b"populated 1"))
    }

    /// Whether it is as it was when it was made: without processes and groups, not frozen, and never killed. The
    /// kernel counts kills, and ends what is cloned straight into a group whose count is not that of the cloner's own
    /// (tried on Linux 6.18).
    pub fn is_clean(&self) -> bool {
        if self.was_killed.get() {
            return false;
        }
        let mut buffer = [0; EVENTS_LEN];
        let events = self.events(&mut buffer).unwrap_or_default();
        let is_idle = has_line(events, b"populated 0") && has_line(events, b"frozen 0");
        // Its own name and its own `.`; each group in it is a link more.
        is_idle && place::status(self.directory.as_fd()).is_ok_and(|status| status.links == 2)
    }

    /// The processes in it, as far as this process can name them; those below it not.
    pub fn members(&self) -> Vec<i32> {
        let text = self.read("cgroup.procs", MEMBERS_LEN_MAX).unwrap_or_default();
        let ids = text.split(|byte| *byte == b'\n');
        ids.filter_map(|id| std::str::from_utf8(id).ok()?.parse().ok()).filter(|id| *id != 0).collect()
    }

    /// `cgroup.procs` opened for writing: who writes `0` there enters.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn entrance(&self) -> Result<OwnedFd, Errno> {
        openat(&self.directory, "cgroup.procs", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// Whether it is the root of the hierarchy, whatever a namespace makes it look like: that has no type.
    pub fn is_root(&self) -> bool {
        self.read("cgroup.type", 64) == Err(Errno::ENOENT)
    }

    /// Puts this process into it.
    ///
    /// # Errors
    /// EACCES, EOPNOTSUPP: the group takes no processes, or not from where we are.
    pub fn enter(&self) -> Result<(), Errno> {
        self.write("cgroup.procs", "0")
    }

    /// Has groups in this one limited by a controller (`cgroup.subtree_control`).
    ///
    /// # Errors
    /// ENOENT: there is no such controller here; EBUSY: processes are in it.
    pub fn enable(&self, controller: &str) -> Result<(), Errno> {
        self.write("cgroup.subtree_control", &format!("+{controller}"))
    }

    /// Limits the processes in it and below it (`pids.max`); none: no limit.
    ///
    /// # Errors
    /// ENOENT: its parent has no pids controller enabled.
    pub fn limit_processes(&self, count: Option<u64>) -> Result<(), Errno> {
        self.write("pids.max", &count.map_or("max".to_owned(), |count| count.to_string()))
    }

    /// Takes hold of it for as long as the result lives, and this process: flock(2).
    ///
    /// # Errors
    /// EWOULDBLOCK: another process has it.
    pub fn lock(&self) -> Result<Lock, Errno> {
        let directory = openat(&self.directory, ".", DIRECTORY, Mode::empty())?;
        Flock::lock(directory, FlockArg::LockExclusiveNonblock).map(Lock).map_err(|(_, errno)| errno)
    }

    /// Notes that the processes in it were left there on purpose: fsetxattr(2).
    ///
    /// # Errors
    /// EOPNOTSUPP: the kernel is too old (before 5.7).
    #[expect(unsafe_code, reason = "nix has no extended attributes")]
    pub fn mark(&self) -> Result<(), Errno> {
        let directory = self.directory.as_raw_fd();
        // SAFETY: fsetxattr(2) reads the name, which ends in NUL, and a value of no bytes.
        let result = unsafe { libc::fsetxattr(directory, MARK.as_ptr(), std::ptr::null(), 0, 0) };
        Errno::result(result).map(drop)
    }

    /// Whether it was marked, by this process or an earlier one: fgetxattr(2).
    #[expect(unsafe_code, reason = "nix has no extended attributes")]
    pub fn is_marked(&self) -> bool {
        let directory = self.directory.as_raw_fd();
        // SAFETY: fgetxattr(2) reads the name, which ends in NUL, and writes nothing where there is no room.
        unsafe { libc::fgetxattr(directory, MARK.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
    }

    fn write(&self, file: &str, text: &str) -> Result<(), Errno> {
        let file = openat(&self.directory, file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        File::from(file).write_all(text.as_bytes()).map_err(errno_of)
    }

    fn events<'b>(&self, buffer: &'b mut [u8; EVENTS_LEN]) -> Result<&'b [u8], Errno> {
        let file = match self.events.get() {
            Some(file) => file,
            None => {
                let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
                let file = openat(&self.directory, "cgroup.events", flags, Mode::empty())?;
                self.events.get_or_init(|| file)
            }
        };
        let len = pread(file, buffer, 0)?;
        Ok(&buffer[..len])
    }

    fn read(&self, file: &str, len_max: u64) -> Result<Vec<u8>, Errno> {
        let file = openat(&self.directory, file, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut text = Vec::new();
        File::from(file).take(len_max).read_to_end(&mut text).map_err(errno_of)?;
        Ok(text)
    }
}

/// As [`ControlGroup`]s are opened.
const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// A group that is in use by a living process.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is held, not used")] Flock<OwnedFd>);

impl AsFd for ControlGroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// The path of a process in the hierarchy of version 2; none: it is gone, or there is no such hierarchy.
pub fn path_of(pid: i32) -> Option<PathBuf> {
    path_in(&std::fs::read(format!("/proc/{pid}/cgroup")).ok()?, Version::Two)
}

/// The path in the text of /proc/PID/cgroup: `0::/path` for version 2, `4:cpu,pids:/path` for version 1.
fn path_in(text: &[u8], version: Version) -> Option<PathBuf> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match version {
            Version::Two => number == b"0" && controllers.is_empty(),
            Version::One(name) => {
                controllers.split(|byte| *byte == b',').any(|controller| controller == name.as_bytes())
            }
        };
        is_it.then(|| PathBuf::from(OsString::from_vec(path.to_vec())))
    })
}

fn has_line(text: &[u8], line: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|found| found == line)
}

fn errno_of(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hierarchy_has_its_line() {
        let text = b"8:pids,cpu:/a:b\n1:name=systemd:/x\n0::/system.slice/facron.service\n";
        let path = |version| path_in(text, version).map(|path| path.display().to_string());
        assert_eq!(path(Version::Two).as_deref(), Some("/system.slice/facron.service"));
        assert_eq!(path(Version::One("pids")).as_deref(), Some("/a:b"));
        assert_eq!(path(Version::One("memory")), None);
        assert_eq!(path_in(b"rubbish\n0:\n", Version::Two), None);
    }
}
