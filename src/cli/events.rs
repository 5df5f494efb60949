//! `facron events`: prints the live event stream, paths and causes resolved.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::explain::event;
use super::output::{NotPrinted, print, say};
use super::{ExitStatus, Global};
use crate::config;
use crate::diagnostic::SourceText;
use crate::escape;
use crate::event::{Event, EventMask};
use crate::event_json;
use crate::monitor::{Monitor, Notice, Now, Options, Unattributed};
use crate::rule::{On, RuleSet};
use crate::sys::clock;
use crate::sys::poller::{Interest, Poller};
use crate::sys::signals::{self, Signals};

/// The rule that all is told to: its paths and events are put in.
const RULE: &str =
    "[[rule]]\nname = 'events'\npath = '/'\nscope = 'tree'\ndirs = true\ncommand = ['/bin/true']\n";

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and directories, each with all below it; they need not exist yet [default: the current directory]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only these events or sets of events
    #[arg(
        long,
        value_name = "EVENT",
        value_delimiter = ',',
        default_values = ["create", "modify", "attrib", "close-write", "arrived", "delete", "move", "rename"]
    )]
    on: Vec<String>,
    /// How to print them: a line each for people, or a JSON object each
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Why there is no stream, or no more.
enum End {
    /// Somebody asked for it, or nobody reads any more.
    Asked,
    /// It was asked wrongly.
    Usage(String),
    /// A privilege is missing.
    NoPermission(String),
    /// It failed.
    Failed(String),
}

/// Carries it out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    let (message, status) = match stream(args, global) {
        End::Asked => return ExitStatus::Ok,
        End::Usage(message) => (message, ExitStatus::Usage),
        End::NoPermission(message) => (message, ExitStatus::NoPermission),
        End::Failed(message) => (message, ExitStatus::Failed),
    };
    say(&format!("facron events: {}\n", escape::line(&message)), global);
    status
}

fn stream(args: &Args, global: &Global) -> End {
    let rules = match rules(args) {
        Ok(rules) => rules,
        Err(message) => return End::Usage(message),
    };
    // Signals are blocked before there is another thread.
    let (signals, monitor) = match Signals::new() {
        Ok(signals) => (signals, Monitor::new(Options::default())),
        Err(errno) => return End::Failed(format!("cannot listen to signals: {}", errno.desc())),
    };
    match monitor {
        Ok(mut monitor) => {
            monitor.set_rules(&rules);
            tell_of_missing(&rules, global);
            print_all(args, global, monitor, signals).unwrap_or_else(|error| {
                End::Failed(format!("the kernel does not tell of events any more: {error}"))
            })
        }
        Err(reason) if reason.is_forbidden => End::NoPermission(reason.to_string()),
        Err(reason) => End::Failed(reason.to_string()),
    }
}

/// Who waits for what is not there yet should know it.
fn tell_of_missing(rules: &RuleSet, global: &Global) {
    let paths = rules.iter().flat_map(|(_, rule)| rule.watch.paths.iter());
    let is_missing = |path: &&PathBuf| {
        let error = std::fs::symlink_metadata(path).err();
        error.is_some_and(|error| matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)))
    };
    for path in paths.filter(is_missing) {
        say(&format!("facron events: waiting for {} to appear\n", escape::path(path)), global);
    }
}

