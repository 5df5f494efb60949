//! What the supervisor has to say to the loop.

use std::sync::Arc;

use crate::engine::{Exit, StartFailure};
use crate::event::RunId;

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupervisorNotice {
    /// A run came to its end: its main process is reaped, and, where that was asked for, its tree is gone.
    Exited {
        /// Which.
        run: RunId,
        /// How its main process ended.
        exit: Exit,
        /// The last of what it wrote to standard error, at most [`super::ERROR_TAIL_LEN`] bytes, where output goes
        /// into the log.
        error_tail: Vec<u8>,
    },
    /// A run did not start after all.
    NotStarted {
        /// Which.
        run: RunId,
        /// Why.
        failure: StartFailure,
    },
    /// A run wrote a line.
    Output {
        /// Which.
        run: RunId,
        /// Of which rule.
        rule: Arc<str>,
        /// Where to.
        stream: Stream,
        /// The line without its end, as bytes; at most [`super::LINE_LEN_MAX`].
        text: Vec<u8>,
    },
    /// Output of a run that is not passed on, beyond what is kept of one run; what follows is the last of it.
    OutputLeftOut {
        /// Which.
        run: RunId,
        /// Of which rule.
        rule: Arc<str>,
        /// How much.
        amount: Amount,
    },
    /// Output of a rule's runs that is not passed on, beyond the lines of one minute.
    OutputThrottled {
        /// Which.
        rule: Arc<str>,
        /// How much.
        amount: Amount,
    },
    /// A path that `stdin` does not tell the command, since its name has the separator in it.
    PathLeftOut {
        /// Of which run.
        run: RunId,
        /// Of which rule.
        rule: Arc<str>,
        /// Which.
        path: std::path::PathBuf,
    },
    /// A run was killed and is not gone a second later: the kernel does not end it. It keeps its slot.
    Unkillable {
        /// Which.
        run: RunId,
        /// Of which rule.
        rule: Arc<str>,
    },
}

/// Which of its two outputs a command wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Out => "out",
            Stream::Err => "err",
        }
    }
}

/// How much output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Ends of lines in it.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Amount {
    /// What is in these bytes.
    pub fn of(bytes: &[u8]) -> Amount {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        Amount { lines: lines as u64, bytes: bytes.len() as u64 }
    }

    /// Whether there is nothing.
    pub fn is_zero(self) -> bool {
        self == Amount::default()
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.lines += other.lines;
        self.bytes += other.bytes;
    }
}
