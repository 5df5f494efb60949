//! Events: what happened to a path, and the one table of everything that can happen.
//!
//! Parser, help, manual, schema, importer and kernel masks are all made from [`EVENTS`] and [`SETS`].
//! This file knows no rule and no system call.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The longest path that is told of, bytes. A command can open none above 4095 (PATH_MAX), but can come there in steps.
pub const PATH_BYTES_MAX: usize = 32 << 10;

/// A set of event kinds, one bit for each row of [`EVENTS`], in the order of that table.
///
/// A mask is a set: when the kernel merged several events, their order is lost.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventMask(u32);

/// One row of the table of events.
#[derive(Debug)]
pub struct EventKind {
    /// The name in rule files, logs and `{events}`: kebab-case.
    pub name: &'static str,
    /// The kernel's bit (fanotify_mark(2)), 0 for events that are ours.
    pub kernel: u64,
    /// Whether the opener waits for an answer (fanotify(7), permission events).
    pub is_permission: bool,
    /// One line for help and manual.
    pub about: &'static str,
}

/// A name that stands for several events, any of which will do.
#[derive(Debug)]
pub struct EventSet {
    /// The name in rule files.
    pub name: &'static str,
    /// What it stands for, for any subject.
    pub members: EventMask,
    /// What it stands for in addition when the subject is a directory and the rule has `dirs`.
    pub directory_members: EventMask,
    /// One line for help and manual.
    pub about: &'static str,
}

macro_rules! events {
    ($($constant:ident $name:literal $kernel:literal $permission:literal $about:literal)*) => {
        events!(@constants 0, $($constant $about)*);
        /// Every event, in the order in which `{events}` names them.
        pub const EVENTS: &[EventKind] = &[
            $(EventKind { name: $name, kernel: $kernel, is_permission: $permission, about: $about },)*
        ];
    };
    (@constants $bit:expr,) => {};
    (@constants $bit:expr, $constant:ident $about:literal $($rest:tt)*) => {
        impl EventMask {
            #[doc = $about]
            pub const $constant: EventMask = EventMask(1 << $bit);
        }
        events!(@constants $bit + 1, $($rest)*);
    };
}

events! {
    ACCESS         "access"         0x0000_0001 false "the file was read"
    MODIFY         "modify"         0x0000_0002 false "the file was written to or truncated"
    ATTRIB         "attrib"         0x0000_0004 false "mode, owner, times, links or extended attributes changed"
    CLOSE_WRITE    "close-write"    0x0000_0008 false "a file that was open for writing was closed"
    CLOSE_NOWRITE  "close-nowrite"  0x0000_0010 false "a file or directory that was open for reading was closed"
    OPEN           "open"           0x0000_0020 false "the file or directory was opened"
    OPEN_EXEC      "open-exec"      0x0000_1000 false "the file was opened to be executed"
    CREATE         "create"         0x0000_0100 false "an entry was made in the directory"
    ARRIVED        "arrived"        0           false "an entry is there and finished: closed after writing, moved in, linked in, made by mknod, or found by a rescan"
    DELETE         "delete"         0x0000_0200 false "an entry was removed from the directory"
    MOVED_FROM     "moved-from"     0x0000_0040 false "an entry was moved away from here"
    MOVED_TO       "moved-to"       0x0000_0080 false "an entry was moved to here"
    RENAME         "rename"         0x1000_0000 false "an entry was renamed; both paths are known (Linux 5.17)"
    DELETE_SELF    "delete-self"    0x0000_0400 false "the path itself was removed"
    MOVE_SELF      "move-self"      0x0000_0800 false "the path itself was renamed"
    Q_OVERFLOW     "q-overflow"     0x0000_4000 false "events were lost: the kernel's queue or ours was full"
    FS_ERROR       "fs-error"       0x0000_8000 false "the file system reported an error (Linux 5.16)"
    OPEN_PERM      "open-perm"      0x0001_0000 true  "somebody asks to open the file, and waits"
    ACCESS_PERM    "access-perm"    0x0002_0000 true  "somebody asks to read the file, and waits"
    OPEN_EXEC_PERM "open-exec-perm" 0x0004_0000 true  "somebody asks to execute the file, and waits"
}