/// Prints until somebody asks for the end, or nobody reads any more.
fn print_all(args: &Args, global: &Global, mut monitor: Monitor, mut signals: Signals) -> io::Result<End> {
    let reading = Interest { is_reading: true, is_writing: false };
    let poller = Poller::new()?;
    poller.add(monitor.as_fd(), MONITOR, reading)?;
    poller.add(signals.as_fd(), SIGNALS, reading)?;
    // A file is always there; only of a pipe or a terminal can be told that nobody reads it any more.
    poller.add(io::stdout().as_fd(), OUTPUT, Interest::default()).ok();
    let mut notices = Vec::new();
    loop {
        let deadline =
            monitor.next_deadline(&|_| usize::MAX).map(|deadline| deadline.since(clock::monotonic()));
        poller.wait(deadline)?;
        if poller.ready()?.iter().any(|ready| ready.token == OUTPUT && ready.is_closed) {
            return Ok(End::Asked);
        }
        while let Some(notice) = signals.read()? {
            if notice == signals::Notice::Stop {
                return Ok(End::Asked);
            }
        }
        let now = Now { moment: clock::monotonic(), wall: clock::wall() };
        monitor.turn(now, &mut Unattributed, &|_| usize::MAX, &mut notices)?;
        let mut lines = String::new();
        for notice in notices.drain(..) {
            match notice {
                Notice::Event { event, .. } => lines += &line(&event, args.format),
                Notice::Degraded { reason, lacks_privilege: true, .. } => {
                    return Ok(End::NoPermission(reason));
                }
                Notice::Degraded { reason, .. } => {
                    say(&format!("facron events: {}\n", escape::line(&reason)), global);
                }
                Notice::Unreadable { one: Some((path, count)), .. } => {
                    let path = escape::path(&path);
                    let what = format!("{count} directories may not be read and are not watched, as {path}");
                    say(&format!("facron events: {what}\n"), global);
                }
                Notice::Unnameable { count } => {
                    let what = format!("{count} directories have paths that are too long to be told");
                    say(&format!("facron events: {what}\n"), global);
                }
                Notice::Overflow { .. } => {
                    say("facron events: overflow: events were lost\n", global);
                }
                Notice::Armed { .. }
                | Notice::Unreadable { one: None, .. }
                | Notice::Settled
                | Notice::RescanDone { .. }
                | Notice::Keep { .. }
                | Notice::LetGo { .. } => {}
            }
        }
        match print(&lines, global) {
            Ok(()) => {}
            Err(NotPrinted::Unread) => return Ok(End::Asked),
            Err(failed @ NotPrinted::Failed(_)) => return Ok(End::Failed(failed.to_string())),
        }
    }
}

const MONITOR: u64 = 0;
const SIGNALS: u64 = 1;
const OUTPUT: u64 = 2;

/// One rule, for all that is asked.
///
/// # Errors
/// There is no such event, or no such path can be.
fn rules(args: &Args) -> Result<Arc<RuleSet>, String> {
    let mut on = On::default();
    for name in &args.on {
        on.any |= event(name, false)?;
        on.any_directory |= event(name, true)?;
    }
    if on.wanted().intersects(EventMask::ALL_PERMISSION) {
        return Err("permission events are for rules: whoever hears of them has to answer".to_owned());
    }
    let here = [PathBuf::from(".")];
    let paths = if args.paths.is_empty() { &here[..] } else { &args.paths };
    let paths: Result<Vec<PathBuf>, String> = paths.iter().map(|path| absolute(path)).collect();
    let source = SourceText { name: "events".into(), text: RULE.into() };
    let mut rules = config::parse(&[source]).rules;
    for rule in &mut rules.rules {
        let rule = Arc::make_mut(rule);
        (rule.watch.paths, rule.watch.on) = (paths.clone()?, on.clone());
    }
    Ok(Arc::new(rules))
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    let failed = |error| format!("cannot make {} absolute: {error}", escape::path(path));
    Ok(std::path::absolute(path).map_err(failed)?.components().collect())
}

/// One event on a line, its path last.
fn line(event: &Event, format: Format) -> String {
    if format == Format::Json {
        return event_json::text(event) + "\n";
    }
    let mut line = format!("{} {}", humantime::format_rfc3339_millis(event.time), event.mask);
    if event.is_dir {
        line += " dir";
    }
    if event.cause.pid != 0 {
        line += &format!(" pid={}", event.cause.pid);
    }
    if let Some(exe) = &event.cause.exe {
        line += &format!(" exe={}", escape::path(exe));
    }
    if let Some(old) = &event.old_path {
        line += &format!(" old={}", escape::path(old));
    }
    line + &format!(" path={}\n", escape::path(&event.path))
}
