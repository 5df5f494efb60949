//! Ways to write to the file `f` of a directory that no program of every machine takes: by their system calls.
#![expect(unsafe_code, reason = "nix has these calls only with features that facron itself does not need")]

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;

/// truncate(2).
pub fn truncate(directory: &Path) {
    nix::unistd::truncate(&directory.join("f"), 1).expect("shortened");
}

/// A store into a shared mapping that outlives the descriptor.
pub fn map_and_store(directory: &Path) {
    let file = File::options().read(true).write(true).open(directory.join("f")).expect("a file");
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: mmap(2) chooses the place itself, and the file has a byte at least.
    let place = unsafe { libc::mmap(std::ptr::null_mut(), 1, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(place, libc::MAP_FAILED);
    drop(file);
    // SAFETY: one byte may be written there, and nobody else knows of it.
    unsafe { place.cast::<u8>().write(b'y') };
    // SAFETY: it is mapped.
    checked(unsafe { libc::msync(place, 1, libc::MS_SYNC) });
    // SAFETY: nobody uses it any more.
    checked(unsafe { libc::munmap(place, 1) });
}

/// sendfile(2).
pub fn send_file(directory: &Path) {
    let (from, to) = source_and_target(directory);
    // SAFETY: sendfile(2) takes descriptors that are open, and no offset.
    checked(unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), std::ptr::null_mut(), 3) });
}

/// splice(2).
pub fn splice(directory: &Path) {
    let to = File::create(directory.join("f")).expect("a file");
    let (from, mut end) = std::io::pipe().expect("a pipe");
    end.write_all(b"abc").expect("it is empty");
    let nothing = std::ptr::null_mut;
    // SAFETY: splice(2) takes descriptors that are open, and no offsets.
    checked(unsafe { libc::splice(from.as_raw_fd(), nothing(), to.as_raw_fd(), nothing(), 3, 0) });
}

/// copy_file_range(2).
pub fn copy_range(directory: &Path) {
    let (from, to) = source_and_target(directory);
    let nothing = std::ptr::null_mut;
    // SAFETY: copy_file_range(2) takes descriptors that are open, and no offsets.
    checked(unsafe { libc::copy_file_range(from.as_raw_fd(), nothing(), to.as_raw_fd(), nothing(), 3, 0) });
}

/// setxattr(2).
pub fn set_attribute(directory: &Path) {
    let path = CString::new(directory.join("f").as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: setxattr(2) takes two strings that end in a NUL, and one byte.
    checked(unsafe { libc::setxattr(path.as_ptr(), c"user.test".as_ptr(), c"x".as_ptr().cast(), 1, 0) });
}

/// Open, write and close by a ring, io_uring(7).
pub fn uring(directory: &Path) {
    let mut ring = Ring::new();
    let path = CString::new(directory.join("f").as_os_str().as_bytes()).expect("no NUL");
    let flags = libc::O_WRONLY | libc::O_TRUNC;
    let open = Entry {
        code: Entry::OPENAT,
        fd: libc::AT_FDCWD,
        address: path.as_ptr() as u64,
        flags: u32::try_from(flags).expect("bits"),
        ..Entry::default()
    };
    let fd = ring.carry_out(open);
    assert_eq!(
        ring.carry_out(Entry {
            code: Entry::WRITE,
            fd,
            address: c"abc".as_ptr() as u64,
            len: 3,
            ..Entry::default()
        }),
        3
    );
    assert_eq!(ring.carry_out(Entry { code: Entry::CLOSE, fd, ..Entry::default() }), 0);
}

fn source_and_target(directory: &Path) -> (File, File) {
    let mut source = tempfile::tempfile_in(directory.parent().expect("a directory")).expect("a file");
    source.write_all(b"abc").expect("written");
    std::io::Seek::rewind(&mut source).expect("rewound");
    (source, File::create(directory.join("f")).expect("a file"))
}

fn checked(result: impl TryInto<i64>) -> i64 {
    let result = result.try_into().ok().expect("a number");
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
    result
}

/// A ring with room for one entry.
struct Ring {
    fd: OwnedFd,
    /// Both queues, mapped as one (IORING_FEAT_SINGLE_MMAP).
    queues: *mut u8,
    entries: *mut Entry,
    parameters: Parameters,
}

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Default)]
struct Entry {
    code: u8,
    entry_flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    len: u32,
    flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

/// `struct io_uring_params`.
#[repr(C)]
#[derive(Default)]
struct Parameters {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    thread: [u32; 2],
    features: u32,
    rest: [u32; 4],
    /// head, tail, mask, entries, flags, dropped, array, …
    sq_offsets: [u32; 10],
    /// head, tail, mask, entries, overflow, cqes, …
    cq_offsets: [u32; 10],
}

impl Entry {
    const OPENAT: u8 = 18;
    const CLOSE: u8 = 19;
    const WRITE: u8 = 23;
}

impl Ring {
    const LEN: usize = 4096;

