//! What passes between the loop's side of the monitor and its surveyor thread.
//!
//! Orders to the surveyor are gathered in an inbox where equal ones become one, so that the loop never waits and
//! memory is bounded by what there is to watch. Word from the surveyor comes through a bounded channel: it waits
//! for the loop, never the other way round.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::{io, mem};

use crate::event::Origin;
use crate::matcher::{Attachment, RootId};
use crate::plan::Demand;
use crate::rule::{Rule, RuleId};
use crate::sys::fanotify::Group;
use crate::sys::handle::ObjectKey;
use crate::sys::wakeup::Wakeup;

/// Directories that may wait to be entered; beyond that their whole tree is walked again instead.
const ENTERED_MAX: usize = 16_384;
/// Messages that may wait for the loop.
const MESSAGES_MAX: usize = 256;

/// The number of a fanotify group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u32);

/// The group that all file systems share that can.
pub const MAIN: Token = Token(0);

/// A path that rules wrote, and what they need of it.
#[derive(Clone, Debug)]
pub struct RootOrder {
    /// Its number.
    pub id: RootId,
    /// As the rules wrote it.
    pub written: PathBuf,
    /// What the rules need.
    pub demand: Demand,
    /// The rules, for what they exclude.
    pub rules: Vec<Arc<Rule>>,
}

/// All that the surveyor is asked to do.
#[derive(Debug, Default)]
pub struct Orders {
    /// The paths of a new rule set in place of the old, and its number.
    pub roots: Option<(u64, Vec<RootOrder>)>,
    /// Roots whose way may have changed.
    pub survey: BTreeSet<RootId>,
    /// Directories that came into a tree.
    pub entered: VecDeque<Entered>,
    /// Roots whose trees are to be walked again, because more came than we remember.
    pub walk: BTreeSet<RootId>,
    /// The number of the last order that makes for a walk.
    pub walks: u64,
    /// The monitor is gone.
    pub is_over: bool,
}

/// A directory that came into a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The group that told of it.
    pub token: Token,
    /// The directory that it is in.
    pub parent: ObjectKey,
    /// That directory's real path.
    pub parent_path: PathBuf,
    /// Its name there.
    pub name: OsString,
    /// The trees that it belongs to.
    pub roots: Vec<RootId>,
}

/// What the surveyor tells.
#[derive(Debug)]
pub enum Message {
    /// There is another group to read.
    Group(Token, Arc<Group>),
    /// These directories or files are known by their handles from now on. Comes before their marks.
    Known(Vec<Known>),
    /// A root is attached so, and no longer as before.
    Chart(RootId, Vec<Attachment>),
    /// A walk found these.
    Found(Found),
    /// All walks up to the one of this number are over.
    Walked(u64),
    /// The ids of the users that rules name.
    Users(HashMap<String, u32>),
    /// How it stands with a root.
    State(RootId, RootState),
    /// All roots of the rule set of this number are armed or degraded.
    Settled(u64),
}

/// An object that is known by its handle.
#[derive(Debug)]
pub struct Known {
    /// The group that will tell of it.
    pub token: Token,
    /// Which.
    pub key: ObjectKey,
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
        /// The directory that it is in.
        parent: ObjectKey,
        /// Its name there.
        name: OsString,
    },
    /// The file that a root is.
    Object(RootId),
}

/// What a walk found in one directory.
#[derive(Debug)]
pub struct Found {
    /// The group that knows the directory.
    pub token: Token,
    /// The directory.
    pub key: ObjectKey,
    /// The entries.
    pub entries: Vec<FoundEntry>,
    /// For whom.
    pub audience: Audience,
    /// Why there was a walk.
    pub origin: Origin,
}

/// An entry that a walk found.
#[derive(Debug)]
pub struct FoundEntry {
    /// Its name.
    pub name: OsString,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether somebody writes it.
    pub is_held: bool,
    /// Its handle, to tell it from what the kernel reported already.
    pub key: Option<ObjectKey>,
}

/// Who is told of what a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every rule that it concerns.
    Everybody,
    /// The rules of one root.
    Root(RootId),
    /// One rule.
    Rule(RuleId),
}

/// How it stands with a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootState {
    /// It is watched, this way.
    Armed(By),
    /// It cannot be watched now, because of this.
    Degraded(String),
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

/// Where orders wait for the surveyor.
#[derive(Debug)]
pub struct Inbox {
    orders: Mutex<Orders>,
    wakeup: Wakeup,
}

/// Where messages wait for the loop: the surveyor's end.
#[derive(Clone, Debug)]
pub struct Outbox {
    messages: SyncSender<Message>,
    wakeup: Arc<Wakeup>,
}

/// Where messages wait for the loop: the loop's end.
#[derive(Debug)]
pub struct Mailbox {
    messages: Receiver<Message>,
    wakeup: Arc<Wakeup>,
}

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
    Ok((Outbox { messages: sender, wakeup: Arc::clone(&wakeup) }, Mailbox { messages: receiver, wakeup }))
}

impl Inbox {
    /// An empty one.
    ///
    /// # Errors
    /// eventfd(2) fails.
    pub fn new() -> io::Result<Inbox> {
        Ok(Inbox { orders: Mutex::default(), wakeup: Wakeup::new()? })
    }

    /// Asks for something.
    pub fn order(&self, give: impl FnOnce(&mut Orders)) {
        give(&mut self.lock());
        self.wakeup.wake();
    }

    /// Asks for a directory to be entered, as the walk of this number.
    pub fn enter(&self, number: u64, entered: Entered) {
        self.order(|orders| {
            orders.walks = number;
            if orders.entered.len() < ENTERED_MAX {
                orders.entered.push_back(entered);
            } else {
                orders.walk.extend(entered.roots);
            }
        });
    }

    /// Takes all that was asked.
    pub fn take(&self) -> Orders {
        self.wakeup.clear();
        mem::take(&mut self.lock())
    }

    /// What becomes readable when something is asked.
    pub fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        // Nothing that holds it can panic half-way.
        self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
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
}

impl Mailbox {
    /// The next message, if there is one.
    pub fn next(&self) -> Option<Message> {
        match self.messages.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// What becomes readable when there is a message.
    pub fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }
}

impl Audience {
    /// Whether the rules of a root are told.
    pub fn includes_root(&self, id: RootId) -> bool {
        match self {
            Audience::Root(root) => *root == id,
            Audience::Everybody | Audience::Rule(_) => true,
        }
    }

    /// Whether a rule is told.
    pub fn includes_rule(&self, id: RuleId) -> bool {
        match self {
            Audience::Rule(rule) => *rule == id,
            Audience::Everybody | Audience::Root(_) => true,
        }
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
