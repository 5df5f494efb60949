//! One connection of the control socket: one request in, its answer out. Never waits.
//!
//! ```text
//!          line             answer             all written
//! Reading ──────► Asked ──────────────► Closing ──────────► closed
//!    │ deadline     │ no deadline:         │ deadline for each step
//!    ▼              │ the daemon works     ▼
//!  closed           └────────► Following  closed
//!                     follow      no deadline: who reads too slowly misses something, and is told
//! ```

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{LINE_BYTES_MAX, Response, Verb};
use crate::moment::Moment;
use crate::sys::poller::Interest;

/// The request has to be there this long after the connection.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// Whoever is answered has to take something at least this often.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Read at once, so that one client does not keep the others waiting.
const CHUNK_BYTES: usize = 16 << 10;

/// What a follower has not read yet; decisions beyond it are counted and missed.
const FOLLOWER_BYTES_MAX: usize = 256 << 10;

/// A connection.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    /// What is watched for, as the poller knows it.
    pub(super) interest: Interest,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Of `output`, what is written.
    written: usize,
    state: State,
    deadline: Option<Moment>,
}

enum State {
    Reading,
    Asked { follow: Option<Follow> },
    Following { follow: Follow, missed: u64 },
    Closing,
}

/// What a follower wants to hear of; none: every rule.
struct Follow(Option<String>);

/// What is to be done with a client after something happened to it.
pub(super) enum Next {
    /// Nothing.
    Wait,
    /// It asks.
    Ask(Verb),
    /// It is told this, and goes.
    Refuse(String),
    /// It goes.
    Close,
}

impl Client {
    pub(super) fn new(stream: UnixStream, now: Moment) -> Client {
        Client {
            stream,
            interest: Interest::default(),
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            state: State::Reading,
            deadline: Some(now + READ_LIMIT),
        }
    }

    /// When it is closed if nothing happens.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.deadline
    }

    /// Whether it has asked for nothing yet.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading)
    }

    pub(super) fn is_follower(&self) -> bool {
        matches!(&self.state, State::Following { .. } | State::Asked { follow: Some(_) })
    }

    /// What is to be watched for.
    pub(super) fn wanted(&self) -> Interest {
        // A follower is read from to see its end.
        let is_reading = matches!(self.state, State::Reading | State::Following { .. });
        Interest { is_reading, is_writing: !self.output.is_empty() }
    }

    /// How much waits to be written.
    pub(super) fn output_bytes(&self) -> usize {
        self.output.len()
    }

    /// Takes in what is there to be read.
    pub(super) fn read(&mut self) -> Next {
        let mut chunk = [0; CHUNK_BYTES];
        let count = match self.stream.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if is_for_later(&error) => return Next::Wait,
            Err(_) => return Next::Close,
        };
        match &self.state {
            State::Reading => {}
            State::Following { .. } if count == 0 => return Next::Close,
            // It has nothing more to say.
            State::Asked { .. } | State::Following { .. } | State::Closing => return Next::Wait,
        }
        if count == 0 && self.input.is_empty() {
            return Next::Close;
        }
        self.input.extend_from_slice(&chunk[..count]);
        // The end of the input ends a line too.
        let end =
            self.input.iter().position(|byte| *byte == b'\n').or((count == 0).then_some(self.input.len()));
        match end {
            None if self.input.len() <= LINE_BYTES_MAX => Next::Wait,
            Some(end) if end <= LINE_BYTES_MAX => self.ask(end),
            Some(_) | None => Next::Refuse(format!("the request is longer than {LINE_BYTES_MAX} bytes")),
        }
    }

    fn ask(&mut self, end: usize) -> Next {
        match Verb::from_line(&self.input[..end]) {
            Ok(verb) => {
                self.input = Vec::new();
                self.state = State::Asked { follow: follow_of(&verb) };
                self.deadline = None;
                Next::Ask(verb)
            }
            Err(error) => Next::Refuse(error),
        }
    }

    /// Takes the answer to what it asked.
    pub(super) fn answer(&mut self, line: &[u8], is_refusal: bool, now: Moment) {
        if let State::Asked { follow } = &mut self.state {
            self.state = match follow.take() {
                Some(follow) if !is_refusal => State::Following { follow, missed: 0 },
                Some(_) | None => State::Closing,
            };
            self.output.extend_from_slice(line);
            self.deadline = Some(now + WRITE_LIMIT);
        }
    }

    /// Tells it why it has to go.
    pub(super) fn refuse(&mut self, error: &str, now: Moment) {
        self.input = Vec::new();
        self.state = State::Closing;
        self.output.extend_from_slice(&Response::refused(error).to_line());
        self.deadline = Some(now + WRITE_LIMIT);
    }

    /// Tells a follower of a decision about this rule.
    pub(super) fn publish(&mut self, rule: &str, line: &[u8]) {
        let State::Following { follow, missed } = &mut self.state else { return };
        if follow.0.as_deref().is_some_and(|wanted| wanted != rule) {
            return;
        }
        if *missed > 0 || self.output.len() + line.len() > FOLLOWER_BYTES_MAX {
            *missed += 1;
        } else {
            self.output.extend_from_slice(line);
        }
    }

    /// Writes what there is room for.
    pub(super) fn write(&mut self, now: Moment) -> Next {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Next::Close,
                Ok(count) => {
                    self.written += count;
                    self.deadline = self.deadline.map(|_| now + WRITE_LIMIT);
                }
                Err(error) if is_for_later(&error) => return Next::Wait,
                Err(_) => return Next::Close,
            }
        }
        // A long answer had megabytes: its memory goes too.
        self.output = Vec::new();
        self.written = 0;
        match &mut self.state {
            State::Closing => Next::Close,
            State::Following { missed: missed @ 1.., .. } => {
                self.output = Response::Missed(std::mem::take(missed)).to_line();
                self.write(now)
            }
            State::Following { .. } => {
                self.deadline = None;
                Next::Wait
            }
            State::Reading | State::Asked { .. } => Next::Wait,
        }
    }
}

fn follow_of(verb: &Verb) -> Option<Follow> {
    match verb {
        Verb::Status { rule, follow: true } => Some(Follow(rule.clone())),
        Verb::Status { .. }
        | Verb::Trigger { .. }
        | Verb::Pause { .. }
        | Verb::Resume { .. }
        | Verb::Reload {} => None,
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
