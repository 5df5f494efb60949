//! Ways for bytes between the daemon and a command: pipe2(2), memfd_create(2), /dev/null.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;

/// A pipe out of a command: our end, which never blocks, and the command's, which blocks as programs expect.
///
/// # Errors
/// When there are no descriptors left.
pub fn output_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}

/// Bytes for a command to read: a file in memory that nobody can change any more, its offset at the start.
///
/// Not a pipe: a pipe holds 64 KiB, and then somebody would have to wait for the command to read.
///
/// # Errors
/// When there are no descriptors or no memory left.
pub fn input_of(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Since Linux 6.3 the kernel wants to be told that it is not meant to be executed.
    let no_exec = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    let memory = match memfd_create(c"facron-stdin", flags | no_exec) {
        Err(Errno::EINVAL) => memfd_create(c"facron-stdin", flags),
        result => result,
    };
    let mut file = File::from(memory?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// What came out of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing at the moment.
    Nothing,
    /// The end: nobody holds the other end any more.
    End,
}

/// Reads from our end of a pipe: read(2). A pipe that cannot be read has ended.
pub fn read(pipe: &OwnedFd, buffer: &mut [u8]) -> Read {
    match nix::unistd::read(pipe, buffer) {
        Ok(0) => Read::End,
        Ok(len) => Read::Bytes(len),
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOMEM) => Read::Nothing,
        Err(_) => Read::End,
    }
}

/// /dev/null, for reading and writing.
///
/// # Errors
/// Those of open(2).
pub fn null() -> Result<OwnedFd, Errno> {
    open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn input_is_read_from_its_start_and_cannot_be_changed() {
        let mut file = File::from(input_of(b"a\0b").expect("memory"));
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes, b"a\0b");
        assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
    }

    #[test]
    fn our_end_of_a_pipe_does_not_block() {
        let (ours, theirs) = output_pipe().expect("descriptors");
        let error = File::from(ours).read(&mut [0]).expect_err("nothing is there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
    }
}
