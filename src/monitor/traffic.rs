//! What passes between the loop's side of the monitor and its surveyors.
//!
//! Word from a surveyor comes through a bounded channel: it waits for the loop, never the other way round.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::atlas::NodeId;
use super::territory::Door;
use crate::event::Origin;
use crate::matcher::{Attachment, RootId};
use crate::sys::fanotify::Group;
use crate::sys::handle::ObjectKey;
use crate::sys::wakeup::Wakeup;

/// Messages that may wait for the loop.
const MESSAGES_MAX: usize = 64;
/// Entries that one message of findings holds at most.
pub const FOUND_MAX: usize = 128;

/// The number of a fanotify group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u32);

/// The group that all file systems share that can.
pub const MAIN: Token = Token(0);

/// The number of a surveyor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurveyorId(pub u32);

/// The surveyor of all that answers.
pub const CHIEF: SurveyorId = SurveyorId(0);

/// What a surveyor tells.
#[derive(Debug)]
pub enum Message {
    /// There is another group to read.
    Group(Token, Arc<Group>),
    /// A group has nothing more to tell.
    GroupGone(Token),
    /// These directories or files are known by their handles from now on. Comes before their marks.
    Known(Vec<Known>),
    /// These directories are not marked any more.
    Forgotten(Vec<NodeId>),
    /// A mount is gone, with all that was seen through it.
    MountGone(u64),
    /// A file system is marked as a whole.
    Territory(Territory),
    /// As far as one surveyor knows, a root is attached so, and no longer as before.
    Chart(SurveyorId, RootId, Vec<Attachment>),
    /// A walk found these.
    Found(Found),
    /// A root led to something, and leads nowhere since the way to it changed; whether it was a directory.
    Lost(RootId, bool),
    /// All walks up to the one of this number are over.
    Walked(u64),
    /// The rescan of this number for the rule of this name is over; all that it found was told before.
    Rescanned(Arc<str>, u64),
    /// The ids of the users that rules name.
    Users(HashMap<String, u32>),
    /// How it stands with a root.
    State(RootId, RootState),
    /// One of the directories of a root's tree that may not be read and are not watched, and how many they are; none:
    /// all may be read again.
    Unreadable(RootId, Option<(PathBuf, usize)>),
    /// All roots of the rule set of this number are armed or degraded.
    Settled(u64),
}

/// An object that is known by its handle.
#[derive(Debug)]
pub struct Known {
    /// The group that will tell of it, which it is, and the mount that it is seen through.
    pub id: NodeId,
    /// What it is.
    pub place: KnownPlace,
}

/// Where a known object is.
#[derive(Debug)]
pub enum KnownPlace {
    /// A directory with this real path.
    At {
        /// Without links.
        path: PathBuf,
        /// Whether looking at it may block.
        is_foreign: bool,
    },
    /// A directory in a known directory.
    Below {
        /// The directory that it is in, which another group may tell of: a subvolume of btrfs has one of its own.
        parent: NodeId,
        /// Its name there.
        name: OsString,
    },
    /// The file that a root is.
    Object(RootId),
}

/// A file system that is marked as a whole, or is so no more.
#[derive(Debug)]
pub struct Territory {
    /// The group that tells of it.
    pub token: Token,
    /// Its id in events.
    pub fsid: [i32; 2],
    /// The mounts through which its directories are found; none: they are not asked for.
    pub doors: Vec<Door>,
    /// The roots whose rules ask for its errors.
    pub listeners: Vec<RootId>,
}

/// What a walk found in one directory.
#[derive(Debug)]
pub struct Found {
    /// The directory.
    pub directory: NodeId,
    /// Its path without links.
    pub path: PathBuf,
    /// The entries, at most [`FOUND_MAX`].
    pub entries: Vec<FoundEntry>,
    /// For whom.
    pub audience: Audience,
    /// Why there was a walk.
    pub origin: Origin,
    /// The number of the last walk that had been asked for when this one began.
    pub walk: u64,
}

/// An entry that a walk found.
#[derive(Debug)]
pub struct FoundEntry {
    /// Its name.
    pub name: OsString,
    /// What became of it.
    pub change: Change,
    /// Its handle, to tell it from what the kernel reported already.
    pub key: Option<ObjectKey>,
}

