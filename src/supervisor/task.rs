//! One run that has started: its processes, its output, how far its end has come.
//!
//! ```text
//!           main process ends            tree gone, or not asked for; output read or given up
//!  Running ───────────────────► Ending ──────────────────────────────────────────────────────► (Exited)
//!     │ stop asked, killed         │ leftover = "kill": asked, then killed by ourselves
//!     ▼                            ▼
//!  goes on being Running        killed and not gone after a second: Unkillable is said once, it stays
//! ```

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::capture::Capture;
use super::containment::Held;
use super::notice::Stream;
use crate::engine::{Exit, StopSignal};
use crate::event::RunId;
use crate::moment::Moment;
use crate::rule::{Leftover, Rule};
use crate::sys::process::{Child, Ended};

/// How long output is waited for after the main process has ended: somebody else may hold the pipe open.
const OUTPUT_WAIT: Duration = Duration::from_secs(1);

/// How long the kernel may take to end what was killed before it is said that it does not.
pub const KILL_WAIT: Duration = Duration::from_secs(1);

/// How often a tree that is to go is looked at: at first, and when it has not gone for long.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// A run that has started.
#[derive(Debug)]
pub struct Task {
    /// Which.
    pub run: RunId,
    /// Its rule, as it was when the run was decided.
    pub rule: Arc<Rule>,
    /// Its output, where it goes into the log.
    pub capture: Option<Box<Capture>>,
    /// Our ends of its pipes, until they end.
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    /// Of the main process, also when it is reaped.
    pub pid: i32,
    /// As long as it is not reaped: until its end, or while its id is needed to reach the rest of the run.
    main: Option<Child>,
    /// How the main process ended, and when that was seen.
    ended: Option<(Exit, Moment)>,
    /// Since when it has been told that the main process is dead, which cannot be reaped: somebody traces it (ptrace(2)).
    held_back: Option<Moment>,
    held: Held,
    stop: Stop,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug)]
enum Stop {
    No,
    /// Asked by the engine, which will have it killed when it takes too long; or by ourselves, who kill it then.
    Asked {
        kill_at: Option<Moment>,
    },
    Killed {
        since: Moment,
        is_said: bool,
    },
}

/// What there is to do for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Wait, for readiness or until this moment.
    Wait(Moment),
    /// Say that it is unkillable, and wait.
    SayUnkillable {
        /// Until this moment.
        look_at: Moment,
    },
    /// It is over.
    Finish(Exit),
}

impl Task {
    /// A task of a main process that has just started.
    pub fn new(run: RunId, rule: Arc<Rule>, main: Child, held: Held) -> Task {
        Task {
            run,
            rule,
            capture: None,
            out: None,
            err: None,
            pid: main.pid(),
            main: Some(main),
            ended: None,
            held_back: None,
            held,
            stop: Stop::No,
        }
    }

    /// Has its output read from our ends of two pipes.
    pub fn read_from(&mut self, out: OwnedFd, err: OwnedFd) {
        self.capture = Some(Box::default());
        (self.out, self.err) = (Some(out), Some(err));
    }

    /// Ends a run that nobody will hear of again.
    pub fn abandon(mut self) -> Held {
        self.held.hold.kill_all(self.main());
        self.reap();
        self.held
    }

    /// What held a run that is over.
    pub fn into_held(self) -> Held {
        self.held
    }

    /// The main process, as long as it is not reaped.
    pub fn main(&self) -> Option<&Child> {
        self.main.as_ref()
    }

    /// The processes whose ends are to be told to this task.
    pub fn processes(&self) -> impl Iterator<Item = &Child> {
        self.main().into_iter().chain(self.held.hold.first_process())
    }

    /// Whether the main process has not been seen to end.
    pub fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether it is to be looked at from time to time: its main process has ended, or was killed.
    pub fn is_ending(&self) -> bool {
        !self.is_running() || matches!(self.stop, Stop::Killed { .. })
    }

    /// A process of it was told to be dead, and the main process is not seen to be: it is looked at from now on.
    pub fn hold_back(&mut self, now: Moment) {
        self.held_back.get_or_insert(now);
    }

