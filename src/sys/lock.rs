//! A lock that only one process has: flock(2).

use std::fs::File;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Tries before the lock counts as another process's. A child that a killed daemon was just starting has the lock
/// until its execve(2), and the service manager may have started the next daemon already.
const TRIES: u32 = 25;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Locks a file or directory until it is dropped. None: another process has it, and keeps it for a quarter of a second.
///
/// # Errors
/// The file system knows no locks, or the kernel has no memory for one.
pub fn lock(mut file: File) -> io::Result<Option<Flock<File>>> {
    for _ in 0..TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(Some(locked)),
            Err((unlocked, Errno::EWOULDBLOCK)) => file = unlocked,
            Err((_, errno)) => return Err(errno.into()),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_given_back_at_once_was_nobodys() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let first = lock(open()).unwrap().unwrap();
        assert!(lock(open()).unwrap().is_none());
        #[expect(clippy::disallowed_methods, reason = "a test needs no name for its thread")]
        let waiter = std::thread::spawn({
            let second = open();
            move || lock(second).unwrap().is_some()
        });
        drop(first);
        assert!(waiter.join().unwrap());
    }
}