/// What became of an entry that a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is a file, a link or the like, and finished.
    Arrived,
    /// It is a file that somebody writes.
    Held,
    /// It is a directory.
    Directory,
}

/// Who is told of what a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every rule that it concerns.
    Everybody,
    /// The rules of one root.
    Root(RootId),
    /// The rule of this name.
    Rule(Arc<str>),
}

/// How it stands with a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootState {
    /// It is watched, these ways; at least one.
    Armed(Vec<By>),
    /// It is watched, these ways, but errors of its file system are not heard because of this: for those rules that
    /// ask for them it is as good as not watched.
    Deaf(Vec<By>, Box<Trouble>),
    /// It cannot be watched now, because of this.
    Degraded(Trouble),
}

/// Why a root is not watched as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What was tried on what, and why it failed: a lower-case sentence.
    pub reason: String,
    /// Whether it would work with a capability that is missing.
    pub lacks_privilege: bool,
    /// Whether it is for want of what comes back soon: descriptors, memory.
    pub is_passing: bool,
}

/// Which way a root is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// By one mark for the whole file system.
    Filesystem,
    /// By one mark for each directory of the tree.
    Directories,
    /// By one mark on the directory.
    Directory,
    /// By its name, through a mark on the directory that it is in.
    Parent,
    /// It does not exist: by a mark on the nearest directory that does.
    Waiting,
}

/// Where messages wait for the loop: the surveyors' end.
#[derive(Clone, Debug)]
pub struct Outbox {
    messages: SyncSender<Message>,
    wakeup: Arc<Wakeup>,
    gate: Arc<Gate>,
}

/// Where messages wait for the loop: the loop's end.
#[derive(Debug)]
pub struct Mailbox {
    messages: Receiver<Message>,
    wakeup: Arc<Wakeup>,
    gate: Arc<Gate>,
}

/// Rules, by their names, that have no room for more of what their walks find: these walks wait.
#[derive(Debug, Default)]
pub struct Gate(Mutex<BTreeSet<Arc<str>>>);

/// The loop does not listen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over;

/// Both ends of the way to the loop.
///
/// # Errors
/// eventfd(2) fails.
pub fn mail() -> io::Result<(Outbox, Mailbox)> {
    let wakeup = Arc::new(Wakeup::new()?);
    let (sender, receiver) = sync_channel(MESSAGES_MAX);
    let gate = Arc::<Gate>::default();
    let outbox = Outbox { messages: sender, wakeup: Arc::clone(&wakeup), gate: Arc::clone(&gate) };
    Ok((outbox, Mailbox { messages: receiver, wakeup, gate }))
}

impl Outbox {
    /// Tells the loop; waits while it has too much to hear.
    ///
    /// # Errors
    /// The loop is gone.
    pub fn tell(&self, message: Message) -> Result<(), Over> {
        self.messages.send(message).map_err(|_| Over)?;
        self.wakeup.wake();
        Ok(())
    }

    /// Which walks wait.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl Gate {
    /// The walks of this rule wait from now on.
    pub fn close(&self, rule: &Arc<str>) {
        self.lock().insert(Arc::clone(rule));
    }

    /// They go on, once their surveyor is woken.
    pub fn open(&self, rule: &str) {
        self.lock().remove(rule);
    }

    /// Whether they wait.
    pub fn is_closed(&self, rule: &str) -> bool {
        self.lock().contains(rule)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Arc<str>>> {
        // Nothing that holds it can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// The next message, if there is one.
    pub fn next(&self) -> Option<Message> {
        self.messages.try_recv().ok()
    }

    /// What becomes readable when there is a message.
    pub fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    /// Which walks wait.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl RootState {
    /// The ways in which it is watched; none: it is not.
    pub fn ways(&self) -> &[By] {
        match self {
            RootState::Armed(ways) | RootState::Deaf(ways, _) => ways,
            RootState::Degraded(_) => &[],
        }
    }
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Trouble { reason, lacks_privilege: false, is_passing: false }
    }
}

impl By {
    /// The word in log and status.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Filesystem => "filesystem",
            By::Directories => "directories",
            By::Directory => "directory",
            By::Parent => "parent",
            By::Waiting => "waiting",
        }
    }
}