/// Every set of events that a rule file may name.
pub const SETS: &[EventSet] = &[
    EventSet {
        name: "close",
        members: EventMask::CLOSE_WRITE.union(EventMask::CLOSE_NOWRITE),
        directory_members: EventMask::EMPTY,
        about: "close-write or close-nowrite",
    },
    EventSet {
        name: "move",
        members: EventMask::MOVED_FROM.union(EventMask::MOVED_TO),
        directory_members: EventMask::EMPTY,
        about: "moved-from or moved-to",
    },
    EventSet {
        name: "change",
        members: EventMask::ARRIVED.union(EventMask::DELETE).union(EventMask::MOVED_FROM),
        directory_members: EventMask::CREATE,
        about: "arrived, delete, moved-from, and with dirs the create of a directory",
    },
    EventSet {
        name: "all",
        members: EventMask::ALL_KERNEL,
        directory_members: EventMask::EMPTY,
        about: "every event from the kernel but the permission events",
    },
    EventSet {
        name: "all-perm",
        members: EventMask::ALL_PERMISSION,
        directory_members: EventMask::EMPTY,
        about: "open-perm, access-perm or open-exec-perm",
    },
];

/// Names that only classic facron knew for a set, with the members that they had there.
pub const CLASSIC_SETS: &[EventSet] = &[
    EventSet {
        name: "all-events",
        members: EventMask::ACCESS
            .union(EventMask::MODIFY)
            .union(EventMask::CLOSE_WRITE)
            .union(EventMask::CLOSE_NOWRITE)
            .union(EventMask::OPEN),
        directory_members: EventMask::EMPTY,
        about: "classic FAN_ALL_EVENTS: access, modify, close-write, close-nowrite, open",
    },
    EventSet {
        name: "all-perm-events",
        members: EventMask::OPEN_PERM.union(EventMask::ACCESS_PERM),
        directory_members: EventMask::EMPTY,
        about: "classic FAN_ALL_PERM_EVENTS: open-perm, access-perm",
    },
];

impl EventMask {
    /// No event.
    pub const EMPTY: EventMask = EventMask(0);
    /// Everything that the kernel reports after the fact (the set `all`), but `q-overflow`, which stands alone.
    pub const ALL_KERNEL: EventMask =
        EventMask((Self::OPEN_PERM.0 - 1) & !Self::ARRIVED.0 & !Self::Q_OVERFLOW.0);
    /// Every permission event (the set `all-perm`).
    pub const ALL_PERMISSION: EventMask =
        Self::OPEN_PERM.union(Self::ACCESS_PERM).union(Self::OPEN_EXEC_PERM);

    /// The events of either.
    #[must_use]
    pub const fn union(self, other: EventMask) -> EventMask {
        EventMask(self.0 | other.0)
    }

    /// The events of both.
    #[must_use]
    pub const fn intersection(self, other: EventMask) -> EventMask {
        EventMask(self.0 & other.0)
    }

    /// The events of this mask that are not in the other.
    #[must_use]
    pub const fn without(self, other: EventMask) -> EventMask {
        EventMask(self.0 & !other.0)
    }

    /// Whether no event is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether at least one event is in both.
    pub const fn intersects(self, other: EventMask) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every event of the other is in this one.
    pub const fn contains(self, other: EventMask) -> bool {
        self.0 & other.0 == other.0
    }

    /// The rows of [`EVENTS`] that are in it, in order.
    pub fn kinds(self) -> impl Iterator<Item = &'static EventKind> {
        EVENTS.iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, kind)| kind)
    }

    /// Each event of it as a mask of its own.
    pub fn singles(self) -> impl Iterator<Item = EventMask> {
        (0..EVENTS.len()).map(|bit| EventMask(1 << bit)).filter(move |single| self.contains(*single))
    }

    /// The kernel's bits for these events (fanotify_mark(2)); ours have none.
    pub fn kernel_bits(self) -> u64 {
        self.kinds().fold(0, |bits, kind| bits | kind.kernel)
    }

    /// The events that the kernel's bits name; flags such as FAN_ONDIR are passed over.
    pub fn from_kernel_bits(bits: u64) -> EventMask {
        EVENTS
            .iter()
            .enumerate()
            .filter(|(_, kind)| kind.kernel & bits != 0)
            .fold(Self::EMPTY, |mask, (bit, _)| mask.union(EventMask(1 << bit)))
    }

    /// The one event of this name, in kebab-case or in the classic spelling (`FAN_CLOSE_WRITE`, any case).
    pub fn from_name(name: &str) -> Option<EventMask> {
        let name = kebab(name);
        EVENTS.iter().position(|kind| kind.name == name).map(|bit| EventMask(1 << bit))
    }
}

impl EventSet {
    /// The set of this name, in kebab-case or in the classic spelling; `FAN_ALL_EVENTS` keeps its classic members.
    pub fn from_name(name: &str) -> Option<&'static EventSet> {
        let kebab = kebab(name);
        let is_classic =
            name.len() >= 4 && name.is_char_boundary(4) && name[..4].eq_ignore_ascii_case("fan_");
        let classic = CLASSIC_SETS.iter().filter(move |_| is_classic);
        SETS.iter().chain(classic).find(|set| set.name == kebab)
    }
}

