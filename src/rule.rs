//! Rules as they are meant: every default filled in, every impossible combination gone.
//!
//! `config` makes them from the rule file; everything below uses them. No parsing, no I/O.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::event::EventMask;
use crate::glob::Glob;
use crate::moment::Moment;
use crate::template::Template;

/// Every rule of every rule file, and the daemon's own settings.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// `[daemon]`.
    pub daemon: DaemonSettings,
    /// The rules in file order; disabled ones are not here.
    pub rules: Vec<Arc<Rule>>,
}

/// The place of a rule in its [`RuleSet`]. Across a reload a rule is known by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

impl RuleSet {
    /// The rule of this id.
    ///
    /// # Panics
    /// If the id is of another rule set: a bug of ours.
    pub fn rule(&self, id: RuleId) -> &Arc<Rule> {
        &self.rules[id.0 as usize]
    }

    /// Every rule with its id, in order.
    pub fn iter(&self) -> impl Iterator<Item = (RuleId, &Arc<Rule>)> {
        (0..).map(RuleId).zip(&self.rules)
    }
}

/// `[daemon]`: settings of the daemon as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Runs at once over all rules, 1–4096.
    pub concurrency: u32,
    /// Where what waits is kept; none: by privilege and environment.
    pub state_dir: Option<PathBuf>,
    /// Where the control socket is; none: by privilege and environment.
    pub runtime_dir: Option<PathBuf>,
    /// How long runs in flight may go on after a request to stop.
    pub shutdown_timeout: Duration,
    /// The least severe level that is logged; none: info, or what the command line says.
    pub log_level: Option<log::LevelFilter>,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        DaemonSettings {
            concurrency: 64,
            state_dir: None,
            runtime_dir: None,
            shutdown_timeout: Duration::from_secs(10),
            log_level: None,
        }
    }
}

/// One rule: what to watch, when to run, what to run, how a run ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique over all files, `[A-Za-z0-9._-]{1,64}`.
    pub name: Arc<str>,
    /// Shown by status and in notifications.
    pub description: Option<String>,
    /// Where it stands: file and line, for messages.
    pub source: Source,
    /// What to watch.
    pub watch: Watch,
    /// When events become a trigger.
    pub gather: Gather,
    /// How many runs, and what happens beyond.
    pub schedule: Schedule,
    /// What to run.
    pub command: Command,
    /// What the command finds when it starts.
    pub setting: Setting,
    /// How a run ends, and what follows.
    pub ending: Ending,
    /// For permission events: who decides, and what if nobody does in time.
    pub verdict: VerdictBy,
}

/// Where a rule is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The rule file.
    pub file: Arc<str>,
    /// The line of its `[[rule]]`, from 1.
    pub line: u32,
}

impl Rule {
    /// Whether it means the same as the other: where a rule is written and how it is described does not matter.
    pub fn means_the_same_as(&self, other: &Rule) -> bool {
        let description = other.description.clone();
        let placed = Rule { description, source: other.source.clone(), ..self.clone() };
        placed == *other
    }

    /// The programs that its commands name, where they are not made up from the event.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        let commands = [Some(&self.command), self.ending.on_failure.as_deref()].into_iter().flatten();
        commands.filter_map(|command| match command {
            Command::Argv(arguments) => arguments.first().and_then(Template::as_literal),
            Command::Shell(_) => Some(SHELL),
        })
    }
}

/// What a rule watches.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// Absolute, cleaned of `//`, `/./` and a trailing `/`; at least one.
    pub paths: Vec<PathBuf>,
    /// How far below.
    pub scope: Scope,
    /// Which paths count.
    pub filter: Filter,
    /// Whether events whose subject is a directory count too.
    pub dirs: bool,
    /// Which events.
    pub on: On,
    /// Only events caused by these.
    pub by: CauseFilter,
    /// Whether events that a run of this rule caused, however indirectly, are passed over.
    pub ignore_self: bool,
    /// Whether changes since the last life of the daemon count as events at start.
    pub catch_up: bool,
    /// Compare by a walk this often.
    pub rescan: Option<Duration>,
    /// Whether a walk makes good for lost events.
    pub on_overflow: OnOverflow,
    /// How the monitor marks a tree.
    pub mark: MarkChoice,
}

/// How far below its path a rule watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The path itself.
    Itself,
    /// The file, or a directory's direct entries.
    Children,
    /// Everything below.
    Tree,
}

/// `include` and `exclude`. Shared where they come from `[defaults]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Empty: everything.
    pub include: Arc<[Glob]>,
    /// Wins over `include`; an excluded directory excludes all below it.
    pub exclude: Arc<[Glob]>,
}

