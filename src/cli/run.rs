//! `facron run`: watches and runs commands until it is told to stop.

mod demo;

use nix::unistd::Uid;

use super::output::{colours_messages, say};
use super::rule_files::RuleFiles;
use super::{ExitStatus, Global, directories};
use crate::daemon::load::load;
use crate::daemon::{self, Daemon, Settings, StartError};
use crate::lint::System;
use crate::logger;
use crate::sys::heap;
use crate::sys::signals::Signals;
use crate::sys::trust::Owner;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    rule_files: RuleFiles,
    /// Use rule files and programs that others may write, for a try-out
    #[arg(long)]
    insecure: bool,
    /// Log more; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Log less: warnings and errors; twice for errors only
    #[arg(short, long, action = clap::ArgAction::Count)]
    quiet: u8,
    /// Show the whole way once, in a temporary directory, as any user; then stop
    #[arg(long, conflicts_with_all = ["config", "insecure"])]
    demo: bool,
}

/// Carries it out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    if args.demo {
        return demo::run(global);
    }
    match start(args, global) {
        Ok(mut daemon) => match daemon.run() {
            Ok(()) => ExitStatus::Ok,
            Err(_) => ExitStatus::Failed,
        },
        Err(status) => status,
    }
}

fn start(args: &Args, global: &Global) -> Result<Daemon, ExitStatus> {
    let complain = |message: &str| say(&format!("facron run: {message}\n"), global);
    let give_up = |message: &str| {
        complain(message);
        ExitStatus::Failed
    };
    heap::keep_small();
    // Before any thread is there: what is blocked here is blocked in all of them.
    let signals = Signals::new().map_err(|error| give_up(&format!("cannot take signals: {error}")))?;
    let places = args.rule_files.places().map_err(|message| {
        complain(message);
        ExitStatus::Usage
    })?;
    let owner = if args.insecure { Owner::Anybody } else { Owner::of_daemon(Uid::effective().as_raw()) };
    let (rules, loaded) = load(&places, owner, &System::new()).map_err(|loaded| {
        say(&daemon::refusal(&loaded), global);
        complain("the rule files have mistakes; nothing is armed");
        ExitStatus::BadRules
    })?;
    let log = logger::start(logger::Options {
        level: log::LevelFilter::Info,
        is_coloured: colours_messages(global),
    })
    .map_err(|error| give_up(&format!("cannot start the log: {error}")))?;
    let settings = Settings {
        places,
        owner,
        is_insecure: args.insecure,
        environment: environment(),
        runtime_dir: directories::runtime_dir(&rules.daemon).ok(),
        state_dir: directories::state_dir(&rules.daemon).ok(),
        log: log.clone(),
        log_level: log_level(args),
    };
    Daemon::start(settings, &rules, &loaded, signals).map_err(|error| {
        let (message, status) = match error {
            StartError::AlreadyRunning(message) => (message, ExitStatus::AlreadyRunning),
            StartError::NoPermission(message) => (message, ExitStatus::NoPermission),
            StartError::Failed(message) => (message, ExitStatus::Failed),
        };
        complain(&message);
        status
    })
}

/// What the command line says about the level; none: nothing.
fn log_level(args: &Args) -> Option<log::LevelFilter> {
    match (args.verbose, args.quiet) {
        (0, 0) => None,
        (1, _) => Some(log::LevelFilter::Debug),
        (_, 0) => Some(log::LevelFilter::Trace),
        (_, 1) => Some(log::LevelFilter::Warn),
        (_, _) => Some(log::LevelFilter::Error),
    }
}

/// The environment of this process, for `inherit-env`.
fn environment() -> crate::supervisor::Variables {
    std::env::vars_os().collect()
}
