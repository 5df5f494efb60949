//! The writer: a thread that keeps the journal's files, so that a slow disk never holds up the loop.
//!
//! What it is given it writes at once, in order, by write(2): from then on the kernel has it, whatever becomes of
//! this process. Another thread brings it to the disk, at most once a second, so that a slow fsync(2) does not
//! hold up what comes meanwhile. When the files cannot be written, the writer goes on without them, and tries
//! every two seconds to write everything anew.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::SigSet;

use super::frame::{Next, Reader};
use super::record::Record;
use super::state::State;
use super::store::{Store, Unsynced};
use super::syncer::Syncer;
use crate::moment::Moment;
use crate::sys::clock;
use crate::sys::private::PrivateDirectory;

/// Between two tries to write when it failed.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Between two tries to bring what was written to the disk.
const SYNC_PAUSE: Duration = Duration::from_secs(1);

/// Pieces, and bytes of them, that may be under way to the writer.
pub(super) const PIECES_MAX: usize = 64;
const PIECES_LEN_MAX: usize = 2 * 1024 * 1024;

/// How long the loop waits for a piece to be written.
const WRITTEN_WAIT: Duration = Duration::from_millis(250);

/// Bytes of the stack of each of the two threads.
pub(super) const STACK_LEN: usize = 256 * 1024;

/// How the journal fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it cannot be written; none: it can.
    pub trouble: Option<String>,
    /// How often writing failed.
    pub failures: u64,
}

/// The loop's end of the writer.
#[derive(Debug)]
pub struct Writer {
    pieces: SyncSender<Message>,
    shared: Arc<Shared>,
    sent: u64,
    is_behind: bool,
}

#[derive(Debug)]
enum Message {
    /// Whole frames, and the number of the piece.
    Piece(Vec<u8>, u64),
    Close,
}

#[derive(Debug, Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
    is_incomplete: AtomicBool,
    /// Bytes sent and not written.
    under_way: AtomicUsize,
}

#[derive(Debug, Default)]
struct Progress {
    written: u64,
    is_closed: bool,
    health: Health,
}

impl Writer {
    /// Starts the thread. `store` is none if the directory cannot be used yet.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(path: PathBuf, store: Option<Store>, state: State) -> io::Result<Writer> {
        let (pieces, receiver) = sync_channel(PIECES_MAX);
        let shared = Arc::new(Shared::default());
        let syncer = Syncer::start()?;
        let thread = Thread {
            path,
            store,
            state,
            syncer,
            shared: Arc::clone(&shared),
            next_try: Moment::default(),
            next_sync: None,
        };
        let builder = std::thread::Builder::new().name("journal".to_owned()).stack_size(STACK_LEN);
        builder.spawn(move || thread.run(&receiver))?;
        Ok(Writer { pieces, shared, sent: 0, is_behind: false })
    }

    /// Hands frames over, in order; never waits.
    ///
    /// # Errors
    /// The writer is too far behind: here they are again.
    pub fn send(&mut self, frames: Vec<u8>) -> Result<(), Vec<u8>> {
        let len = frames.len();
        if self.shared.under_way.load(Ordering::Relaxed) + len > PIECES_LEN_MAX && !self.has_caught_up() {
            return Err(frames);
        }
        self.shared.under_way.fetch_add(len, Ordering::Relaxed);
        let refused = match self.pieces.try_send(Message::Piece(frames, self.sent + 1)) {
            Ok(()) => {
                self.sent += 1;
                return Ok(());
            }
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => message,
        };
        self.shared.under_way.fetch_sub(len, Ordering::Relaxed);
        match refused {
            Message::Piece(frames, _) => Err(frames),
            Message::Close => unreachable!("only pieces are sent here"),
        }
    }

    /// Waits until everything that was sent is written, but not long: once it took too long, not at all until
    /// the writer has caught up.
    pub fn wait(&mut self) {
        let progress = self.shared.progress();
        if self.is_behind && progress.written < self.sent {
            return;
        }
        let is_late = |progress: &mut Progress| progress.written < self.sent;
        let waited = self.shared.changed.wait_timeout_while(progress, WRITTEN_WAIT, is_late);
        self.is_behind = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
    }

    /// Waits until everything that was sent is written, at most until this moment.
    pub fn wait_until(&self, end: Moment) {
        let is_late = |progress: &mut Progress| progress.written < self.sent;
        let left = end.since(clock::monotonic());
        drop(self.shared.changed.wait_timeout_while(self.shared.progress(), left, is_late));
    }

    /// Whether everything that was sent has been taken.
    pub fn has_caught_up(&self) -> bool {
        self.shared.progress().written == self.sent
    }

    /// Whether more waits than could be held.
    pub fn is_incomplete(&self) -> bool {
        self.shared.is_incomplete.load(Ordering::Relaxed)
    }

    /// How the journal fares.
    pub fn health(&self) -> Health {
        self.shared.progress().health.clone()
    }

    /// Ends the thread when it has written everything to the disk. Returns whether it has; a disk that hangs is
    /// not waited for longer than until this moment.
    pub fn close(self, end: Moment) -> bool {
        let is_open = |progress: &mut Progress| !progress.is_closed;
        while let Err(TrySendError::Full(_)) = self.pieces.try_send(Message::Close) {
            let left = end.since(clock::monotonic());
            if left.is_zero() {
                return false;
            }
            let progress = self.shared.progress();
            drop(self.shared.changed.wait_timeout(progress, WRITTEN_WAIT.min(left)));
        }
        let left = end.since(clock::monotonic());
        let waited = self.shared.changed.wait_timeout_while(self.shared.progress(), left, is_open);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        let value = change(&mut self.progress());
        self.changed.notify_all();
        value
    }
}