/// Which events fire a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct On {
    /// Any of these, on files (and on directories, with `dirs`).
    pub any: EventMask,
    /// Any of these too, when the subject is a directory (only with `dirs`).
    pub any_directory: EventMask,
    /// Each entry: all of its events on the same path, gathered within the debounce window (at least 1 s).
    pub all_of: Vec<EventMask>,
}

impl On {
    /// Everything that the rule wants to hear of.
    pub fn wanted(&self) -> EventMask {
        self.all_of.iter().fold(self.any | self.any_directory, |wanted, group| wanted | *group)
    }

    /// What counts for a subject of this kind.
    pub fn wanted_for(&self, is_dir: bool) -> EventMask {
        let any = if is_dir { self.any | self.any_directory } else { self.any };
        self.all_of.iter().fold(any, |wanted, group| wanted | *group)
    }
}

/// `by-exe`, `not-by-exe`, `by-user`, `not-by-user`. Empty lists ask for nothing. Shared as in [`Filter`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CauseFilter {
    /// Absolute paths of programs.
    pub exe: Arc<[PathBuf]>,
    /// Absolute paths of programs.
    pub not_exe: Arc<[PathBuf]>,
    /// Users.
    pub user: Arc<[Identity]>,
    /// Users.
    pub not_user: Arc<[Identity]>,
}

/// What happens after events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOverflow {
    /// Find what changed by a walk.
    Rescan,
    /// Nothing.
    Ignore,
}

/// How the monitor marks what a rule watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkChoice {
    /// What costs least.
    Auto,
    /// One mark for the whole file system (needs CAP_SYS_ADMIN).
    Filesystem,
    /// One mark a directory.
    Directories,
}

/// When events become a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gather {
    /// Run once nothing matched for this long.
    pub debounce: Duration,
    /// … but no later than this after the first event.
    pub max_wait: Option<Duration>,
    /// At the end or at the start of a burst.
    pub edge: Edge,
    /// One run for all paths, or one a path.
    pub batch: bool,
    /// With `batch` and arguments that grow with the paths: at most this many bytes of them in one run
    /// (a path counts its length and 9 more); the rest waits for the next run at once.
    pub batch_bytes_max: Option<usize>,
}

impl Gather {
    /// When a run is due after events of which the first and the last came at these moments.
    pub fn due(&self, first: Moment, last: Moment) -> Moment {
        match self.edge {
            Edge::Leading => first,
            Edge::Trailing => {
                let quiet = last + self.debounce;
                self.max_wait.map_or(quiet, |max_wait| quiet.min(first + max_wait))
            }
        }
    }
}

/// At which end of a burst a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// After it.
    Trailing,
    /// At its first event; what follows within `debounce` is swallowed and counted.
    Leading,
}

/// How many runs, and what happens to what comes beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Runs of this rule at once, 1–1024; none: unlimited.
    pub concurrency: Option<NonZeroU32>,
    /// What happens while all slots, or this path, are busy.
    pub on_busy: OnBusy,
    /// Paths (under `queue`: triggers) that may wait; beyond it the rule owes a rescan.
    pub queue_limit: usize,
    /// At most so many starts in any such span; what is over waits.
    pub start_limit: Option<StartLimit>,
}

/// At most `starts` starts in any span of `span`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartLimit {
    /// 1–1 000 000.
    pub starts: NonZeroU32,
    /// 1 ms to 366 days.
    pub span: Duration,
}

/// What happens to a trigger while its rule or its path is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBusy {
    /// One more run per path afterwards.
    Coalesce,
    /// Every trigger its own run.
    Queue,
    /// Dropped and counted.
    Skip,
    /// The run is stopped, and a new one starts for what it had and what came.
    Restart,
}

/// What runs the text of `shell`, and the shell of whoever the user database names none for.
pub const SHELL: &str = "/bin/sh";

/// What to run.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// A program by its absolute path, and its arguments.
    Argv(Vec<Template>),
    /// `/bin/sh -c TEXT facron PATH…`.
    Shell(String),
}

/// A user or group, as written: a name, or a decimal id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// By name, looked up at load and at each start.
    Name(String),
    /// By number, 0–4294967294.
    Id(u32),
}

/// What the command finds when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Whose rights; none: the daemon's.
    pub user: Option<Identity>,
    /// Instead of the user's own group; never without `user`.
    pub group: Option<Identity>,
    /// The working directory.
    pub cwd: PathBuf,
    /// 0–0o777.
    pub umask: u32,
    /// −20 to 19.
    pub nice: i32,
    /// Resource limits by kind: soft and hard alike. None: unlimited.
    pub limits: BTreeMap<Resource, Option<u64>>,
    /// Set last. Shared where it comes from `[defaults]`: thousands of rules may have one large table.
    pub env: Arc<BTreeMap<String, String>>,
    /// Taken from the daemon's own environment. Shared where it comes from `[defaults]`.
    pub inherit_env: Arc<[String]>,
    /// What it reads.
    pub stdin: Stdin,
    /// Where its output goes.
    pub output: Output,
    /// prctl(2) PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
    /// How its processes are held together.
    pub contain: Contain,
}