/// `FAN_CLOSE_WRITE` in any case becomes `close-write`; anything else stays as it is.
fn kebab(name: &str) -> String {
    match name.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("fan_") => {
            name[4..].to_ascii_lowercase().replace('_', "-")
        }
        _ => name.to_owned(),
    }
}

impl fmt::Display for EventMask {
    /// The names in the order of [`EVENTS`], separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, kind) in self.kinds().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(kind.name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for EventMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::ops::BitOr for EventMask {
    type Output = EventMask;

    fn bitor(self, other: EventMask) -> EventMask {
        self.union(other)
    }
}

impl std::ops::BitOrAssign for EventMask {
    fn bitor_assign(&mut self, other: EventMask) {
        *self = self.union(other);
    }
}

/// The number of a run: counts from 1 and never repeats in one life of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where the knowledge of an event comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The kernel reported it.
    #[default]
    Event,
    /// A walk found it: after an overflow, after a path came back, or by `rescan`.
    Rescan,
    /// A walk at start found it (`catch-up`).
    CatchUp,
    /// A person asked for it (`facron trigger`).
    Trigger,
}

impl Origin {
    /// The word for JSON events: `event`, `rescan`, `catch-up`, `trigger`.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Event => "event",
            Origin::Rescan => "rescan",
            Origin::CatchUp => "catch-up",
            Origin::Trigger => "trigger",
        }
    }
}

/// Who caused an event, as far as it is known: a process may be gone before it can be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The process, 0 when unknown (unprivileged, another pid namespace). Information only: never a key, never signalled.
    pub pid: i32,
    /// Its program. Shared: one program may cause very many events.
    pub exe: Option<Arc<Path>>,
    /// Its user.
    pub uid: Option<u32>,
    /// The run of ours that it belongs to.
    pub run: Option<RunId>,
}

/// A file by its kernel handle (name_to_handle_at(2)): stays the same file whatever happens to its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The file system's id, as fanotify reports it.
    pub fsid: [i32; 2],
    /// `handle_type` of `struct file_handle`.
    pub kind: i32,
    /// `f_handle` of `struct file_handle`, at most 128 bytes.
    pub handle: Box<[u8]>,
}

/// Something that happened to a path and that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened: one bit, or several that were merged.
    pub mask: EventMask,
    /// Absolute, beginning as the rule wrote its `path`; bytes, not text. Shared: until a run has answered it, it is
    /// known at several places.
    pub path: Arc<Path>,
    /// For `rename`: the path before.
    pub old_path: Option<PathBuf>,
    /// Whether the subject is a directory.
    pub is_dir: bool,
    /// Who did it.
    pub cause: Cause,
    /// When it was read, by the wall clock: only told, never computed with.
    pub time: SystemTime,
    /// How we know.
    pub origin: Origin,
    /// The very file, where a rule needs it (`stdin = "file"`).
    pub object: Option<ObjectId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_found_by_both_of_its_names() {
        for (bit, kind) in EVENTS.iter().enumerate() {
            let classic = format!("Fan_{}", kind.name.replace('-', "_").to_uppercase());
            assert_eq!(EventMask::from_name(kind.name), Some(EventMask(1 << bit)));
            assert_eq!(EventMask::from_name(&classic), Some(EventMask(1 << bit)), "{classic}");
        }
        assert_eq!(EventMask::from_name("CLOSE-WRITE"), None, "only the classic spelling is free of case");
    }

    #[test]
    fn the_names_come_in_the_order_of_the_table() {
        let mask = EventMask::DELETE | EventMask::ARRIVED | EventMask::CLOSE_WRITE;
        assert_eq!(mask.to_string(), "close-write,arrived,delete");
    }

    #[test]
    fn kernel_bits_and_back() {
        let mask = EventMask::ALL_KERNEL | EventMask::ALL_PERMISSION;
        assert_eq!(EventMask::from_kernel_bits(mask.kernel_bits() | 0x4000_0000), mask);
        assert_eq!(EventMask::ARRIVED.kernel_bits(), 0);
    }

    #[test]
    fn classic_sets_keep_their_classic_members() {
        let classic = EventSet::from_name("fan_all_events").expect("a classic name").members;
        assert_eq!(classic.to_string(), "access,modify,close-write,close-nowrite,open");
        let ours = EventSet::from_name("all").expect("our name").members;
        assert!(ours.contains(EventMask::RENAME | EventMask::FS_ERROR | EventMask::OPEN_EXEC));
        assert!(!ours.intersects(EventMask::ARRIVED | EventMask::Q_OVERFLOW | EventMask::ALL_PERMISSION));
        assert!(EventSet::from_name("all-events").is_none(), "the classic name needs its prefix");
        assert_eq!(EventSet::from_name("FAN_CLOSE").map(|set| set.name), Some("close"));
    }
}
