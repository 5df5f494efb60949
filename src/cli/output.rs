//! Where results and messages go: standard output and standard error, coloured where that belongs. A reader that
//! went away is no mistake.

use std::fmt;
use std::io::{self, Write as _};

use anstream::AutoStream;
use nix::errno::Errno;

use super::{ExitStatus, Global};

/// Why a result is not on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPrinted {
    /// Whoever read there has gone: that is the end, not a mistake.
    Unread,
    /// The system refused.
    Failed(Errno),
}

impl NotPrinted {
    /// Says what is wrong, if anything is; how the program ends that had to print more.
    pub fn end(self, global: &Global) -> ExitStatus {
        match self {
            NotPrinted::Unread => ExitStatus::Ok,
            NotPrinted::Failed(_) => {
                say(&format!("facron: {self}\n"), global);
                ExitStatus::Failed
            }
        }
    }
}

impl fmt::Display for NotPrinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotPrinted::Unread => f.write_str("nobody reads standard output"),
            NotPrinted::Failed(errno) => {
                write!(f, "cannot write to standard output: {}", errno.desc().to_lowercase())
            }
        }
    }
}

/// Prints a result to standard output.
///
/// # Errors
/// It is not all written.
pub fn print(text: &str, global: &Global) -> Result<(), NotPrinted> {
    let written = AutoStream::new(io::stdout().lock(), choice(global)).write_all(text.as_bytes());
    written.and_then(|()| io::stdout().lock().flush()).map_err(|error| match error.raw_os_error() {
        Some(libc::EPIPE) => NotPrinted::Unread,
        number => NotPrinted::Failed(Errno::from_raw(number.unwrap_or(libc::EIO))),
    })
}

/// Prints the whole result; the program ends with this status, or fails where the result cannot be written.
pub fn print_and_end(text: &str, status: ExitStatus, global: &Global) -> ExitStatus {
    match print(text, global) {
        Ok(()) | Err(NotPrinted::Unread) => status,
        Err(failed @ NotPrinted::Failed(_)) => failed.end(global),
    }
}

/// Says something to people on standard error.
pub fn say(text: &str, global: &Global) {
    let _ = AutoStream::new(io::stderr().lock(), choice(global)).write_all(text.as_bytes());
}

/// Whether what goes to standard error is coloured.
pub fn colours_messages(global: &Global) -> bool {
    let choice = match choice(global) {
        anstream::ColorChoice::Auto => AutoStream::choice(&io::stderr()),
        decided => decided,
    };
    choice != anstream::ColorChoice::Never
}

fn choice(global: &Global) -> anstream::ColorChoice {
    match global.color {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    }
}