macro_rules! resources {
    ($($variant:ident $name:literal $about:literal)*) => {
        /// A resource that `limits` bounds (setrlimit(2)).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Resource {
            $(#[doc = $about] $variant,)*
        }

        /// Every resource with its name in the rule file.
        pub const RESOURCES: &[(&str, Resource, &str)] = &[$(($name, Resource::$variant, $about),)*];
    };
}

resources! {
    As      "as"      "address space, bytes"
    Core    "core"    "core file, bytes"
    Cpu     "cpu"     "CPU time, seconds"
    Data    "data"    "data segment, bytes"
    Fsize   "fsize"   "largest file written, bytes"
    Memlock "memlock" "locked memory, bytes"
    Nofile  "nofile"  "open descriptors"
    Nproc   "nproc"   "processes of the user"
    Stack   "stack"   "stack, bytes"
    Pids    "pids"    "processes of one run (needs a cgroup with the pids controller)"
}

impl Resource {
    /// Its name in the rule file.
    pub fn name(self) -> &'static str {
        RESOURCES.iter().find(|(_, resource, _)| *resource == self).map_or("", |(name, ..)| name)
    }
}

/// What a command reads on standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: /dev/null.
    Null,
    /// One path a line.
    Paths,
    /// NUL-separated paths.
    Paths0,
    /// One JSON object an event, a line each.
    Json,
    /// The very file of the event, opened by handle.
    File,
}

/// Where a command's output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Line by line into the log.
    Log,
    /// Nowhere.
    Discard,
    /// Appended to a file.
    File(PathBuf),
}

/// How the processes of a run are held together, so that all can be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contain {
    /// The best that works here.
    Auto,
    /// A control group of its own (cgroups(7), `cgroup.kill`).
    Cgroup,
    /// A PID namespace of its own (pid_namespaces(7)).
    PidNamespace,
    /// A session and process group of its own.
    Group,
}

/// How a run ends, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// Then it is stopped.
    pub timeout: Option<Duration>,
    /// The first signal of a stop, by number (signal(7)).
    pub stop_signal: i32,
    /// From the first signal to SIGKILL.
    pub kill_after: Duration,
    /// What happens to processes that the command left running.
    pub leftover: Leftover,
    /// Exit codes that are no failure, 0–255.
    pub success_codes: Vec<i32>,
    /// Further tries after a failure, 0–100.
    pub retries: u32,
    /// Before the first further try; doubles.
    pub retry_delay: Duration,
    /// The doubling ends here.
    pub retry_max_delay: Duration,
    /// Runs after the last failed try. Shared where it comes from `[defaults]`.
    pub on_failure: Option<Arc<Command>>,
    /// When the desktop is told.
    pub notify: Notify,
}

/// What happens to processes that a command left running when it ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// They go on.
    Keep,
    /// They are stopped.
    Kill,
}

/// When the desktop is told of the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// After the last failed try.
    Failure,
    /// After every run.
    Always,
    /// Never.
    Never,
}

/// For permission events: who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictBy {
    /// Whether the command's exit status decides; else every opener is let through at once.
    pub command: bool,
    /// What holds when the command does not decide in time.
    pub default_allow: bool,
    /// How long a verdict holds for a file that is not modified; none: every open is asked anew.
    pub cache: Option<Duration>,
    /// What a denied opener gets, by number: one of [`DENY_ERRNOS`]. Anything but EPERM needs Linux 6.14.
    pub deny_errno: i32,
    /// Whether verdicts go to the audit log (FAN_AUDIT).
    pub audit: bool,
}

/// The errors that the kernel lets a verdict choose (FAN_DENY_ERRNO).
pub static DENY_ERRNOS: [(&str, i32, &str); 7] = [
    ("EPERM", libc::EPERM, "operation not permitted"),
    ("EIO", libc::EIO, "input/output error"),
    ("EBUSY", libc::EBUSY, "device or resource busy"),
    ("ETXTBSY", libc::ETXTBSY, "text file busy"),
    ("EAGAIN", libc::EAGAIN, "try again"),
    ("ENOSPC", libc::ENOSPC, "no space left on device"),
    ("EDQUOT", libc::EDQUOT, "disk quota exceeded"),
];