    /// Our ends of its pipes that have not ended.
    pub fn pipes(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        let pipes = [(Stream::Out, &self.out), (Stream::Err, &self.err)];
        pipes.into_iter().filter_map(|(stream, pipe)| Some((stream, pipe.as_ref()?.as_fd())))
    }

    /// Our end of a pipe.
    pub fn pipe(&mut self, stream: Stream) -> &mut Option<OwnedFd> {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    /// Signals the processes of the run.
    pub fn signal(&mut self, now: Moment, signal: StopSignal) {
        match signal {
            StopSignal::Ask(number) => self.ask(number, None),
            StopSignal::Kill => self.kill(now),
        }
    }

    /// Looks whether the main process has ended.
    pub fn look_at_main(&mut self, now: Moment) {
        if self.ended.is_some() {
            return;
        }
        let Some(ended) = self.main().and_then(Child::peek) else { return };
        self.ended = Some((ended.into(), now));
        if self.held.hold.ends_with_main() {
            self.reap();
            self.kill(now);
        } else if matches!(self.stop, Stop::No)
            && self.rule.ending.leftover == Leftover::Kill
            && !self.is_empty()
        {
            let kill_at = Some(now + self.rule.ending.kill_after);
            self.ask(self.rule.ending.stop_signal, kill_at);
        }
    }

    /// What there is to do for a run that is ending.
    pub fn step(&mut self, now: Moment) -> Step {
        let Some((exit, since)) = self.ended else {
            // Its end is told when it comes; here it is only seen that it does not.
            return self.wait_for_tree(now, self.held_back.unwrap_or(now));
        };
        let is_stopping = !matches!(self.stop, Stop::No);
        if is_stopping && !self.is_empty() {
            return self.wait_for_tree(now, since);
        }
        self.reap();
        let is_read = self.out.is_none() && self.err.is_none();
        let given_up_at = since + OUTPUT_WAIT;
        if is_read || now >= given_up_at { Step::Finish(exit) } else { Step::Wait(given_up_at) }
    }

    /// Waits for the rest of a run; `since` is when it began to be only that.
    fn wait_for_tree(&mut self, now: Moment, since: Moment) -> Step {
        if let Stop::Asked { kill_at: Some(kill_at) } = self.stop
            && now >= kill_at
        {
            self.kill(now);
        }
        let Stop::Killed { since, is_said } = self.stop else {
            return Step::Wait(next_look(now, since));
        };
        // Whoever joined in the meantime.
        self.kill(now);
        let look_at = next_look(now, since);
        if is_said || now.since(since) < KILL_WAIT {
            return Step::Wait(look_at);
        }
        self.stop = Stop::Killed { since, is_said: true };
        Step::SayUnkillable { look_at }
    }

    fn ask(&mut self, number: i32, kill_at: Option<Moment>) {
        if let Some(main) = self.main() {
            self.held.hold.signal_all(main, number);
            // A stopped process does not see the signal before it goes on.
            self.held.hold.signal_all(main, libc::SIGCONT);
        }
        if matches!(self.stop, Stop::No | Stop::Asked { .. }) {
            self.stop = Stop::Asked { kill_at };
        }
    }

    fn kill(&mut self, now: Moment) {
        self.held.hold.kill_all(self.main());
        if !matches!(self.stop, Stop::Killed { .. }) {
            self.stop = Stop::Killed { since: now, is_said: false };
        }
    }

    /// Whether nobody is left but the main process.
    fn is_empty(&self) -> bool {
        self.held.hold.is_empty(self.main())
    }

    fn reap(&mut self) {
        if let Some(main) = self.main.take() {
            main.reap();
        }
    }
}

/// The longer a tree takes already, the less it matters to see at once that it has gone.
pub fn next_look(now: Moment, since: Moment) -> Moment {
    now + (now.since(since) / 10).clamp(LOOK_INTERVAL, LOOK_INTERVAL_MAX)
}

impl From<Ended> for Exit {
    fn from(ended: Ended) -> Exit {
        match ended {
            Ended::Code(code) => Exit::Code(code),
            Ended::Signal(number) => Exit::Signal(number),
        }
    }
}
