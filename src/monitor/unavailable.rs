//! Why nothing can be watched at all.

use std::fmt;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::sys::place;

/// Why there is no monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Whether somebody forbids it: a privilege is missing, or a sandbox is in the way.
    pub is_forbidden: bool,
    message: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot watch anything: {}", self.message)
    }
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Unavailable {
        let (is_forbidden, help) = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => (
                true,
                "\nhelp: before Linux 5.13, or where a sandbox forbids it, fanotify needs CAP_SYS_ADMIN",
            ),
            Some(libc::ENOSYS | libc::EINVAL) => (false, "\nhelp: facron needs Linux 5.9, for users 5.13"),
            _ => (false, ""),
        };
        Unavailable { is_forbidden, message: format!("{error}{help}") }
    }
}

/// Whether paths can be opened without following links: openat2(2), on which all that watches rests.
///
/// # Errors
/// A filter of system calls forbids it. The kernel itself has it since Linux 5.6.
pub(super) fn require_openat2() -> Result<(), Unavailable> {
    match place::touch(place::ANYWHERE, Path::new("/")) {
        Err(Errno::ENOSYS | Errno::EPERM) => Err(Unavailable {
            is_forbidden: true,
            message: "a filter of system calls forbids openat2(2)\nhelp: systemd's RestrictSUIDSGID= sets one, and \
                      so do old container runtimes"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}
