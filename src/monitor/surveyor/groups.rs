//! Which fanotify group marks which file system.
//!
//! All file systems share the main group, but those whose id is not one file system's alone (FUSE, NFS, btrfs
//! subvolumes): the kernel refuses to mix them (EXDEV), so each gets a group of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::traffic::Token;
use crate::sys::fanotify::Group;

/// Where the numbers of groups come from that a surveyor makes.
pub type Tokens = Arc<AtomicU32>;

/// The groups, and which file system has one of its own.
#[derive(Debug)]
pub struct Groups {
    main: (Token, Arc<Group>),
    own: BTreeMap<u64, Own>,
    tokens: Tokens,
}

/// The group of one file system alone.
#[derive(Debug)]
struct Own {
    token: Token,
    group: Arc<Group>,
    /// The mounts that its directories are seen through.
    mounts: BTreeSet<u64>,
}

impl Groups {
    /// With the main group only.
    pub fn new(main: (Token, Arc<Group>), tokens: Tokens) -> Groups {
        Groups { main, own: BTreeMap::new(), tokens }
    }

    /// The group of the file system with this `st_dev`.
    pub fn of(&self, device: u64) -> (Token, &Arc<Group>) {
        self.own.get(&device).map_or((self.main.0, &self.main.1), |own| (own.token, &own.group))
    }

    /// Gives the file system with this `st_dev`, seen through this mount, a group of its own.
    ///
    /// # Errors
    /// No more groups or descriptors.
    pub fn separate(&mut self, device: u64, mount: u64) -> io::Result<(Token, Arc<Group>)> {
        let group = Arc::new(Group::new()?);
        let token = next(&self.tokens);
        let own = Own { token, group: Arc::clone(&group), mounts: BTreeSet::from([mount]) };
        self.own.insert(device, own);
        Ok((token, group))
    }

    /// Notes that a file system is seen through this mount too.
    pub fn note(&mut self, device: u64, mount: u64) {
        if let Some(own) = self.own.get_mut(&device) {
            own.mounts.insert(mount);
        }
    }

    /// Whether a file system has a group of its own.
    pub fn is_separate(&self, device: u64) -> bool {
        self.own.contains_key(&device)
    }

    /// A mount is gone; gives the groups that are so too, because nothing of their file system is seen any more.
    pub fn forget_mount(&mut self, mount: u64) -> Vec<Token> {
        let mut gone = Vec::new();
        self.own.retain(|_, own| {
            own.mounts.remove(&mount);
            if own.mounts.is_empty() {
                gone.push(own.token);
            }
            !own.mounts.is_empty()
        });
        gone
    }

    /// Whether whole file systems may be marked.
    pub fn is_privileged(&self) -> bool {
        self.main.1.features().is_privileged
    }

    /// Whether the kernel names the object of every event, and knows FAN_RENAME.
    pub fn has_targets(&self) -> bool {
        self.main.1.features().has_targets
    }
}

/// A number that no other group has.
pub fn next(tokens: &Tokens) -> Token {
    Token(tokens.fetch_add(1, Ordering::Relaxed))
}
