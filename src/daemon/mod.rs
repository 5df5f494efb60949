//! The daemon: the loop that joins monitor, engine and supervisor, and tells people about it.
//!
//! Nothing is decided here: what comes from the hands becomes inputs of the engine, and its actions are carried out
//! in order. One thread, one set of descriptors; whatever may block is elsewhere.

mod actions;
mod arm;
mod board;
mod event_loop;
mod guard;
mod intake;
mod kernel;
pub mod load;
mod reload;
mod report;
mod requests;
mod start;
mod status;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::control::{ClientId, ReloadError, Server};
use crate::desktop::Desktop;
use crate::engine::{Engine, Input};
use crate::event::RunId;
use crate::guard::Guard;
use crate::journal::Journal;
use crate::logger::LogHandle;
use crate::monitor::Monitor;
use crate::rule::{Rule, RuleSet};
use crate::supervisor::{Supervisor, SupervisorNotice, Variables};
use crate::sys::manager::Manager;
use crate::sys::poller::Poller;
use crate::sys::signals::Signals;
use crate::sys::trust::Owner;
use board::Board;
use load::Places;
use report::Reporter;

pub use start::{StartError, refusal};

/// What `facron run` decides before the daemon starts.
#[derive(Debug)]
pub struct Settings {
    /// Where the rule files are, for reloads.
    pub places: Places,
    /// Whose rule files are trusted.
    pub owner: Owner,
    /// Whether programs that others may write are run as root (`--insecure`).
    pub is_insecure: bool,
    /// The daemon's own environment.
    pub environment: Variables,
    /// Where the control socket is; none: there is no place for one.
    pub runtime_dir: Option<PathBuf>,
    /// Where what must outlive the process is; none: there is no place for it.
    pub state_dir: Option<PathBuf>,
    /// The log, and its level where no rule file says another.
    pub log: LogHandle,
    /// What the command line says about the level.
    pub log_level: Option<log::LevelFilter>,
}

/// The running daemon.
pub struct Daemon {
    settings: Settings,
    rules: Arc<RuleSet>,
    engine: Engine,
    monitor: Monitor,
    supervisor: Supervisor,
    guard: Guard,
    server: Option<Server>,
    desktop: Desktop,
    /// None: there is no place for it.
    journal: Option<Journal>,
    manager: Manager,
    signals: Signals,
    poller: Poller,
    board: Board,
    reporter: Reporter,
    about: About,
    /// Inputs that came of carrying out actions: a run that could not be started.
    inputs: VecDeque<Input>,
    /// What the supervisor said on the way.
    notices: Vec<SupervisorNotice>,
    /// The end of the error output of runs whose end the engine has still to judge.
    error_tails: BTreeMap<RunId, Vec<u8>>,
    /// Rules whose rescan finds what changed while no daemon ran.
    catch_ups: BTreeSet<Arc<str>>,
    settling: Option<Settling>,
    /// Whether the monitor has told of every rule of the set.
    is_monitor_settled: bool,
    /// Runs that even SIGKILL did not end within a second.
    unkillable: BTreeSet<RunId>,
    is_stopping: bool,
}

/// What status tells of the daemon as a whole.
#[derive(Debug)]
struct About {
    since: SystemTime,
    files: Vec<PathBuf>,
    loaded: SystemTime,
    disabled: Vec<Arc<Rule>>,
    last_reload_error: Option<ReloadError>,
    overflows: u64,
}

/// A rule set that is being armed, and who waits for it.
#[derive(Debug)]
enum Settling {
    /// The first one.
    Start,
    /// One that took the place of another; these clients are told.
    Reload(Vec<(ClientId, Vec<String>)>),
}
