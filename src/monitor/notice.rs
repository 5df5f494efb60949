//! What the monitor tells the loop.

use std::path::PathBuf;
use std::sync::Arc;

use crate::event::Event;
use crate::rule::RuleId;
use crate::sys::fanotify::Group;

/// Something that the loop has to know.
#[derive(Clone, Debug)]
pub enum Notice {
    /// An event that a rule asks for.
    Event {
        /// Whose.
        rule: RuleId,
        /// What.
        event: Event,
    },
    /// A rule is watched, this way; told when it becomes so and when the way changes.
    Armed {
        /// Which.
        rule: RuleId,
        /// `filesystem`, `directories`, `directory`, `parent`, `waiting`; several with commas between, sorted.
        by: String,
    },
    /// A path of a rule cannot be watched now; it is tried again. Told when the reason comes up or changes.
    Degraded {
        /// Which.
        rule: RuleId,
        /// What was tried on what, and why it failed: a lower-case sentence.
        reason: String,
        /// Whether it would work with a capability that is missing; the reason names it.
        lacks_privilege: bool,
    },
    /// A rule is watched, but for some directories of its trees that may not be read.
    Unreadable {
        /// Which rule.
        rule: RuleId,
        /// One of the directories, without links, and how many they are; none: all may be read again.
        one: Option<(PathBuf, usize)>,
    },
    /// Something happened in directories that the kernel cannot name, since they are deeper than PATH_MAX.
    Unnameable {
        /// How many they are.
        count: u64,
    },
    /// Every rule of the last rule set is armed, or degraded.
    Settled,
    /// A group is to be kept over the end of this process, if there is somebody to keep it.
    Keep {
        /// Its name; printable, without a colon.
        name: String,
        /// The group.
        group: Arc<Group>,
    },
    /// A group is to be kept no more.
    LetGo {
        /// Its name.
        name: String,
    },
    /// Events were lost; each of these rules may have missed some. Those that ask for `q-overflow` have it as an
    /// event besides.
    Overflow {
        /// Which.
        rules: Vec<RuleId>,
    },
    /// A rescan that was asked for is at its end: its findings came before.
    RescanDone {
        /// Whose.
        rule: RuleId,
    },
}
