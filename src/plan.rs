//! From rules to the kernel's bits: what has to be marked on each of the places that a path is attached to. Pure.

use crate::event::EventMask;
use crate::rule::{MarkChoice, Scope, Watch};

/// Events on a directory's entries as names; the rest happen to objects.
const NAMES: u64 =
    libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO | libc::FAN_RENAME;
/// Events that only a mark on the object itself, or on its file system, sees.
const SELF: u64 = libc::FAN_DELETE_SELF | libc::FAN_MOVE_SELF;

/// Notices that an entry on the way comes to mean something else.
pub const WAY: u64 =
    libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO | libc::FAN_ONDIR;
/// Notices that a directory on the way goes away, and nothing else.
pub const PASSAGE: u64 = SELF | libc::FAN_ONDIR;
/// Notices that a tree gets or loses a directory.
pub const STRUCTURE: u64 = WAY;
/// Every bit that we ever put on a mark of a directory.
pub const ON_DIRECTORIES: u64 = NAMES
    | SELF
    | libc::FAN_ACCESS
    | libc::FAN_MODIFY
    | libc::FAN_ATTRIB
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_CLOSE_NOWRITE
    | libc::FAN_OPEN
    | libc::FAN_OPEN_EXEC
    | libc::FAN_ONDIR
    | libc::FAN_EVENT_ON_CHILD;

/// What the rules of one path need to be told of, place by place, in the kernel's bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// On the directory that the path's own entry is in, if that is or may become a file.
    pub entry: u64,
    /// … if it is a directory: only what happens to its name.
    pub directory_entry: u64,
    /// On the path itself, if it is a file.
    pub object: u64,
    /// On the path itself, if it is a directory.
    pub directory: u64,
    /// On every directory below; 0: no rule asks for the tree.
    pub tree: u64,
    /// For the whole file system: what no other mark sees.
    pub filesystem: u64,
    /// Whether the directories in the path have to be known by their handles, unmarked: what happens to them is
    /// reported as theirs alone.
    pub knows_subdirectories: bool,
    /// How a tree is to be marked; none: no rule asks for the tree.
    pub tree_choice: Option<MarkChoice>,
}

impl Demand {
    /// What these rules together need.
    pub fn of<'w>(watches: impl IntoIterator<Item = &'w Watch>) -> Demand {
        watches.into_iter().map(one).fold(Demand::default(), Demand::union)
    }

    fn union(self, other: Demand) -> Demand {
        Demand {
            entry: self.entry | other.entry,
            directory_entry: self.directory_entry | other.directory_entry,
            object: self.object | other.object,
            directory: self.directory | other.directory,
            tree: self.tree | other.tree,
            filesystem: self.filesystem | other.filesystem,
            knows_subdirectories: self.knows_subdirectories || other.knows_subdirectories,
            tree_choice: match (self.tree_choice, other.tree_choice) {
                (Some(MarkChoice::Filesystem), _) | (_, Some(MarkChoice::Filesystem)) => {
                    Some(MarkChoice::Filesystem)
                }
                (Some(MarkChoice::Directories), _) | (_, Some(MarkChoice::Directories)) => {
                    Some(MarkChoice::Directories)
                }
                (Some(MarkChoice::Auto), _) | (_, Some(MarkChoice::Auto)) => Some(MarkChoice::Auto),
                (None, None) => None,
            },
        }
    }
}

fn one(watch: &Watch) -> Demand {
    let wanted = kernel_bits(watch.on.wanted());
    let filesystem = wanted & libc::FAN_FS_ERROR;
    let wanted = wanted & !filesystem;
    let on_directory = if watch.dirs { libc::FAN_ONDIR } else { 0 };
    let below = match watch.scope {
        // What happens to its entries is not asked for.
        Scope::Itself => (wanted & !NAMES) | on_directory,
        Scope::Children | Scope::Tree => wanted | on_directory | libc::FAN_EVENT_ON_CHILD,
    };
    let tree = if watch.scope == Scope::Tree { below | STRUCTURE } else { 0 };
    let happens_to_subdirectories = wanted & !NAMES & !SELF != 0;
    let knows_subdirectories = watch.scope == Scope::Children && watch.dirs && happens_to_subdirectories;
    let subdirectories = if knows_subdirectories { STRUCTURE } else { 0 };
    Demand {
        entry: (wanted & !SELF) | on_directory | libc::FAN_EVENT_ON_CHILD,
        directory_entry: if watch.dirs { (wanted & NAMES) | on_directory } else { 0 },
        // A change of the number of links is told to the object alone.
        object: wanted & (SELF | libc::FAN_ATTRIB),
        directory: if watch.dirs || watch.scope != Scope::Itself { below | tree | subdirectories } else { 0 },
        tree,
        filesystem,
        knows_subdirectories,
        tree_choice: (watch.scope == Scope::Tree).then_some(watch.mark),
    }
}

/// The kernel's bits for what is wanted; `arrived` is made of three of them. Permission events have a group of
/// their own, and an overflow needs no mark.
fn kernel_bits(wanted: EventMask) -> u64 {
    let ours = if wanted.contains(EventMask::ARRIVED) {
        libc::FAN_CLOSE_WRITE | libc::FAN_MOVED_TO | libc::FAN_CREATE
    } else {
        0
    };
    wanted.intersection(EventMask::ALL_KERNEL).kernel_bits() | ours
}