/// The writer's end.
struct Thread {
    path: PathBuf,
    store: Option<Store>,
    state: State,
    syncer: Syncer,
    shared: Arc<Shared>,
    next_try: Moment,
    /// When what was written is to be brought to the disk; none: it is.
    next_sync: Option<Moment>,
}

impl Thread {
    fn run(mut self, pieces: &Receiver<Message>) {
        // Signals are for the loop. If they cannot be blocked, they are handled as without this thread.
        let _ = SigSet::all().thread_block();
        loop {
            self.keep_up();
            let next_sync = self.next_sync.filter(|_| self.is_writable());
            let next_try = self.wants_rewrite().then_some(self.next_try);
            let deadline = next_sync.into_iter().chain(next_try).min();
            let message = match deadline {
                None => pieces.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(deadline) => pieces.recv_timeout(deadline.since(clock::monotonic())),
            };
            match message {
                Ok(Message::Piece(frames, number)) => self.take(&frames, number),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    fn is_writable(&self) -> bool {
        self.store.as_ref().is_some_and(Store::is_writable)
    }

    /// Whether there is no file to append to, or one that a snapshot would shorten. While the last new file is not on
    /// the disk yet, that has to wait.
    fn wants_rewrite(&self) -> bool {
        !self.is_writable() || self.store.as_ref().is_some_and(Store::is_overgrown)
    }

    /// Writes first, since the loop may be waiting; what it means comes after.
    fn take(&mut self, frames: &[u8], number: u64) {
        if let Some(store) = self.store.as_mut().filter(|store| store.is_writable()) {
            match store.append(frames) {
                Ok(()) => drop(self.next_sync.get_or_insert(clock::monotonic() + SYNC_PAUSE)),
                Err(error) => self.fail(&error.to_string()),
            }
        }
        self.shared.under_way.fetch_sub(frames.len(), Ordering::Relaxed);
        self.shared.change(|progress| progress.written = number);
        let mut reader = Reader::new(frames);
        while let Ok(Next::Payload(payload)) = reader.next() {
            self.state.apply(&Record::read(payload).expect("the loop sends what Record::write made"));
        }
        self.shared.is_incomplete.store(self.state.is_incomplete(), Ordering::Relaxed);
    }

    /// Does what is due: a new try after a failure, a snapshot of a file that has grown, fsync(2).
    fn keep_up(&mut self) {
        if let Some(error) = self.syncer.failure() {
            self.store.iter_mut().for_each(Store::give_up);
            self.fail(&error.to_string());
        }
        let now = clock::monotonic();
        if self.wants_rewrite() && now >= self.next_try {
            self.next_try = now + RETRY_PAUSE;
            self.rewrite();
        }
        if self.next_sync.is_some_and(|next_sync| now >= next_sync) {
            let unsynced = self.store.as_ref().and_then(Store::unsynced);
            let is_taken = unsynced.is_none_or(|unsynced| self.syncer.sync(unsynced));
            self.next_sync = (!is_taken).then(|| now + SYNC_PAUSE);
        }
    }

    /// Writes everything anew. While the last new file is not on the disk yet, the old one may be removed at any
    /// moment, and its name with it: then later.
    fn rewrite(&mut self) {
        if self.syncer.is_busy() {
            return;
        }
        match self.try_rewrite() {
            Ok(unsynced) => {
                self.syncer.sync(unsynced);
                let trouble = self.shared.change(|progress| progress.health.trouble.take());
                if trouble.is_some() {
                    log::info!(directory:% = self.path.display(); "journal is written again");
                }
            }
            // The old file still takes what comes.
            Err(_) if self.is_writable() => {}
            Err(message) => self.fail(&message),
        }
    }

    fn try_rewrite(&mut self) -> Result<Unsynced, String> {
        if self.store.is_none() {
            let directory = PrivateDirectory::open(&self.path).map_err(|error| error.to_string())?;
            self.store = Some(Store::open_late(directory.into()));
        }
        let store = self.store.as_mut().expect("it was opened where it was missing");
        store.rewrite(&self.state).map_err(|error| error.to_string())
    }

    /// Says so the first time.
    fn fail(&mut self, message: &str) {
        let trouble = self.shared.change(|progress| {
            progress.health.failures += 1;
            progress.health.trouble.replace(message.to_owned())
        });
        if trouble.is_none() {
            log::warn!(
                directory:% = self.path.display();
                "journal cannot be written: {message}; what waits is only in memory until it can"
            );
        }
    }

    fn close(mut self) {
        if !self.is_writable() {
            self.rewrite();
        }
        if let Some(Err(error)) =
            self.store.as_ref().and_then(Store::unsynced).map(|unsynced| unsynced.sync())
        {
            self.fail(&error.to_string());
        }
        // The lock of the directory goes with it.
        self.store = None;
        self.shared.change(|progress| progress.is_closed = true);
    }
}

/// The writer's end where a test takes the place of the thread.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Hand {
    pieces: Receiver<Message>,
    shared: Arc<Shared>,
    state: std::cell::RefCell<State>,
}

#[cfg(test)]
impl Writer {
    /// A writer that takes nothing before its hand does.
    pub(super) fn by_hand() -> (Writer, Hand) {
        let (pieces, receiver) = sync_channel(PIECES_MAX);
        let shared = Arc::new(Shared::default());
        let hand = Hand { pieces: receiver, shared: Arc::clone(&shared), state: Default::default() };
        (Writer { pieces, shared, sent: 0, is_behind: false }, hand)
    }
}

#[cfg(test)]
impl Hand {
    /// Takes all that was sent. Returns what it amounts to.
    pub(super) fn take_all(&self) -> State {
        let mut state = self.state.borrow_mut();
        while let Ok(Message::Piece(frames, number)) = self.pieces.try_recv() {
            self.shared.under_way.fetch_sub(frames.len(), Ordering::Relaxed);
            self.shared.change(|progress| progress.written = number);
            let mut reader = Reader::new(&frames[..]);
            while let Ok(Next::Payload(payload)) = reader.next() {
                state.apply(&Record::read(payload).expect("the loop sends what Record::write made"));
            }
        }
        state.clone()
    }
}
