//! What a directory means to the rules.

use std::path::PathBuf;
use std::sync::Arc;

use crate::matcher::{self, Index, RootId, Site};
use crate::rule::RuleId;

/// What a directory means to the rules; most directories of a file system mean nothing.
#[derive(Debug)]
pub struct Verdict {
    /// The directory, without links.
    pub path: PathBuf,
    /// What it is itself to the roots.
    pub site: Option<Arc<Site>>,
    /// The roots that have their home here or above.
    pub homes: Vec<Home>,
}

/// A root that has its home at a directory or above it.
#[derive(Debug)]
pub struct Home {
    /// Which.
    pub root: RootId,
    /// The directory's path below that home, without a leading `/`.
    pub below: Vec<u8>,
    /// Its rules that ask for what happens to the entries of the directory.
    pub rules: Vec<RuleId>,
}

impl Verdict {
    /// Looks it up. `entering` gives those rules of a root that ask for the entries of a directory below its home.
    pub fn of(path: PathBuf, index: &Index, entering: &dyn Fn(RootId, &[u8]) -> Vec<RuleId>) -> Verdict {
        let homes = index
            .homes(&path)
            .map(|(root, home)| {
                let below = matcher::below(home, &path).unwrap_or_default();
                Home { root, below: below.to_vec(), rules: entering(root, below) }
            })
            .collect();
        let site = index.site(&path).cloned();
        Verdict { site, homes, path }
    }

    /// Whether nothing that happens in the directory concerns anybody.
    pub fn is_nothing(&self) -> bool {
        self.site.is_none() && self.homes.is_empty()
    }
}
