//! The entries of a directory: getdents64(2). The parser is pure and total.
//!
//! Not `nix::dir`: it loses its descriptor where fdopendir(3) fails, as on a directory that was removed from FUSE, and
//! a descriptor that stays open keeps the file system from being unmounted.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::place::Kind;

/// Bytes that are read at once: some 250 entries.
const BUFFER_LEN: usize = 8 * 1024;
/// What stands before the name in `struct linux_dirent64`: d_ino, d_off, d_reclen, d_type.
const HEAD_LEN: usize = 19;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, never `.` or `..`.
    pub name: OsString,
    /// What it is, where the directory itself knows.
    pub kind: Option<Kind>,
}

/// The entries of a directory that is open for it, in no order; the file system's error, if any, comes last.
#[derive(Debug)]
pub struct Listing {
    directory: OwnedFd,
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
    is_over: bool,
}

impl Listing {
    /// Begins to list a directory.
    pub fn of(directory: OwnedFd) -> Listing {
        let buffer = vec![0; BUFFER_LEN].into_boxed_slice();
        Listing { directory, buffer, begin: 0, end: 0, is_over: false }
    }
}

impl Iterator for Listing {
    type Item = Result<Entry, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            if self.begin == self.end {
                match read(self.directory.as_fd(), &mut self.buffer) {
                    Ok(0) => self.is_over = true,
                    Ok(len) => (self.begin, self.end) = (0, len),
                    Err(errno) => {
                        self.is_over = true;
                        return Some(Err(errno));
                    }
                }
                continue;
            }
            let Some((entry, len)) = first(&self.buffer[self.begin..self.end]) else {
                self.is_over = true;
                return Some(Err(Errno::EIO));
            };
            self.begin += len;
            if let Some(entry) = entry {
                return Some(Ok(entry));
            }
        }
        None
    }
}

/// The first entry of a buffer, none for `.` and `..`, and its length there; none: the buffer breaks the rules.
fn first(buffer: &[u8]) -> Option<(Option<Entry>, usize)> {
    let len = usize::from(u16::from_ne_bytes(*buffer.get(16..)?.first_chunk()?));
    let kind = *buffer.get(18)?;
    let name = buffer.get(HEAD_LEN..len)?;
    let name = &name[..name.iter().position(|byte| *byte == 0)?];
    if name.is_empty() {
        return None;
    }
    let is_itself = name == b"." || name == b"..";
    let entry = || Entry { name: OsStr::from_bytes(name).to_owned(), kind: kind_of(kind) };
    Some(((!is_itself).then(entry), len))
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
    use std::fs;

    #[test]
    fn every_entry_is_listed_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let expected: std::collections::BTreeSet<OsString> =
            (0..1000).map(|number| format!("{}{number}", "é".repeat(number % 100)).into()).collect();
        expected.iter().for_each(|name| fs::write(directory.path().join(name), "").expect("a file"));
        let opened = fs::File::open(directory.path()).expect("it can be opened");
        let entries: Vec<Entry> = Listing::of(opened.into()).map(|entry| entry.expect("an entry")).collect();
        assert_eq!(entries.len(), expected.len());
        assert_eq!(
            entries.into_iter().map(|entry| entry.name).collect::<std::collections::BTreeSet<_>>(),
            expected
        );
    }

    #[test]
    fn an_error_is_told_once_and_last() {
        let file = tempfile::tempfile().expect("a file");
        let entries: Vec<_> = Listing::of(file.into()).collect();
        assert_eq!(entries, [Err(Errno::ENOTDIR)]);
    }

    #[test]
    fn no_buffer_makes_it_panic() {
        let mut whole = vec![0; 16];
        whole.extend_from_slice(&24_u16.to_ne_bytes());
        whole.extend_from_slice(b"\x08ab\0\0\0");
        assert_eq!(first(&whole).and_then(|(entry, _)| entry).map(|entry| entry.name), Some("ab".into()));
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
