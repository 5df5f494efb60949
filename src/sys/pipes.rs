//! Ways for bytes between the daemon and a command: pipe2(2), /dev/null.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
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
    use std::fs::File;
    use std::io::{self, Read as _};

    #[test]
    fn our_end_of_a_pipe_does_not_block() {
        let (ours, theirs) = output_pipe().expect("descriptors");
        let error = File::from(ours).read(&mut [0]).expect_err("nothing is there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
    }
}
