//! Permission groups of fanotify(7): their events are questions, and whoever opens waits for the answer.
//!
//! Reading and answering allocate nothing. When the last descriptor of a group closes, the kernel lets
//! everybody through who still waits; so a group is never passed on, and lives in a process that never forks.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use nix::unistd;

use super::peek::DescriptorPath;

/// Bytes of one event: a group without FAN_REPORT flags adds no records to `struct fanotify_event_metadata`.
pub const OPENING_LEN: usize = size_of::<libc::fanotify_event_metadata>();

/// Where the kernel looks for the errno in a response: FAN_DENY_ERRNO of `<linux/fanotify.h>`.
const ERRNO_SHIFT: u32 = 24;

/// A group whose openers wait.
#[derive(Debug)]
pub struct Group(Fanotify);

/// What a group is to be able to do beyond allowing and denying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Deny with an errno of choice (FAN_CLASS_PRE_CONTENT; Linux 6.14).
    pub errno: bool,
    /// Have verdicts written to the audit log (FAN_ENABLE_AUDIT).
    pub audit: bool,
}

/// Somebody who waits.
#[derive(Debug)]
pub struct Opening {
    /// The kernel's bits: FAN_OPEN_PERM and the like.
    pub mask: u64,
    /// The process that waits; 0 when it is in a foreign pid namespace. It is alive for as long as it waits.
    pub pid: i32,
    /// The file, open for reading; its number is the key of the answer. Reading it asks nobody.
    pub file: OwnedFd,
}

/// What an opener is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it may.
    pub is_allowed: bool,
    /// What a denied opener gets; EPERM is what every kernel can.
    pub errno: i32,
    /// Whether the audit log hears of it.
    pub is_audited: bool,
}

/// How an answer was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// As it was given.
    Whole,
    /// The verdict alone: the kernel knows no errno, or no audit, for this group.
    Plain,
    /// Nobody waits any more.
    Nobody,
}

