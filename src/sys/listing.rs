//! The entries of a directory: getdents64(2). The parser is pure and total.
//!
//! Not `nix::dir`: it loses its descriptor where fdopendir(3) fails, as on a directory that was removed from FUSE, and
//! a descriptor that stays open keeps the file system from being unmounted.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::place::Kind;

/// Bytes that are read at once: some 1000 entries.
const BUFFER_LEN: usize = 32 * 1024;
/// What stands before the name in `struct linux_dirent64`: d_ino, d_off, d_reclen, d_type.
const HEAD_LEN: usize = 19;

/// What entries are read into: one serves for one directory after another.
#[derive(Debug, Default)]
pub struct Buffer(Vec<u8>);

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'b> {
    /// Its name, never `.` or `..`.
    pub name: &'b OsStr,
    /// What it is, where the directory itself knows.
    pub kind: Option<Kind>,
}

/// The entries of a directory that is open for it, in no order; the file system's error, if any, comes last.
#[derive(Debug)]
pub struct Listing<'l> {
    directory: BorrowedFd<'l>,
    buffer: &'l mut [u8],
    begin: usize,
    end: usize,
    is_over: bool,
}

/// Where in a buffer an entry's name is, and what kind it is of.
struct Found {
    name: Range<usize>,
    kind: Option<Kind>,
}

impl<'l> Listing<'l> {
    /// Begins to list a directory.
    pub fn of(directory: BorrowedFd<'l>, buffer: &'l mut Buffer) -> Listing<'l> {
        buffer.0.resize(BUFFER_LEN, 0);
        Listing { directory, buffer: &mut buffer.0, begin: 0, end: 0, is_over: false }
    }

    /// The next entry, which lies in the buffer until the one after it is asked for.
    pub fn next_entry(&mut self) -> Option<Result<Entry<'_>, Errno>> {
        let found = self.find()?;
        Some(found.map(|Found { name, kind }| Entry { name: OsStr::from_bytes(&self.buffer[name]), kind }))
    }

    fn find(&mut self) -> Option<Result<Found, Errno>> {
        while !self.is_over {
            if self.begin == self.end {
                match read(self.directory, self.buffer) {
                    Ok(0) => self.is_over = true,
                    Ok(len) => (self.begin, self.end) = (0, len),
                    Err(errno) => {
                        self.is_over = true;
                        return Some(Err(errno));
                    }
                }
                continue;
            }
            let Some((len, name_len, kind)) = first(&self.buffer[self.begin..self.end]) else {
                self.is_over = true;
                return Some(Err(Errno::EIO));
            };
            let begin = self.begin + HEAD_LEN;
            self.begin += len;
            let name = begin..begin + name_len;
            if !matches!(&self.buffer[name.clone()], b"." | b"..") {
                return Some(Ok(Found { name, kind }));
            }
        }
        None
    }
}

/// The lengths of the first entry of a buffer and of its name, and its kind; none: the buffer breaks the rules.
fn first(buffer: &[u8]) -> Option<(usize, usize, Option<Kind>)> {
    let len = usize::from(u16::from_ne_bytes(*buffer.get(16..)?.first_chunk()?));
    let kind = *buffer.get(18)?;
    let name = buffer.get(HEAD_LEN..len)?;
    let name_len = name.iter().position(|byte| *byte == 0)?;
    (name_len > 0).then(|| (len, name_len, kind_of(kind)))
}

fn kind_of(kind: u8) -> Option<Kind> {
    match kind {
        libc::DT_REG => Some(Kind::File),
        libc::DT_DIR => Some(Kind::Directory),
        libc::DT_LNK => Some(Kind::Link),
        libc::DT_FIFO | libc::DT_SOCK | libc::DT_CHR | libc::DT_BLK => Some(Kind::Special),
        _ => None,
    }
}

#[expect(unsafe_code, reason = "neither nix nor libc has getdents64")]
fn read(directory: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: getdents64(2) writes at most as many bytes as it is told to, which are there, to the buffer.
    let result = unsafe {
        libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
    };
    let len = Errno::result(result)?;
    Ok(usize::try_from(len).unwrap_or(0).min(buffer.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::fs;
    use std::os::fd::AsFd;

    #[test]
    fn every_entry_is_listed_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let expected: BTreeSet<OsString> =
            (0..1000).map(|number| format!("{}{number}", "é".repeat(number % 100)).into()).collect();
        expected.iter().for_each(|name| fs::write(directory.path().join(name), "").expect("a file"));
        let mut buffer = Buffer::default();
        // A buffer that was used before changes nothing.
        for _ in 0..2 {
            let opened = fs::File::open(directory.path()).expect("it can be opened");
            let mut listing = Listing::of(opened.as_fd(), &mut buffer);
            let mut names = Vec::new();
            while let Some(entry) = listing.next_entry() {
                let entry = entry.expect("an entry");
                assert!(matches!(entry.kind, Some(Kind::File) | None));
                names.push(entry.name.to_owned());
            }
            assert_eq!(names.len(), expected.len());
            assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }

    #[test]
    fn an_error_is_told_once_and_last() {
        let file = tempfile::tempfile().expect("a file");
        let mut buffer = Buffer::default();
        let mut listing = Listing::of(file.as_fd(), &mut buffer);
        assert_eq!(listing.next_entry(), Some(Err(Errno::ENOTDIR)));
        assert_eq!(listing.next_entry(), None);
    }

    #[test]
    fn no_buffer_makes_it_panic() {
        let mut whole = vec![0; 16];
        whole.extend_from_slice(&24_u16.to_ne_bytes());
        whole.extend_from_slice(b"\x08ab\0\0\0");
        assert_eq!(first(&whole), Some((24, 2, Some(Kind::File))));
        for len in 0..whole.len() {
            assert_eq!(first(&whole[..len]), None);
            for byte in [0, 1, 19, 0xff] {
                let mut other = whole.clone();
                other[len] = byte;
                first(&other);
            }
        }
    }
}
