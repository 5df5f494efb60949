//! A file in memory that is handed to a child: unlike a pipe it takes everything at once, so nobody waits for anybody.

use std::fs::File;
use std::io::{self, Seek, Write};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file of these bytes, to be read from its start: memfd_create(2).
///
/// # Errors
/// No memory or no descriptor is left.
pub fn of(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"facron", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
