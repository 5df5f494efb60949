//! The syncer: a thread that waits for the disk, so that the writer need not.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::SigSet;

use super::store::Unsynced;
use super::writer::STACK_LEN;

/// The writer's end of it.
#[derive(Debug)]
pub struct Syncer {
    jobs: SyncSender<Unsynced>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_busy: AtomicBool,
    failure: Mutex<Option<io::Error>>,
}

impl Syncer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start() -> io::Result<Syncer> {
        let (jobs, receiver) = sync_channel::<Unsynced>(1);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let run = move || {
            // Signals are for the loop. If they cannot be blocked, they are handled as without this thread.
            let _ = SigSet::all().thread_block();
            for unsynced in receiver {
                let result = unsynced.sync();
                // The directory's lock may go with it.
                drop(unsynced);
                theirs.finish(result);
            }
        };
        std::thread::Builder::new().name("journal-sync".to_owned()).stack_size(STACK_LEN).spawn(run)?;
        Ok(Syncer { jobs, shared })
    }

    /// Begins to bring something to the disk. Returns whether it was taken: one at a time is.
    pub fn sync(&self, unsynced: Unsynced) -> bool {
        !self.shared.is_busy.swap(true, Ordering::AcqRel) && self.jobs.try_send(unsynced).is_ok()
    }

    /// Whether something is on its way to the disk.
    pub fn is_busy(&self) -> bool {
        self.shared.is_busy.load(Ordering::Acquire)
    }

    /// Why something did not reach the disk, once for each time.
    pub fn failure(&self) -> Option<io::Error> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    fn finish(&self, result: io::Result<()>) {
        if let Err(error) = result {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        self.is_busy.store(false, Ordering::Release);
    }
}
