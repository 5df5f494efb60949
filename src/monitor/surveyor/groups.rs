//! Which fanotify group marks which file system.
//!
//! All file systems share the main group, but those whose id is not one file system's alone (FUSE, NFS, btrfs
//! subvolumes): the kernel refuses to mix them (EXDEV), so each gets a group of its own.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::super::traffic::{MAIN, Token};
use crate::sys::fanotify::Group;

/// The groups, and which file system has one of its own.
#[derive(Debug)]
pub struct Groups {
    main: Arc<Group>,
    own: BTreeMap<u64, (Token, Arc<Group>)>,
    next: Token,
}

impl Groups {
    /// With the main group only.
    pub fn new(main: Arc<Group>) -> Groups {
        Groups { main, own: BTreeMap::new(), next: Token(MAIN.0 + 1) }
    }

    /// The group of the file system with this `st_dev`.
    pub fn of(&self, device: u64) -> (Token, Arc<Group>) {
        let (token, group) =
            self.own.get(&device).map_or((MAIN, &self.main), |(token, group)| (*token, group));
        (token, Arc::clone(group))
    }

    /// Gives the file system with this `st_dev` a group of its own.
    ///
    /// # Errors
    /// No more groups or descriptors.
    pub fn separate(&mut self, device: u64) -> io::Result<(Token, Arc<Group>)> {
        let group = Arc::new(Group::new()?);
        let token = self.next;
        self.next = Token(token.0 + 1);
        self.own.insert(device, (token, Arc::clone(&group)));
        Ok((token, group))
    }

    /// Whether the kernel names the object of every event, and knows FAN_RENAME.
    pub fn has_targets(&self) -> bool {
        self.main.features().has_targets
    }
}
