//! The other end of the control socket: asks the running daemon, and waits for it no longer than is sensible.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Response, Verb, place};
use crate::escape;

/// How long the daemon may take to take a connection and to begin an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A reload looks at every rule file and every path; ten thousand rules on a busy machine take a while.
const RELOAD_LIMIT: Duration = Duration::from_secs(120);

/// An answer is never longer: 10 000 rules take about 8 MB.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A request on its way: gives the answers.
#[derive(Debug)]
pub struct Caller {
    path: PathBuf,
    reader: BufReader<UnixStream>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum CallError {
    /// Nobody listens there.
    NoDaemon(PathBuf, io::Error),
    /// It is not for us.
    NotAllowed(PathBuf),
    /// It took too long.
    Silent(PathBuf),
    /// The connection broke.
    Broken(PathBuf, io::Error),
    /// It answered, but not in our words.
    Unclear(PathBuf, String),
}

impl Caller {
    /// Asks the daemon whose runtime directory this is.
    ///
    /// # Errors
    /// There is none, or it does not let us.
    pub fn ask(runtime_dir: &Path, verb: &Verb) -> Result<Caller, CallError> {
        let path = || runtime_dir.to_owned();
        let stream = place::connect(runtime_dir, ANSWER_LIMIT).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => CallError::NotAllowed(path()),
            io::ErrorKind::WouldBlock => CallError::Silent(path()),
            _ => CallError::NoDaemon(path(), error),
        })?;
        let limit = match verb {
            Verb::Reload {} => RELOAD_LIMIT,
            Verb::Status { .. } | Verb::Trigger { .. } | Verb::Pause { .. } | Verb::Resume { .. } => {
                ANSWER_LIMIT
            }
        };
        let broken = |error| CallError::Broken(path(), error);
        stream.set_read_timeout(Some(limit)).map_err(broken)?;
        let mut caller = Caller { path: path(), reader: BufReader::new(stream) };
        match caller.reader.get_mut().write_all(&verb.to_line()) {
            // A refusal may be there before the request was sent; it is read then.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written.map_err(|error| caller.failed(error))?,
        }
        Ok(caller)
    }

    /// From now on an answer may take as long as it takes (`follow`).
    ///
    /// # Errors
    /// The system refuses.
    pub fn wait_for_ever(&mut self) -> Result<(), CallError> {
        self.reader
            .get_mut()
            .set_read_timeout(None)
            .map_err(|error| CallError::Broken(self.path.clone(), error))
    }

    /// The next answer; none: the daemon has closed the connection.
    ///
    /// # Errors
    /// It does not come, or makes no sense.
    pub fn answer(&mut self) -> Result<Option<Response>, CallError> {
        let mut line = Vec::new();
        let mut reader = (&mut self.reader).take(ANSWER_BYTES_MAX);
        match reader.read_until(b'\n', &mut line) {
            Ok(_) if line.is_empty() => Ok(None),
            Ok(_) => match Response::from_line(&line) {
                Ok(response) => Ok(Some(response)),
                Err(error) => Err(CallError::Unclear(self.path.clone(), error)),
            },
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && line.is_empty() => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: io::Error) -> CallError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => CallError::Silent(self.path.clone()),
            _ => CallError::Broken(self.path.clone(), error),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NoDaemon(path, cause) => {
                let path = escape::path(path);
                write!(
                    f,
                    "no daemon answers in {path}: {cause}\nhelp: start `facron run`, or name its rule file with -c"
                )
            }
            CallError::NotAllowed(path) => {
                let path = escape::path(path);
                write!(
                    f,
                    "the daemon in {path} may be asked by its own user and by root only: permission denied"
                )
            }
            CallError::Silent(path) => write!(f, "the daemon in {} does not answer", escape::path(path)),
            CallError::Broken(path, cause) => {
                write!(f, "the connection to the daemon in {} broke: {cause}", escape::path(path))
            }
            CallError::Unclear(path, error) => {
                let path = escape::path(path);
                write!(
                    f,
                    "the daemon in {path} speaks another language: {error}\nhelp: is it of another version?"
                )
            }
        }
    }
}

impl std::error::Error for CallError {}
