//! A root as a surveyor knows it: what it is asked to watch, where that is, and how it is watched.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::super::inbox::RootOrder;
use super::super::traffic::{By, Trouble};
use super::blind::Blind;
use super::trail::{End, Link, Trail};
use super::unreadable::Unreadable;
use crate::matcher;
use crate::rule::{Rule, Scope};
use crate::sys::clock;
use crate::sys::handle::ObjectKey;

/// A root.
#[derive(Debug)]
pub struct Root {
    /// What is asked.
    pub order: RootOrder,
    /// What is at its end, as far as it has been followed; none: it has not been followed yet.
    pub standing: Option<Arc<Standing>>,
    /// … when it was last found to stay so, and when that was.
    pub concluded: Option<(Arc<Standing>, SystemTime)>,
    /// … and the path's own entry then, if that was a link to a file or to nothing.
    pub link: Option<Box<Link>>,
    /// When it was last heard that a directory on its way went away, if it was not followed since: it may be the same
    /// as before, and what happened there meanwhile was not seen.
    pub passed: Option<SystemTime>,
    /// Where its tree lies, and how each part is watched.
    pub parts: Vec<Part>,
    /// … and where it lay: that stays marked until its parts are.
    pub old_parts: Vec<Part>,
    /// The rules that its tree was last walked for.
    pub walked_for: Vec<Arc<Rule>>,
    /// How often in a row its way changed while it was followed.
    pub tries: u32,
    /// Walks under way that arm it: their number goes up with each survey that starts some.
    pub epoch: u64,
    /// … how many of them are not over.
    pub walks_left: usize,
    /// Whether only a part of its tree is watched here: its chief says how it stands with it.
    pub is_graft: bool,
    /// Why it is not watched as it should be.
    pub trouble: Option<Trouble>,
    /// Why errors of its file system are not heard, if a rule asks for them.
    pub deafness: Option<Box<Trouble>>,
    /// Directories of its tree that may not be read, and how many were told of.
    pub unreadable: Option<Box<Unreadable>>,
    pub told_unreadable: usize,
    /// Where what happens is not seen.
    pub blind: Option<Box<Blind>>,
}

/// A part of a tree that lies on one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The home, or a mount point below it; without links.
    pub base: PathBuf,
    /// The mount.
    pub mount: u64,
    /// How it is watched.
    pub by: By,
}

/// What is at the end of a root, without the descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Missing,
    /// Something that is no directory.
    File {
        /// The directory that it is in, and which that is.
        parent: (PathBuf, ObjectKey),
        /// Its name there.
        name: OsString,
        /// The mount that the directory is seen through.
        mount: u64,
        /// The path's own entry, if that is a link to it.
        link: Option<Box<Link>>,
    },
    /// A directory.
    Directory {
        /// Its path without links.
        path: PathBuf,
        /// Which.
        key: ObjectKey,
        /// The mount that it is seen through.
        mount: u64,
    },
    /// Something beyond the mount point of a file system that is another surveyor's.
    Foreign(PathBuf),
    /// Something that we cannot get to.
    Refused,
}

impl Root {
    /// A root that has not been followed yet.
    pub fn new(order: RootOrder) -> Root {
        Root {
            order,
            standing: None,
            concluded: None,
            link: None,
            passed: None,
            parts: Vec::new(),
            old_parts: Vec::new(),
            walked_for: Vec::new(),
            tries: 0,
            epoch: 0,
            walks_left: 0,
            is_graft: false,
            trouble: None,
            deafness: None,
            unreadable: None,
            told_unreadable: 0,
            blind: None,
        }
    }

    /// Whether its tree reaches into a directory at or below its home.
    pub fn enters(&self, home: &Path, path: &Path) -> bool {
        let Some(below) = matcher::below(home, path) else { return false };
        self.order
            .rules
            .iter()
            .any(|rule| rule.watch.scope == Scope::Tree && matcher::is_entered(&rule.watch, below))
    }

    /// How the part of its tree is watched that a directory lies in.
    pub fn part(&self, path: &Path) -> Option<&Part> {
        let parts = self.parts.iter().filter(|part| matcher::below(&part.base, path).is_some());
        parts.max_by_key(|part| part.base.as_os_str().len())
    }

    /// Whether its tree was walked for other rules than it has now.
    pub fn has_other_rules(&self) -> bool {
        self.walked_for.len() != self.order.rules.len()
            || self
                .walked_for
                .iter()
                .zip(&self.order.rules)
                .any(|(old, new)| !Arc::ptr_eq(old, new) && old.watch != new.watch)
    }

    /// Begins a look at the places where what happened was not seen, if there are some.
    pub fn look_at_blind(&mut self, home: &Path) -> Option<Vec<(PathBuf, SystemTime)>> {
        self.blind.as_mut().map(|blind| blind.look(home, clock::wall()))
    }

    /// A mount is gone, with all that was known through it: its part of the tree is walked anew, even if it is there
    /// again by then, and what happens there meanwhile is looked for.
    pub fn forget_mount(&mut self, mount: u64) {
        let seen = self.concluded.as_ref().filter(|(standing, _)| standing.mount() == Some(mount));
        let home = seen.and_then(|(standing, _)| standing.path());
        let gone = self.parts.extract_if(.., |part| part.mount == mount).map(|part| part.base);
        for path in home.into_iter().chain(gone) {
            self.blind.get_or_insert_default().add(&path, clock::wall());
        }
    }

    /// The ways in which it is watched.
    pub fn ways(&self) -> Vec<By> {
        let mut ways: Vec<By> = self.parts.iter().map(|part| part.by).collect();
        ways.sort_unstable();
        ways.dedup();
        ways
    }
}

impl Standing {
    /// Where it is, if it is something that we see.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Standing::File { parent: (parent, _), name, .. } => Some(parent.join(name)),
            Standing::Directory { path, .. } => Some(path.clone()),
            Standing::Missing | Standing::Foreign(_) | Standing::Refused => None,
        }
    }

    /// The mount that it is seen through.
    pub fn mount(&self) -> Option<u64> {
        match self {
            Standing::File { mount, .. } | Standing::Directory { mount, .. } => Some(*mount),
            Standing::Missing | Standing::Foreign(_) | Standing::Refused => None,
        }
    }

    /// Without the descriptors.
    pub fn of(trail: &Trail) -> Standing {
        match &trail.end {
            End::Missing => Standing::Missing,
            End::File { parent, name, .. } => Standing::File {
                parent: (parent.path.clone(), parent.key()),
                name: name.clone(),
                mount: parent.mount,
                link: trail.link.clone().map(Box::new),
            },
            End::Directory(place) => {
                Standing::Directory { path: place.path.clone(), key: place.key(), mount: place.mount }
            }
            End::Foreign(point) => Standing::Foreign(point.clone()),
            End::Refused { .. } => Standing::Refused,
        }
    }

    /// Whether this is the same object as before, though perhaps at another place or through another mount.
    pub fn is_same_object(&self, before: &Standing) -> bool {
        match (self, before) {
            (Standing::File { parent, name, .. }, Standing::File { parent: before, name: known, .. }) => {
                parent.1 == before.1 && name == known
            }
            (Standing::Directory { key, .. }, Standing::Directory { key: before, .. }) => key == before,
            _ => false,
        }
    }
}
