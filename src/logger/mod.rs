//! The log: one line an occurrence on standard error, or one entry in the journal (SPEC 7).
//!
//! Whoever logs is never held up: an entry goes into a bounded queue, and a thread of its own writes. What does
//! not fit is counted, and the count is logged once there is room. Made for `log` with key-values:
//! `log::info!(rule = name, run = id; "run ended")`. Values that come from others are escaped by the caller
//! (`escape::text`, `escape::path`), the path comes last.

mod entry;
mod journal;
mod queue;

pub use entry::{Entry, MESSAGE_IDS};
pub use queue::{QUEUE_BYTES_MAX, Queue, Sink};

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};

use crate::sys::{clock, wait};

/// How long a panic waits for its last line to be written.
const PANIC_FLUSH: Duration = Duration::from_secs(1);

/// What `run` is told about logging.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is logged at all.
    pub level: LevelFilter,
    /// Whether the level is coloured; decided by `--color`, `NO_COLOR` and the kind of standard error.
    pub is_coloured: bool,
}

/// The running log. Dropping it changes nothing: the writer thread lives as long as the process.
#[derive(Clone, Debug)]
pub struct LogHandle {
    queue: Arc<Queue>,
}

impl LogHandle {
    /// Changes what is logged at all.
    pub fn set_level(&self, level: LevelFilter) {
        log::set_max_level(level);
    }

    /// Waits until everything so far is written, no longer than `limit`; says whether it is.
    pub fn flush(&self, limit: Duration) -> bool {
        self.queue.flush(limit)
    }
}

/// Starts the log of this process: in the journal where standard error is connected to it, else as text.
///
/// A panic is logged like everything else, so that it reaches the journal and cannot hang on a full pipe.
///
/// # Errors
/// The thread cannot be started, or this process has a logger already.
pub fn start(options: Options) -> io::Result<LogHandle> {
    let sink: Box<dyn Sink> = match journal::connect() {
        Some(journal) => Box::new(journal),
        None => Box::new(TextSink { is_coloured: options.is_coloured, writer: io::stderr() }),
    };
    let logger = QueueLogger::new(sink)?;
    let handle = LogHandle { queue: Arc::clone(&logger.queue) };
    simplelog::CombinedLogger::init(vec![Box::new(logger)]).map_err(io::Error::other)?;
    // CombinedLogger allows all that its loggers take; what is wanted is decided here, and may change.
    log::set_max_level(options.level);
    let queue = Arc::clone(&handle.queue);
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic_message(panic.payload());
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error!(at = place, message = message; "panic");
        queue.flush(PANIC_FLUSH);
    }));
    Ok(handle)
}

/// What `panic!` was given.
fn panic_message(payload: &dyn std::any::Any) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A logger for the `log` crate that hands entries to a sink through a queue.
#[derive(Debug)]
pub struct QueueLogger {
    queue: Arc<Queue>,
}

impl QueueLogger {
    /// A logger with a thread that writes into `sink`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(sink: Box<dyn Sink>) -> io::Result<QueueLogger> {
        Ok(QueueLogger { queue: Queue::start(sink)? })
    }

    /// Waits until everything so far is written, no longer than `limit`; says whether it is.
    pub fn flush_within(&self, limit: Duration) -> bool {
        self.queue.flush(limit)
    }
}

impl Log for QueueLogger {
    /// Libraries have nothing to say to an administrator; what matters of them, we say.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.queue.push(Entry::new(record, clock::wall()));
        }
    }

    fn flush(&self) {}
}

impl simplelog::SharedLogger for QueueLogger {
    fn level(&self) -> LevelFilter {
        LevelFilter::Trace
    }

    fn config(&self) -> Option<&simplelog::Config> {
        None
    }

    fn as_log(self: Box<Self>) -> Box<dyn Log> {
        self
    }
}

/// Writes entries as lines of text.
#[derive(Debug)]
pub struct TextSink<W> {
    /// Whether the level is coloured.
    pub is_coloured: bool,
    /// Where the lines go.
    pub writer: W,
}

impl<W: Write + AsFd + Send> Sink for TextSink<W> {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let line = entry.line(self.is_coloured);
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match self.writer.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Somebody who shares the terminal or pipe has made it non-blocking; this thread may wait.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait::until(self.writer.as_fd(), wait::For::Writing, None)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
