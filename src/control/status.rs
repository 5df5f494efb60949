//! How things are, as `facron status` shows it and as JSON has it (SPEC 5): filled in by the daemon, read by people
//! and tools. Times are RFC 3339 with milliseconds, in UTC.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::WirePath;

/// Everything that `status` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon as a whole.
    pub daemon: DaemonStatus,
    /// The rules in file order, or the one that was asked for.
    pub rules: Vec<RuleStatus>,
}

/// The daemon as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Of facron.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub user: u32,
    /// When it started.
    pub since: String,
    /// The rule files.
    pub config: Vec<String>,
    /// When they were last taken over.
    pub config_loaded: String,
    /// Why the last reload was refused; none: it was not.
    pub last_reload_error: Option<ReloadError>,
    /// How often events were lost, in the kernel's queue or in ours.
    pub overflows: u64,
    /// Runs alive.
    pub running: u64,
    /// Runs that may be alive at once.
    pub concurrency: u32,
    /// What the kernel offers of what facron uses, and what follows from it.
    pub kernel: BTreeMap<String, String>,
}

/// A reload that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadError {
    /// When.
    pub time: String,
    /// Why.
    pub error: String,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it watches.
    pub path: Vec<String>,
    /// Whether it works.
    pub state: RuleState,
    /// Why it does not, or not fully.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it is watched; none: not yet.
    pub watched_by: Option<String>,
    /// How the processes of its runs are held together.
    pub contained_by: Option<String>,
    /// Events that matched.
    pub matched: u64,
    /// … and were answered by a run.
    pub covered: u64,
    /// Paths (under `queue`: triggers) that wait.
    pub waiting: u64,
    /// Runs alive.
    pub running: u64,
    /// Runs that ended.
    pub runs: RunCounts,
    /// Events that no run answers, by reason: the words of `DropReason`.
    pub dropped: BTreeMap<String, u64>,
    /// What became of those who opened what the rule guards; only where it asks for permission events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardCounts>,
    /// The last run that ended.
    pub last: Option<LastRun>,
    /// The last decisions, oldest first; only where one rule was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decisions: Option<Vec<DecisionStatus>>,
}

/// Whether a rule works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleState {
    /// It is about to be watched: the daemon starts, or reloads.
    Arming,
    /// It is watched.
    Armed,
    /// It is not, or not all of it; it is tried again.
    Degraded,
    /// What arrives waits (`facron pause`).
    Paused,
    /// More waits than `queue-limit` allows, or starts exceed `start-limit`.
    OverLimit,
    /// `enabled = false`.
    Disabled,
}

/// What became of those who opened what a rule guards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardCounts {
    /// All who came.
    pub openings: u64,
    /// Questions put to the command.
    pub asked: u64,
    /// Let through.
    pub allowed: u64,
    /// Turned away.
    pub denied: u64,
    /// Of both: by `verdict-default`.
    pub by_default: u64,
    /// Of both: by a verdict that was kept (`verdict-cache`).
    pub cached: u64,
    /// Of those let through: runs, what they started, facron itself.
    pub exempt: u64,
    /// Verdicts that came after the default had been given.
    pub late: u64,
}

/// Runs that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCounts {
    /// Well.
    pub ok: u64,
    /// With a failure.
    pub failed: u64,
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its number.
    pub run: u64,
    /// When it ended.
    pub time: String,
    /// How, in the log's words.
    pub outcome: String,
    /// From its start to its end, as in the log.
    pub took: String,
    /// Its (first) path.
    #[serde(flatten)]
    pub path: WirePath,
    /// The end of its error output, invalid UTF-8 replaced.
    pub error_output: String,
}

/// What was done with one event, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionStatus {
    /// When the event was read.
    pub time: String,
    /// What happened to the path.
    pub events: Vec<String>,
    /// Which path.
    #[serde(flatten)]
    pub path: WirePath,
    /// Who did it, 0: unknown.
    pub pid: i32,
    /// Its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// How it is known: `event`, `rescan`, `catch-up`, `trigger`.
    pub origin: String,
    /// What came of it.
    pub done: Done,
    /// Why.
    pub why: String,
    /// The run that answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
}

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// A run started.
    Run,
    /// It waits: for the end of a burst, a slot, its path, or a limit.
    Waits,
    /// It joined what waits already.
    Joined,
    /// It matched, and no run will answer it.
    Dropped,
    /// It is not what the rule asks for.
    PassedOver,
}

impl RuleState {
    /// The word in table, log and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleState::Arming => "arming",
            RuleState::Armed => "armed",
            RuleState::Degraded => "degraded",
            RuleState::Paused => "paused",
            RuleState::OverLimit => "over-limit",
            RuleState::Disabled => "disabled",
        }
    }
}

impl Done {
    /// The word in table and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Done::Run => "run",
            Done::Waits => "waits",
            Done::Joined => "joined",
            Done::Dropped => "dropped",
            Done::PassedOver => "passed-over",
        }
    }
}

/// A time as status has it: `2026-01-02T03:04:05.678Z`.
pub fn stamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
