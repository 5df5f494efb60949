//! A fanotify group that reports by handle and name: fanotify(7), fanotify_init(2), fanotify_mark(2).
//!
//! What a kernel can do is found out by asking it, never by its version: distributions carry features back.
#![expect(unsafe_code, reason = "a descriptor that was handed over comes without its type")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// The subject is a directory; in a mark: events on directories too.
pub const ON_DIRECTORY: u64 = libc::FAN_ONDIR;
/// In a mark on a directory: events on its entries too.
pub const ON_CHILD: u64 = libc::FAN_EVENT_ON_CHILD;
/// Kind of the record that names a mount (Linux 6.15); libc does not have it.
pub(super) const FAN_EVENT_INFO_TYPE_MNT: u8 = 7;

/// Bytes of a read buffer: some 5000 events at once, so that what tells where a directory was that is gone already is
/// mostly read together with what happened in it.
pub const BUFFER_LEN: usize = 512 * 1024;

/// A group, and how much of what we would like the kernel agreed to.
#[derive(Debug)]
pub struct Group {
    fanotify: Fanotify,
    features: Features,
}

/// How much of what we would like the kernel agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Every event names the object that it happened to (FAN_REPORT_TARGET_FID, Linux 5.17). The kernel takes
    /// FAN_RENAME since the same version.
    pub has_targets: bool,
    /// The group may mark whole file systems, has no limit of marks, and is told who did it (CAP_SYS_ADMIN).
    pub is_privileged: bool,
}

/// What a mark is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One directory, with what happens to its entries.
    Directory,
    /// One entry itself, never what a symbolic link leads to.
    Entry,
    /// The whole file system.
    Filesystem,
}

impl Group {
    /// Makes a group (fanotify_init(2)), as good a one as the kernel grants.
    ///
    /// # Errors
    /// EMFILE: too many groups of this user (`fs.fanotify.max_user_groups`) or descriptors; ENOSYS, EPERM or
    /// EINVAL: a kernel without fanotify, or older than 5.13 (5.9 as root).
    pub fn new() -> io::Result<Group> {
        let mut refusal = Errno::EINVAL;
        for features in Features::PREFERENCES {
            match Fanotify::init(features.init_flags(), EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC) {
                Ok(fanotify) => return Ok(Group { fanotify, features }),
                // Not privileged, or an older kernel: ask for less.
                Err(errno @ (Errno::EPERM | Errno::EINVAL)) => refusal = errno,
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(refusal.into())
    }

    /// Takes over a group that another life of this program made.
    ///
    /// # Errors
    /// It is something else, or a group with other flags than ours: its records would have another shape, or it waits
    /// for answers.
    pub fn adopt(fd: OwnedFd) -> io::Result<Group> {
        let unfit =
            || io::Error::new(io::ErrorKind::InvalidInput, "it is no group of events as this program makes");
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
        let flags = info.lines().find_map(|line| line.strip_prefix("fanotify flags:"));
        let flags = flags.and_then(|line| u32::from_str_radix(line.split(' ').next()?, 16).ok());
        let features =
            Features::PREFERENCES.into_iter().find(|features| Some(features.init_flags().bits()) == flags);
        let features = features.ok_or_else(unfit)?;
        // SAFETY: the kernel says in fdinfo, proc_pid_fdinfo(5), that it is a fanotify group.
        let fanotify = unsafe { Fanotify::from_owned_fd(fd) };
        Ok(Group { fanotify, features })
    }

    /// Takes all marks away; what waits to be read stays (fanotify_mark(2), FAN_MARK_FLUSH).
    ///
    /// # Errors
    /// The system refuses.
    pub fn unmark(&self) -> io::Result<()> {
        for subjects in [MarkFlags::empty(), MarkFlags::FAN_MARK_FILESYSTEM] {
            let flags = MarkFlags::FAN_MARK_FLUSH | subjects;
            self.fanotify.mark(flags, MaskFlags::empty(), self.fanotify.as_fd(), None::<&Path>)?;
        }
        Ok(())
    }

    /// Puts a mark on an object that nobody else knows, on a file system whose id is its own. From then on the kernel
    /// refuses (EXDEV) to let the group mark file systems whose id is not: without it, the first of them could take
    /// the whole group for itself.
    pub fn anchor(&self) {
        let name = c"facron anchor";
        let Ok(file) = memfd_create(name, MFdFlags::MFD_CLOEXEC) else { return };
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // Where it is refused, file systems are told apart later, when the second kind comes.
        let _ = self.fanotify.mark(
            MarkFlags::FAN_MARK_ADD,
            MaskFlags::from_bits_retain(libc::FAN_DELETE_SELF),
            file.as_fd(),
            Some(path.as_str()),
        );
    }

    /// How much of what we would like the kernel agreed to.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Adds bits to a mark, which comes into being if need be (fanotify_mark(2)). Without a name it is that of `at`
    /// itself, which must be opened for more than as a mere place; that spares the kernel a walk to `.`.
    ///
    /// # Errors
    /// EXDEV: this file system needs a group of its own; ENODEV, EOPNOTSUPP: it cannot be marked so; EPERM: a
    /// privilege is missing; EACCES: it may not be read; ENOSPC: no more marks (`fs.fanotify.max_user_marks`);
    /// ENOTDIR; ENOENT.
    pub fn add(
        &self,
        subject: Subject,
        mask: u64,
        at: BorrowedFd<'_>,
        name: Option<&Path>,
    ) -> Result<(), Errno> {
        self.mark(MarkFlags::FAN_MARK_ADD, subject, mask, at, name)
    }

    /// Takes bits from a mark, which goes with its last one (fanotify_mark(2)). That there is none is fine.
    ///
    /// # Errors
    /// As [`Group::add`].
    pub fn remove(&self, subject: Subject, mask: u64, at: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
        match self.mark(MarkFlags::FAN_MARK_REMOVE, subject, mask, at, Some(name)) {
            Err(Errno::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// Reads the events that wait, as many as fit; 0 bytes: none wait (read(2)).
    ///
    /// # Errors
    /// The system refuses to read.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match nix::unistd::read(&self.fanotify, buffer) {
                Ok(len) => return Ok(len),
                Err(Errno::EAGAIN) => return Ok(0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn mark(
        &self,
        action: MarkFlags,
        subject: Subject,
        mask: u64,
        at: BorrowedFd<'_>,
        name: Option<&Path>,
    ) -> Result<(), Errno> {
        let flags = match subject {
            Subject::Directory => MarkFlags::FAN_MARK_ONLYDIR | MarkFlags::FAN_MARK_DONT_FOLLOW,
            Subject::Entry => MarkFlags::FAN_MARK_DONT_FOLLOW,
            Subject::Filesystem => MarkFlags::FAN_MARK_FILESYSTEM,
        };
        self.fanotify.mark(action | flags, MaskFlags::from_bits_retain(mask), at, name)
    }
}

impl Features {
    /// From the best to what is just enough.
    const PREFERENCES: [Features; 4] = [
        Features { has_targets: true, is_privileged: true },
        Features { has_targets: true, is_privileged: false },
        Features { has_targets: false, is_privileged: true },
        Features { has_targets: false, is_privileged: false },
    ];

    fn init_flags(self) -> InitFlags {
        let mut report = libc::FAN_REPORT_FID | libc::FAN_REPORT_DFID_NAME;
        if self.has_targets {
            report |= libc::FAN_REPORT_TARGET_FID;
        }
        let mut flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK;
        flags.set(InitFlags::FAN_UNLIMITED_MARKS, self.is_privileged);
        flags | InitFlags::from_bits_retain(report)
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fanotify.as_fd()
    }
}
