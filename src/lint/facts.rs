//! What the system knows about the things that rules name. Lints only ask [`Facts`], so that tests can make them up.

use std::path::{Path, PathBuf};

use crate::rule::Identity;
use crate::sys::trust::Distrust;

/// What is asked about the system.
pub trait Facts {
    /// The user and group whose rights the daemon has.
    fn own_ids(&self) -> (u32, u32);
    /// A user.
    fn user(&self, user: &Identity) -> Account;
    /// A group.
    fn group(&self, group: &Identity) -> Account;
    /// The names of users, to find the one that was meant.
    fn user_names(&self) -> Vec<String>;
    /// The names of groups, to find the one that was meant.
    fn group_names(&self) -> Vec<String>;
    /// What is at a path, links followed.
    fn seen(&self, path: &Path) -> Seen;
    /// The first bytes of a program, enough for its `#!` line; none: it cannot be read.
    fn head(&self, program: &Path) -> Option<Vec<u8>>;
    /// The components on the way to a file that somebody else than the daemon's user and root could change.
    fn distrusted(&self, path: &Path) -> Vec<Distrust>;
    /// A symbolic link on the way to a path in a directory that others may write.
    fn foreign_link(&self, path: &Path) -> Option<PathBuf>;
    /// The path behind all links; none: it does not exist.
    fn resolved(&self, path: &Path) -> Option<PathBuf>;
    /// The file system that a path is on, or would be on.
    fn file_system(&self, path: &Path) -> FileSystem;
}

/// The answer about a user or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// It exists and has this number.
    Known(u32),
    /// There is none of this name or number.
    Unknown,
    /// The system could not say (a directory service that does not answer).
    Unclear,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Missing,
    /// It cannot be told: no permission, or a file system that may not answer.
    Unclear,
    /// Something.
    Present {
        /// Of what kind.
        kind: FileKind,
        /// Its permission bits, setuid and the like included.
        mode: u32,
        /// How many names it has.
        links: u64,
    },
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A device, FIFO or socket.
    Special,
}

/// What can be expected of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// The kernel reports everything.
    Local,
    /// Another process or machine answers for it; its type.
    Foreign(String),
    /// The kernel makes it up from its own state; its type.
    Pseudo(String),
}
