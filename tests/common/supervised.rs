//! The supervisor without a daemon: rules made by hand, runs followed to their ends.

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use facron::config;
use facron::diagnostic::{Severity, SourceText};
use facron::engine::{Exit, Purpose, Run, StartFailure, StopSignal};
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::moment::Moment;
use facron::rule::{Command, Rule};
use facron::supervisor::{Options, Stream, Supervisor, SupervisorNotice};
use facron::sys::clock;
use facron::template::Template;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Long enough for the slowest machine; a test never waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A rule that runs this command, word by word, with these further keys as in a rule file.
#[track_caller]
pub fn rule(command: &[&str], keys: &str) -> Rule {
    let text = format!(
        "[[rule]]\nname = 'test'\npath = '/srv'\nscope = 'tree'\nconcurrency = 'unlimited'\ncommand = '/bin/true'\n{keys}"
    );
    let source = SourceText { name: Arc::from("test.toml"), text: text.into() };
    let parsed = config::parse(&[source]);
    let errors = parsed.findings.iter().filter(|finding| finding.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{:?}", parsed.findings);
    let mut rule = Rule::clone(&parsed.rules.rules[0]);
    rule.command = Command::Argv(command.iter().map(|word| Template::literal(word)).collect());
    rule
}

/// A rule whose command is `/bin/sh -c TEXT`, without the guards of `shell`: the text is ours.
#[track_caller]
pub fn script(text: &str, keys: &str) -> Rule {
    rule(&["/bin/sh", "-c", text], keys)
}

/// An event on a path that nobody in particular caused.
pub fn event(path: impl Into<PathBuf>) -> Event {
    Event {
        mask: EventMask::ARRIVED,
        path: path.into().into(),
        old_path: None,
        is_dir: false,
        cause: Cause::default(),
        time: SystemTime::UNIX_EPOCH,
        origin: Origin::Event,
        object: None,
    }
}

/// How a run ended, and what it wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    pub exit: Exit,
    pub out: String,
    pub err: String,
    pub error_tail: String,
}

/// A supervisor and all that it has said so far.
pub struct Supervised {
    pub supervisor: Supervisor,
    pub notices: Vec<SupervisorNotice>,
    /// Whether the end of the test is that of a daemon that was killed.
    pub leaves_all_running: bool,
    runs: u64,
}

impl Drop for Supervised {
    /// A test leaves nothing behind, even when it fails.
    fn drop(&mut self) {
        if self.leaves_all_running {
            return;
        }
        for run in self.supervisor.running().collect::<Vec<_>>() {
            self.signal(run, StopSignal::Kill);
        }
        let end = clock::monotonic() + Duration::from_secs(5);
        while self.supervisor.running().len() > 0 && clock::monotonic() < end {
            self.work_until(end);
        }
    }
}

impl Supervised {
    pub fn new() -> Supervised {
        Supervised::with(Options::default())
    }

    pub fn with(options: Options) -> Supervised {
        let supervisor = Supervisor::new(options).expect("a supervisor");
        Supervised { supervisor, notices: Vec::new(), leaves_all_running: false, runs: 0 }
    }

    /// Starts a run of a rule for one path.
    pub fn start(&mut self, rule: Rule) -> Result<RunId, StartFailure> {
        self.start_for(rule, vec![event("/srv/file")])
    }

    /// Starts a run of a rule for these events.
    pub fn start_for(&mut self, rule: Rule, events: Vec<Event>) -> Result<RunId, StartFailure> {
        self.runs += 1;
        let id = RunId(self.runs);
        let run =
            Run { id, rule: Arc::new(rule), purpose: Purpose::Command, attempt: 1, events: events.into() };
        self.spawn(&run)
    }

    pub fn spawn(&mut self, run: &Run) -> Result<RunId, StartFailure> {
        self.supervisor.spawn(run, &mut self.notices)?;
        Ok(run.id)
    }

    /// Lets the supervisor work until it has said something that is looked for.
    #[track_caller]
    pub fn wait_for(&mut self, is_it: impl Fn(&SupervisorNotice) -> bool) {
        let end = clock::monotonic() + PATIENCE;
        while !self.notices.iter().any(&is_it) {
            assert!(clock::monotonic() < end, "it does not come; so far: {:#?}", self.notices);
            self.work_until(end);
        }
    }

    /// Lets the supervisor work once, when something is ready or due, or at this moment.
    pub fn work_until(&mut self, end: Moment) {
        let wake = self.supervisor.next_deadline().map_or(end, |deadline| deadline.min(end));
        let wait = wake.since(clock::monotonic()) + Duration::from_millis(1);
        let timeout = PollTimeout::try_from(wait).expect("a minute at most");
        let _ = poll(&mut [PollFd::new(self.supervisor.as_fd(), PollFlags::POLLIN)], timeout);
        self.supervisor.ready(clock::monotonic(), &mut self.notices);
    }

    /// Follows a run to its end.
    #[track_caller]
    pub fn end_of(&mut self, run: RunId) -> End {
        self.wait_for(
            |notice| matches!(notice, SupervisorNotice::Exited { run: ended, .. } if *ended == run),
        );
        let text = |wanted: Stream| {
            let lines = self.notices.iter().filter_map(|notice| match notice {
                SupervisorNotice::Output { run: of, stream, text, .. } if *of == run && *stream == wanted => {
                    Some(String::from_utf8_lossy(text).into_owned() + "\n")
                }
                _ => None,
            });
            lines.collect::<String>()
        };
        let end = self.notices.iter().find_map(|notice| match notice {
            SupervisorNotice::Exited { run: of, exit, error_tail } if *of == run => Some(End {
                exit: *exit,
                out: text(Stream::Out),
                err: text(Stream::Err),
                error_tail: String::from_utf8_lossy(error_tail).into_owned(),
            }),
            _ => None,
        });
        end.expect("it was waited for")
    }

    /// Whether a run that was to start on another thread did not, and why.
    #[track_caller]
    pub fn late_refusal(&mut self, run: RunId) -> Option<StartFailure> {
        self.wait_for(|notice| match notice {
            SupervisorNotice::Exited { run: of, .. } | SupervisorNotice::NotStarted { run: of, .. } => {
                *of == run
            }
            _ => false,
        });
        self.notices.iter().find_map(|notice| match notice {
            SupervisorNotice::NotStarted { run: of, failure } if *of == run => Some(failure.clone()),
            _ => None,
        })
    }

    /// Starts a run of a rule and follows it to its end.
    #[track_caller]
    pub fn run(&mut self, rule: Rule) -> End {
        let run = self.start(rule).unwrap_or_else(|failure| panic!("{failure:?}"));
        self.end_of(run)
    }

    pub fn signal(&mut self, run: RunId, signal: StopSignal) {
        self.supervisor.signal(clock::monotonic(), run, signal);
    }
}
