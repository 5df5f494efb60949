//! `facron __guard`: the process that answers permission events. Hidden: the daemon starts it, with their socket
//! as standard input.

use std::io::Write as _;
use std::os::fd::AsFd as _;

use super::{ExitStatus, Global};
use crate::guard;
use crate::sys::resident;

/// Its arguments: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub fn run(_args: &Args, _global: &Global) -> ExitStatus {
    // What came along by mistake would otherwise be held open for as long as the guard stands.
    let kept = resident::close_from(3).and_then(|()| std::io::stdin().as_fd().try_clone_to_owned());
    match kept.and_then(guard::keep) {
        Ok(()) => ExitStatus::Ok,
        Err(error) => {
            // For a person who tries it by hand; the daemon gives it /dev/null, and hears of it by the socket.
            let _ = writeln!(std::io::stderr(), "facron: guard: cannot stand guard: {error}");
            ExitStatus::Failed
        }
    }
}
