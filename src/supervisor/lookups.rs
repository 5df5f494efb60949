//! What a start has to look up in the system, remembered for a moment: in a burst the same program and the same user
//! are asked for thousands of times a second.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::moment::Moment;
use crate::sys::trust::{self, Distrust};
use crate::sys::users::{self, Account};

/// How long an answer holds. Whoever could change it would be root.
const MEMORY: Duration = Duration::from_millis(5);

/// Programs that are remembered at once.
const PROGRAMS_MAX: usize = 64;

/// What was answered a moment ago.
#[derive(Debug, Default)]
pub struct Lookups {
    /// The daemon's own account, and since when.
    own: Option<(Moment, Option<Account>)>,
    /// Programs that only root may write, and since when.
    trusted: HashMap<PathBuf, Moment>,
}

impl Lookups {
    /// The account of the daemon's own user; none: it has none, or nobody answers.
    pub fn own_account(&mut self, now: Moment) -> Option<Account> {
        if self.own.as_ref().is_none_or(|(since, _)| !is_fresh(now, *since)) {
            let (uid, _) = users::own_ids();
            self.own = Some((now, Account::by_id(uid).ok().flatten()));
        }
        self.own.as_ref().and_then(|(_, account)| account.clone())
    }

    /// What is wrong with a program that is to run as root; only that nothing is, is remembered.
    pub fn flaw_of_root_program(&mut self, now: Moment, program: &Path) -> Option<Distrust> {
        if self.trusted.get(program).is_some_and(|since| is_fresh(now, *since)) {
            return None;
        }
        let flaw = trust::flaw_of_root_program(program);
        if flaw.is_none() {
            if self.trusted.len() >= PROGRAMS_MAX {
                self.trusted.clear();
            }
            self.trusted.insert(program.to_owned(), now);
        }
        flaw
    }
}

fn is_fresh(now: Moment, since: Moment) -> bool {
    now.since(since) < MEMORY
}
