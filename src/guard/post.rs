//! The post of one rule: its group in the kernel, how its openers are dealt with, and which names it is about.
//!
//! Each rule has a group of its own, so that the kernel itself says which rule an opening belongs to: nothing has
//! to be looked up before the answer.

use std::io;
use std::os::fd::BorrowedFd;

use super::wire::{Counts, Policy};
use crate::glob::Glob;
use crate::sys::peek::Identity;
use crate::sys::permission::{Abilities, Answer, Group, Taken};

/// A post.
#[derive(Debug)]
pub struct Post {
    /// The rule's group.
    pub group: Group,
    /// How openers are dealt with.
    pub policy: Policy,
    /// What happened so far.
    pub counts: Counts,
    /// Whether `counts` are to be told.
    pub has_news: bool,
    /// Whether nothing is guarded any more.
    pub is_retiring: bool,
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    /// The marked objects: device and inode, in order.
    marked: Vec<(u64, u64)>,
    is_audited: bool,
    takes_refinements: bool,
}

/// Why an opener gets its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The command's verdict, or `verdict = "allow"`.
    Verdict,
    /// `verdict-default`.
    Default,
    /// `verdict-cache`.
    Cache,
    /// Facron itself, or a run.
    Kin,
    /// The rule's globs leave the name out.
    Name,
}

impl Post {
    /// A post that guards nothing yet.
    ///
    /// # Errors
    /// The kernel gives no group.
    pub fn new(policy: Policy) -> io::Result<Post> {
        let wanted = Abilities { errno: policy.deny_errno != libc::EPERM, audit: policy.audit };
        let (group, abilities) = Group::new(wanted)?;
        Ok(Post {
            group,
            policy,
            counts: Counts::default(),
            has_news: false,
            is_retiring: false,
            include: Vec::new(),
            exclude: Vec::new(),
            marked: Vec::new(),
            is_audited: abilities.audit,
            takes_refinements: true,
        })
    }

    /// Whether verdicts reach the audit log.
    pub fn is_audited(&self) -> bool {
        self.is_audited
    }

    /// Adds a glob for names.
    pub fn add_filter(&mut self, glob: Glob, is_exclude: bool) {
        if is_exclude { &mut self.exclude } else { &mut self.include }.push(glob);
    }

    /// Guards an object: a file, or a directory's direct entries.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn mark(&mut self, object: BorrowedFd<'_>) -> io::Result<()> {
        let identity = Identity::of(object)?;
        let mut mask = self.policy.mask;
        if !self.policy.cache.is_zero() {
            mask |= libc::FAN_MODIFY;
        }
        if identity.is_dir && self.policy.children {
            mask |= libc::FAN_EVENT_ON_CHILD;
        }
        if self.policy.dirs {
            mask |= libc::FAN_ONDIR;
        }
        self.group.mark(mask, object)?;
        let key = (identity.device, identity.inode);
        if let Err(place) = self.marked.binary_search(&key) {
            self.marked.insert(place, key);
        }
        Ok(())
    }

    /// Guards nothing more.
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub fn retire(&mut self) -> io::Result<()> {
        self.is_retiring = true;
        self.group.flush()
    }

    /// Whether the rule's globs let this file through; a marked object itself is not judged by its name.
    pub fn concerns(&self, identity: &Identity, path: &[u8]) -> bool {
        if self.include.is_empty() && self.exclude.is_empty() {
            return true;
        }
        if self.marked.binary_search(&(identity.device, identity.inode)).is_ok() {
            return true;
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        // A name may truly end so, or have been taken away meanwhile: it counts if it would count either way.
        let bare = name.strip_suffix(b" (deleted)").unwrap_or(name);
        self.counts_as(name, identity.is_dir) || self.counts_as(bare, identity.is_dir)
    }

    fn counts_as(&self, name: &[u8], is_dir: bool) -> bool {
        let matches = |glob: &Glob| glob.matches(name, is_dir);
        !self.exclude.iter().any(matches) && (self.include.is_empty() || self.include.iter().any(matches))
    }

    /// Answers an opener, and counts it. Says whether the kernel has just shown that it takes verdicts only
    /// plain.
    ///
    /// # Errors
    /// The kernel does not take the answer: only closing the group lets the opener go.
    pub fn answer(&mut self, file: BorrowedFd<'_>, is_allowed: bool, ground: Ground) -> io::Result<bool> {
        let errno = if self.takes_refinements { self.policy.deny_errno } else { libc::EPERM };
        let taken = self.group.answer(file, Answer { is_allowed, errno, is_audited: self.is_audited })?;
        match is_allowed {
            true => self.counts.allowed += 1,
            false => self.counts.denied += 1,
        }
        match ground {
            Ground::Default => self.counts.by_default += 1,
            Ground::Cache => self.counts.cached += 1,
            Ground::Kin => self.counts.exempt += 1,
            Ground::Verdict | Ground::Name => {}
        }
        self.has_news = true;
        let is_plain = taken == Taken::Plain && self.takes_refinements;
        self.takes_refinements &= !is_plain;
        Ok(is_plain)
    }
}
