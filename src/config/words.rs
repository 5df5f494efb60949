//! The words that keys take, each with what it means to a rule: one table a key (`deny-errno` has its in `rule`).

use crate::rule::{Contain, Edge, Leftover, MarkChoice, Notify, OnBusy, OnOverflow, Scope, Stdin};

/// A table of words, whatever they mean.
pub trait Words: Sync + std::fmt::Debug {
    /// Every word with its line in the manual.
    fn words(&self) -> Vec<(&'static str, &'static str)>;
}

impl<T: Sync + std::fmt::Debug, const N: usize> Words for [(&'static str, T, &'static str); N] {
    fn words(&self) -> Vec<(&'static str, &'static str)> {
        self.iter().map(|(word, _, about)| (*word, *about)).collect()
    }
}

/// `scope`.
pub static SCOPES: [(&str, Scope, &str); 3] = [
    ("self", Scope::Itself, "the path itself"),
    ("children", Scope::Children, "the file, or a directory's direct entries"),
    ("tree", Scope::Tree, "everything below"),
];

/// `on-overflow`.
pub static ON_OVERFLOWS: [(&str, OnOverflow, &str); 2] = [
    ("rescan", OnOverflow::Rescan, "find what changed by a walk"),
    ("ignore", OnOverflow::Ignore, "nothing"),
];

/// `mark`.
pub static MARKS: [(&str, MarkChoice, &str); 3] = [
    ("auto", MarkChoice::Auto, "what costs least"),
    ("filesystem", MarkChoice::Filesystem, "one mark for the whole file system (needs CAP_SYS_ADMIN)"),
    ("directories", MarkChoice::Directories, "one mark a directory"),
];

/// `edge`.
pub static EDGES: [(&str, Edge, &str); 2] = [
    ("trailing", Edge::Trailing, "after a burst"),
    ("leading", Edge::Leading, "at once, then swallow and count what follows within debounce"),
];

/// `on-busy`.
pub static ON_BUSIES: [(&str, OnBusy, &str); 4] = [
    ("coalesce", OnBusy::Coalesce, "one more run per path afterwards"),
    ("queue", OnBusy::Queue, "every trigger its own run"),
    ("skip", OnBusy::Skip, "dropped and counted"),
    ("restart", OnBusy::Restart, "the run is stopped, and a new one starts for what it had and what came"),
];

/// `stdin`.
pub static STDINS: [(&str, Stdin, &str); 5] = [
    ("null", Stdin::Null, "nothing"),
    ("paths", Stdin::Paths, "one path a line"),
    ("paths0", Stdin::Paths0, "NUL-separated paths"),
    ("json", Stdin::Json, "one JSON object an event, a line each"),
    ("file", Stdin::File, "the very file of the event, opened by handle; not with batch"),
];

/// `contain`.
pub static CONTAINS: [(&str, Contain, &str); 4] = [
    ("auto", Contain::Auto, "the best that works here"),
    ("cgroup", Contain::Cgroup, "a control group of its own"),
    ("pid-namespace", Contain::PidNamespace, "a PID namespace of its own"),
    ("group", Contain::Group, "a session and process group of its own; what leaves it escapes"),
];

/// `leftover`.
pub static LEFTOVERS: [(&str, Leftover, &str); 2] =
    [("keep", Leftover::Keep, "they go on"), ("kill", Leftover::Kill, "they are stopped")];

/// `notify`.
pub static NOTIFIES: [(&str, Notify, &str); 3] = [
    ("failure", Notify::Failure, "after the last failed try"),
    ("always", Notify::Always, "after every run"),
    ("never", Notify::Never, "never"),
];

/// `verdict`: whether the command decides.
pub static VERDICTS: [(&str, bool, &str); 2] = [
    ("allow", false, "everybody is let through at once, and the command is told"),
    ("command", true, "the command's exit status decides: 0 allows"),
];

/// `verdict-default`: whether openers are let through.
pub static VERDICT_DEFAULTS: [(&str, bool, &str); 2] =
    [("allow", true, "the opener is let through"), ("deny", false, "the opener gets an error")];

/// `log-level`.
pub static LEVELS: [(&str, log::LevelFilter, &str); 5] = [
    ("error", log::LevelFilter::Error, "what went wrong"),
    ("warn", log::LevelFilter::Warn, "and what is surely not meant"),
    ("info", log::LevelFilter::Info, "and every run"),
    ("debug", log::LevelFilter::Debug, "and why"),
    ("trace", log::LevelFilter::Trace, "and every event"),
];
