//! A file in memory that is handed to a child: unlike a pipe it takes everything at once, so nobody waits for anybody.

use std::fs::File;
use std::io::{self, Seek, Write};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file of these bytes, to be read from its start, which nobody can change: memfd_create(2).
///
/// # Errors
/// No memory or no descriptor is left.
pub fn of(bytes: &[u8]) -> io::Result<File> {
    let mut file = empty()?;
    file.write_all(bytes)?;
    file.rewind()?;
    let written =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(written))?;
    Ok(file)
}

/// An empty file for a child to write to; RLIMIT_FSIZE (setrlimit(2)) bounds it.
///
/// # Errors
/// No memory or no descriptor is left.
pub fn empty() -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Since Linux 6.3 the kernel wants to be told that the file is not meant to be executed.
    let no_exec = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    let made = match memfd_create(c"facron", flags | no_exec) {
        Err(Errno::EINVAL) => memfd_create(c"facron", flags),
        result => result,
    };
    Ok(File::from(made?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn it_is_read_from_its_start_and_cannot_be_changed() {
        let mut file = of(b"a\0b").expect("memory");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes, b"a\0b");
        assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
    }
}