impl Group {
    /// Makes a group with an unlimited queue (a full one lets openers through unasked): fanotify_init(2).
    ///
    /// Says what it can do: without audit in the kernel the group is made all the same.
    ///
    /// # Errors
    /// No CAP_SYS_ADMIN, too many groups, or a kernel without permission events.
    pub fn new(wanted: Abilities) -> io::Result<(Group, Abilities)> {
        let class = match wanted.errno {
            true => InitFlags::FAN_CLASS_PRE_CONTENT,
            false => InitFlags::FAN_CLASS_CONTENT,
        };
        let flags = class
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE
            | InitFlags::FAN_UNLIMITED_MARKS;
        // O_NONBLOCK: the kernel opens the file for us, and a FIFO without a writer would hold us up.
        let event_flags = EventFFlags::O_RDONLY
            | EventFFlags::O_LARGEFILE
            | EventFFlags::O_CLOEXEC
            | EventFFlags::O_NONBLOCK;
        if wanted.audit {
            let audit = InitFlags::from_bits_retain(libc::FAN_ENABLE_AUDIT);
            match Fanotify::init(flags | audit, event_flags) {
                Ok(fanotify) => return Ok((Group(fanotify), wanted)),
                Err(Errno::EINVAL | Errno::EPERM) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let fanotify = Fanotify::init(flags, event_flags)?;
        Ok((Group(fanotify), Abilities { audit: false, ..wanted }))
    }

    /// Marks the object that a descriptor (O_PATH will do) stands for: fanotify_mark(2). Opens nothing and
    /// follows no path but that of the descriptor in /proc.
    ///
    /// # Errors
    /// The kernel refuses: no such events on this kind of object, no memory, /proc not mounted.
    pub fn mark(&self, mask: u64, object: BorrowedFd<'_>) -> io::Result<()> {
        let path = DescriptorPath::of(object);
        let mask = MaskFlags::from_bits_retain(mask);
        Ok(self.0.mark(MarkFlags::FAN_MARK_ADD, mask, AT_FDCWD, Some(path.as_c_str()))?)
    }

    /// Takes all marks away: nobody is asked about any more; who waits still waits.
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub fn flush(&self) -> io::Result<()> {
        let no_path: Option<&std::ffi::CStr> = None;
        Ok(self.0.mark(MarkFlags::FAN_MARK_FLUSH, MaskFlags::empty(), AT_FDCWD, no_path)?)
    }

    /// Reads openings, as many as the buffer has room for ([`OPENING_LEN`] each): fanotify(7), read(2). None
    /// when nobody is left.
    ///
    /// Every opening must be answered: whoever is not waits for ever.
    ///
    /// # Errors
    /// EMFILE and the like: the kernel could not open the file of the first opening for us, and has denied it.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<Openings<'b>>> {
        match unistd::read(&self.0, buffer) {
            Ok(len) => Ok(Some(Openings { bytes: &buffer[..len] })),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Answers an opening: fanotify(7), `struct fanotify_response`. What the kernel does not know (an errno, the
    /// audit) is left away, so that nobody waits for the sake of it.
    ///
    /// # Errors
    /// The kernel refuses the plain answer too: the one who waits can be let go only by closing the group.
    pub fn answer(&self, file: BorrowedFd<'_>, answer: Answer) -> io::Result<Taken> {
        let (plain, refinement) = response(answer);
        let respond = |response: u32| {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&file.as_raw_fd().to_ne_bytes());
            bytes[4..].copy_from_slice(&response.to_ne_bytes());
            unistd::write(&self.0, &bytes)
        };
        let whole = match respond(plain | refinement) {
            Err(Errno::EINVAL) if refinement != 0 => respond(plain).map(|_| Taken::Plain),
            other => other.map(|_| Taken::Whole),
        };
        match whole {
            Err(Errno::ENOENT) => Ok(Taken::Nobody),
            other => Ok(other?),
        }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The verdict, and what refines it.
fn response(answer: Answer) -> (u32, u32) {
    let audit = if answer.is_audited { libc::FAN_AUDIT } else { 0 };
    match (answer.is_allowed, answer.errno) {
        (true, _) => (libc::FAN_ALLOW, audit),
        (false, libc::EPERM) => (libc::FAN_DENY, audit),
        (false, errno) => (libc::FAN_DENY, audit | (errno.unsigned_abs() << ERRNO_SHIFT)),
    }
}

/// The openings of one read, in the order of their coming.
#[derive(Debug)]
pub struct Openings<'b> {
    bytes: &'b [u8],
}

impl Iterator for Openings<'_> {
    type Item = Opening;

    #[expect(unsafe_code, reason = "a descriptor that the kernel gave us as a number")]
    fn next(&mut self) -> Option<Opening> {
        loop {
            let (record, rest) = Record::split(self.bytes)?;
            self.bytes = rest;
            if record.fd >= 0 {
                // SAFETY: fanotify(7): the descriptor in an event is open, and ours alone to close.
                let file = unsafe { OwnedFd::from_raw_fd(record.fd) };
                return Some(Opening { mask: record.mask, pid: record.pid, file });
            }
        }
    }
}

/// `struct fanotify_event_metadata`, as far as we need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    mask: u64,
    fd: RawFd,
    pid: i32,
}

impl Record {
    /// The first record, and what stands behind it; none at the end, or where the bytes make no sense.
    fn split(bytes: &[u8]) -> Option<(Record, &[u8])> {
        let (len, after) = bytes.split_first_chunk()?;
        let (_version, after) = after.split_at_checked(4)?;
        let (mask, after) = after.split_first_chunk()?;
        let (fd, after) = after.split_first_chunk()?;
        let (pid, _) = after.split_first_chunk()?;
        let len = u32::from_ne_bytes(*len) as usize;
        let rest = bytes.get(len.max(OPENING_LEN)..)?;
        let (fd, pid) = (RawFd::from_ne_bytes(*fd), i32::from_ne_bytes(*pid));
        Some((Record { mask: u64::from_ne_bytes(*mask), fd, pid }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One record as Linux 6.18 wrote it: a process opens a file of a marked directory.
    fn recorded(fd: RawFd, pid: i32) -> Vec<u8> {
        let mut bytes = vec![24, 0, 0, 0, 3, 0, 24, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        bytes.extend(fd.to_ne_bytes());
        bytes.extend(pid.to_ne_bytes());
        bytes
    }

    #[test]
    fn records_are_read_one_by_one() {
        let bytes = [recorded(7, 300), recorded(-1, 0)].concat();
        let (first, rest) = Record::split(&bytes).expect("a whole record");
        assert_eq!(first, Record { mask: libc::FAN_OPEN_PERM, fd: 7, pid: 300 });
        let (second, rest) = Record::split(rest).expect("a whole record");
        assert_eq!((second.fd, rest.len()), (-1, 0));
        assert_eq!(Record::split(rest), None);
    }

    #[test]
    fn no_bytes_make_it_read_beyond_them() {
        let whole = recorded(7, 300);
        for len in 0..whole.len() {
            assert_eq!(Record::split(&whole[..len]), None, "{len} bytes");
        }
        for bit in 0..32 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Some((_, rest)) = Record::split(&bytes) {
                assert!(rest.is_empty(), "a length is never taken for less than a record");
            }
        }
    }

    #[test]
    fn an_errno_is_a_refinement_that_can_be_left_away() {
        let deny = |errno, is_audited| response(Answer { is_allowed: false, errno, is_audited });
        assert_eq!(deny(libc::EPERM, false), (libc::FAN_DENY, 0));
        assert_eq!(deny(libc::EBUSY, false), (libc::FAN_DENY, 16 << 24));
        assert_eq!(deny(libc::EIO, true), (libc::FAN_DENY, (5 << 24) | libc::FAN_AUDIT));
        let allow = Answer { is_allowed: true, errno: libc::EIO, is_audited: false };
        assert_eq!(response(allow), (libc::FAN_ALLOW, 0), "an errno says nothing to who is let through");
    }
}
