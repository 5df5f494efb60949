//! The supervisor without a daemon: rules made by hand, runs followed to their ends.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use facron::engine::{Exit, Purpose, Run, StartFailure, StopSignal};
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::moment::Moment;
use facron::rule::*;
use facron::supervisor::{Options, Stream, Supervisor, SupervisorNotice};
use facron::sys::clock;
use facron::template::Template;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Long enough for the slowest machine; a test never waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A rule with every default of the manual, which runs this command.
pub fn rule(command: &[&str]) -> Rule {
    let templates = command.iter().map(|word| Template::parse(word).expect("a template"));
    Rule {
        name: Arc::from("test"),
        description: None,
        source: Source::default(),
        watch: Watch {
            paths: vec![PathBuf::from("/srv")],
            scope: Scope::Tree,
            filter: Filter::default(),
            dirs: false,
            on: On::default(),
            by: CauseFilter::default(),
            ignore_self: true,
            catch_up: false,
            rescan: None,
            on_overflow: OnOverflow::Rescan,
            mark: MarkChoice::Auto,
        },
        gather: Gather {
            debounce: Duration::ZERO,
            max_wait: None,
            edge: Edge::Trailing,
            batch: false,
            batch_bytes_max: None,
        },
        schedule: Schedule {
            concurrency: None,
            on_busy: OnBusy::Coalesce,
            queue_limit: 10_000,
            start_limit: None,
        },
        command: Command::Argv(templates.collect()),
        setting: Setting {
            user: None,
            group: None,
            cwd: PathBuf::from("/"),
            umask: 0o022,
            nice: 0,
            limits: BTreeMap::new(),
            env: BTreeMap::new(),
            inherit_env: Vec::new(),
            stdin: Stdin::Null,
            output: Output::Log,
            no_new_privs: false,
            contain: Contain::Auto,
        },
        ending: Ending {
            timeout: None,
            stop_signal: libc::SIGTERM,
            kill_after: Duration::from_secs(5),
            leftover: Leftover::Keep,
            success_codes: vec![0],
            retries: 0,
            retry_delay: Duration::from_secs(1),
            retry_max_delay: Duration::from_secs(60),
            on_failure: None,
            notify: Notify::Never,
        },
        verdict: VerdictBy { command: false, default_allow: true },
    }
}

/// A rule whose command is a shell's text, which comes as `sh -c` does: `$0` is the path.
pub fn script(text: &str) -> Rule {
    let mut rule = rule(&["/bin/sh", "-c", "", "{path}"]);
    if let Command::Argv(words) = &mut rule.command {
        words[2] = Template::literal(text);
    }
    rule
}

/// The same, changed.
pub fn with(mut rule: Rule, change: impl FnOnce(&mut Rule)) -> Rule {
    change(&mut rule);
    rule
}

/// An event on a path that nobody in particular caused.
pub fn event(path: impl Into<PathBuf>) -> Event {
    Event {
        mask: EventMask::ARRIVED,
        path: path.into(),
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
    runs: u64,
}

impl Supervised {
    pub fn new() -> Supervised {
        Supervised::with(Options::default())
    }

    pub fn with(options: Options) -> Supervised {
        let supervisor = Supervisor::new(options).expect("a supervisor");
        Supervised { supervisor, notices: Vec::new(), runs: 0 }
    }

    /// Starts a run of a rule for one path.
    pub fn start(&mut self, rule: Rule) -> Result<RunId, StartFailure> {
        self.start_for(rule, vec![event("/srv/file")])
    }

    /// Starts a run of a rule for these events.
    pub fn start_for(&mut self, rule: Rule, events: Vec<Event>) -> Result<RunId, StartFailure> {
        self.runs += 1;
        let id = RunId(self.runs);
        let run = Run { id, rule: Arc::new(rule), purpose: Purpose::Command, attempt: 1, events };
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
