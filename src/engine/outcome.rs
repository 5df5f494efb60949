//! How a run ended: everything that can happen to it, each told apart in the log's words.

use std::fmt;

use crate::signal;

/// How the main process of a run ended, from wait(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code, 0–255.
    Code(i32),
    /// By a signal, by number.
    Signal(i32),
}

/// Why a run never became a process of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// What kind of refusal.
    pub class: StartFailureClass,
    /// What was tried on what, and why it failed: a lower-case sentence for the log.
    pub message: String,
    /// Whether the system may allow it in a moment (EAGAIN, ENOMEM, EMFILE, ENFILE, ETXTBSY): tried again
    /// without using up `retries`.
    pub is_transient: bool,
}

macro_rules! classes {
    ($($variant:ident $name:literal $about:literal)*) => {
        /// Kinds of [`StartFailure`]; the words behind `not-started:` in log, status and `FACRON_OUTCOME`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StartFailureClass {
            $(#[doc = $about] $variant,)*
        }

        /// Every class with its word and its line in the manual.
        pub const START_FAILURES: &[(&str, StartFailureClass, &str)] =
            &[$(($name, StartFailureClass::$variant, $about),)*];
    };
}

classes! {
    Missing       "missing"        "the program does not exist"
    NotExecutable "not-executable" "the program may not be executed, is a directory, or is on a noexec mount"
    NotAProgram   "not-a-program"  "the kernel knows no way to run the file (no `#!` line, empty, wrong machine)"
    Interpreter   "interpreter"    "the interpreter in the `#!` line does not exist (or ends in a carriage return)"
    Untrusted     "untrusted"      "others may write the program or a directory above it"
    Identity      "identity"       "the user or group does not exist, or may not be taken on"
    Directory     "directory"      "the working directory cannot be entered"
    Containment   "containment"    "the containment that the rule demands cannot be made"
    Limits        "limits"         "a resource limit or the nice value cannot be set"
    Input         "input"          "standard input cannot be given: the file is gone or cannot be opened"
    Output        "output"         "the output file cannot be opened safely"
    TooLong       "too-long"       "the arguments are longer than the kernel takes (ARG_MAX, 128 KiB a string)"
    Busy          "busy"           "the program file is open for writing (ETXTBSY), and stayed so"
    Resources     "resources"      "the system has no processes, memory or descriptors left, and stayed so"
    Other         "other"          "anything else; the log has the system's word for it"
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself.
    Ended(Exit),
    /// It outlived `timeout`.
    Timeout,
    /// `on-busy = "restart"`: a change came.
    Restart,
    /// The daemon stopped.
    Shutdown,
    /// It never became a process of the command.
    NotStarted(StartFailure),
}

impl StartFailureClass {
    /// The word behind `not-started:`.
    pub fn as_str(self) -> &'static str {
        START_FAILURES.iter().find(|(_, class, _)| *class == self).map_or("other", |(word, ..)| word)
    }
}

impl fmt::Display for Outcome {
    /// The log's words: `exit:3`, `signal:SEGV`, `timeout`, `restart`, `shutdown`, `not-started:missing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Ended(Exit::Code(code)) => write!(f, "exit:{code}"),
            Outcome::Ended(Exit::Signal(number)) => write!(f, "signal:{}", signal::name(*number)),
            Outcome::Timeout => f.write_str("timeout"),
            Outcome::Restart => f.write_str("restart"),
            Outcome::Shutdown => f.write_str("shutdown"),
            Outcome::NotStarted(failure) => write!(f, "not-started:{}", failure.class.as_str()),
        }
    }
}
