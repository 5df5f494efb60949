//! The queue between those who log and the thread that writes: bounded, and nobody waits for it but `flush`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::Level;

use super::Entry;
use crate::sys::clock;

/// Entries of about this size in all may wait; what comes beyond is counted and lost.
pub const QUEUE_BYTES_MAX: usize = 4 << 20;

/// How long the writer waits for more before it goes to sleep. Until then nobody has to wake it, which costs those who
/// log in a burst more than the rest of logging.
const GATHER: Duration = Duration::from_millis(1);

/// Where entries go; may block.
pub trait Sink: Send {
    /// Writes one entry.
    ///
    /// # Errors
    /// It could not be written, and is lost.
    fn write(&mut self, entry: &Entry) -> io::Result<()>;
}

/// The entries that are not written yet.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// There is nothing left to write.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Waiting>,
    /// Of the entries that wait.
    bytes: usize,
    /// Since the last entry that found room.
    lost: u64,
    is_writing: bool,
    /// Whether the writer waits to be woken.
    is_asleep: bool,
}

struct Waiting {
    lost_before: u64,
    entry: Entry,
}

impl State {
    /// Whether there is nothing to write.
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lost == 0
    }

    fn is_drained(&self) -> bool {
        self.is_empty() && !self.is_writing
    }
}

impl Queue {
    /// A queue with a thread that empties it into `sink`, as long as the process lives.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(sink: Box<dyn Sink>) -> io::Result<Arc<Queue>> {
        let queue = Arc::new(Queue::default());
        let writer = Arc::clone(&queue);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(sink))?;
        Ok(queue)
    }

    /// Adds an entry, or counts it as lost. Never waits for the sink.
    pub(super) fn push(&self, entry: Entry) {
        let mut state = self.state();
        let cost = entry.cost();
        if state.bytes + cost > QUEUE_BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes += cost;
        let lost_before = std::mem::take(&mut state.lost);
        state.entries.push_back(Waiting { lost_before, entry });
        // A writer that is at work looks again by itself; to wake it costs a system call.
        if std::mem::take(&mut state.is_asleep) {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Waits until everything is written, no longer than `limit`; says whether it is.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let state = self.state();
        let (state, _) = self
            .drained
            .wait_timeout_while(state, limit, |state| !state.is_drained())
            .unwrap_or_else(PoisonError::into_inner);
        state.is_drained()
    }

    fn write_to(&self, mut sink: Box<dyn Sink>) {
        let mut unsaid = 0;
        loop {
            let (lost, entry) = self.next();
            unsaid += lost;
            // At the place of the gap, once the reader is there again.
            if unsaid > 0 && sink.write(&lost_entry(unsaid)).is_ok() {
                unsaid = 0;
            }
            if entry.is_some_and(|entry| sink.write(&entry).is_err()) {
                unsaid += 1;
            }
            let mut state = self.state();
            state.is_writing = false;
            if state.is_drained() {
                self.drained.notify_all();
            }
        }
    }

    /// Waits for an entry, or for the need to say how many were lost since the last one.
    fn next(&self) -> (u64, Option<Entry>) {
        let mut state = self.state();
        if state.is_empty() {
            let gathered = self.filled.wait_timeout_while(state, GATHER, |state| state.is_empty());
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.is_empty() {
            state.is_asleep = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_asleep = false;
        state.is_writing = true;
        match state.entries.pop_front() {
            Some(Waiting { lost_before, entry }) => {
                state.bytes -= entry.cost();
                (lost_before, Some(entry))
            }
            None => (std::mem::take(&mut state.lost), None),
        }
    }

    /// A panic elsewhere leaves the state whole: no call that can panic is made under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Queue")
            .field("bytes", &state.bytes)
            .field("lost", &state.lost)
            .finish_non_exhaustive()
    }
}

fn lost_entry(lost: u64) -> Entry {
    Entry {
        time: clock::wall(),
        level: Level::Warn,
        message: "log lines lost".to_owned(),
        fields: vec![("count".to_owned(), lost.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Says what it is to write, and waits for leave.
    struct GatedSink {
        written: mpsc::Sender<String>,
        leave: mpsc::Receiver<io::Result<()>>,
    }

    impl Sink for GatedSink {
        fn write(&mut self, entry: &Entry) -> io::Result<()> {
            let answer = self.leave.recv().expect("the test answers every write");
            self.written.send(entry.text()).expect("the test listens");
            answer
        }
    }

    fn entry(message: String) -> Entry {
        Entry { time: clock::wall(), level: Level::Info, message, fields: Vec::new() }
    }

    fn gated() -> (Arc<Queue>, mpsc::Receiver<String>, mpsc::Sender<io::Result<()>>) {
        let (written, texts) = mpsc::channel();
        let (give_leave, leave) = mpsc::channel();
        let queue = Queue::start(Box::new(GatedSink { written, leave })).expect("a thread");
        (queue, texts, give_leave)
    }

    #[test]
    fn what_finds_no_room_is_counted_and_said_where_it_is_missing() {
        let (queue, texts, give_leave) = gated();
        queue.push(entry("first".to_owned()));
        let end = clock::monotonic() + Duration::from_secs(60);
        while !queue.state().is_writing {
            assert!(clock::monotonic() < end, "the writer does not begin");
            std::thread::yield_now();
        }
        let long = "x".repeat(QUEUE_BYTES_MAX / 4);
        for _ in 0..8 {
            queue.push(entry(long.clone()));
        }
        assert!(!queue.flush(Duration::from_millis(1)), "nothing is written yet");
        // The first is in the hands of the writer, three wait, five found no room.
        for _ in 0..4 {
            give_leave.send(Ok(())).expect("the writer lives");
        }
        let mut seen: Vec<String> = texts.iter().take(4).collect();
        queue.push(entry("after".to_owned()));
        for _ in 0..2 {
            give_leave.send(Ok(())).expect("the writer lives");
        }
        seen.extend(texts.iter().take_while(|text| text != "after"));
        let (lost, written): (Vec<_>, Vec<_>) =
            seen.iter().partition(|text| text.starts_with("log lines lost"));
        let lost = lost
            .iter()
            .map(|text| text.rsplit('=').next().expect("a count").parse::<usize>().expect("a number"));
        assert_eq!((lost.sum::<usize>(), written.len()), (5, 4));
    }

    #[test]
    fn what_the_sink_refuses_is_counted_too() {
        let (queue, texts, give_leave) = gated();
        let refusal = || Err(io::Error::from(io::ErrorKind::BrokenPipe));
        queue.push(entry("first".to_owned()));
        give_leave.send(refusal()).expect("the writer lives");
        queue.push(entry("second".to_owned()));
        give_leave.send(refusal()).expect("the writer lives");
        give_leave.send(refusal()).expect("the writer lives");
        queue.push(entry("third".to_owned()));
        give_leave.send(Ok(())).expect("the writer lives");
        give_leave.send(Ok(())).expect("the writer lives");
        let seen: Vec<String> = texts.iter().take(5).collect();
        assert_eq!(seen, ["first", "log lines lost count=1", "second", "log lines lost count=2", "third"]);
        assert!(queue.flush(Duration::from_secs(60)));
    }
}