    fn new() -> Ring {
        let mut parameters = Parameters::default();
        // SAFETY: io_uring_setup(2) writes one `struct io_uring_params`.
        let fd = checked(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, &raw mut parameters) });
        let fd = i32::try_from(fd).expect("a descriptor");
        // SAFETY: it is a new descriptor, and ours.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let map = |offset| {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_SHARED | libc::MAP_POPULATE;
            // SAFETY: mmap(2) chooses the place itself; the rings of one entry have less than a page.
            let place =
                unsafe { libc::mmap(std::ptr::null_mut(), Ring::LEN, access, kind, fd.as_raw_fd(), offset) };
            assert_ne!(place, libc::MAP_FAILED);
            place
        };
        let (queues, entries) = (map(0).cast(), map(0x1000_0000).cast());
        Ring { fd, queues, entries, parameters }
    }

    /// Has one entry carried out; gives its result.
    fn carry_out(&mut self, entry: Entry) -> i32 {
        let [_, tail, mask, _, _, _, array, ..] = self.parameters.sq_offsets;
        let [head, _, done_mask, _, _, done, ..] = self.parameters.cq_offsets;
        let tail_now = self.word(tail).load(ORDER);
        let index = tail_now & self.word(mask).load(ORDER);
        // SAFETY: the kernel has mapped as many entries as the mask allows.
        let place = unsafe { self.entries.add(index as usize) };
        // SAFETY: it lies in the mapping, and the kernel has taken the entry before.
        unsafe { place.write(entry) };
        self.word(array + 4 * index).store(index, ORDER);
        self.word(tail).store(tail_now + 1, ORDER);
        let ring = self.fd.as_raw_fd();
        let wait_for_it = 1;
        // SAFETY: io_uring_enter(2): one entry is to be taken, one result waited for, without a signal mask.
        checked(unsafe { libc::syscall(libc::SYS_io_uring_enter, ring, 1, 1, wait_for_it, 0, 0) });
        let head_now = self.word(head).load(ORDER);
        // `struct io_uring_cqe`: user_data, res, flags.
        let result = self.word(done + 16 * (head_now & self.word(done_mask).load(ORDER)) + 8).load(ORDER);
        self.word(head).store(head_now + 1, ORDER);
        result.cast_signed()
    }

    fn word(&self, offset: u32) -> &std::sync::atomic::AtomicU32 {
        assert!(offset as usize + 4 <= Ring::LEN);
        // SAFETY: it lies in the mapping, which lives as long as this.
        let place = unsafe { self.queues.add(offset as usize) };
        // SAFETY: the kernel keeps its words there aligned, and changes them only as atomics.
        unsafe { std::sync::atomic::AtomicU32::from_ptr(place.cast()) }
    }
}

const ORDER: std::sync::atomic::Ordering = std::sync::atomic::Ordering::SeqCst;

impl Drop for Ring {
    fn drop(&mut self) {
        for place in [self.queues.cast(), self.entries.cast()] {
            // SAFETY: it is mapped, and nobody uses it any more.
            checked(unsafe { libc::munmap(place, Ring::LEN) });
        }
    }
}
