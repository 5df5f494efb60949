//! Who caused an event: looked up once a process and read, and only where a rule asks or is told.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::{Cause, RunId};
use crate::rule::{CauseFilter, Identity};
use crate::sys::program;

/// Tells which process belongs to which run of ours.
pub trait Attributor {
    /// Events were read just now, and none is attributed yet: what is known of processes is brought up to date.
    fn catch_up(&mut self);

    /// The run that a process belongs to, however indirectly.
    fn run_of(&mut self, pid: i32) -> Option<RunId>;
}

/// Attributes nothing to anybody, for those who start no runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unattributed;

impl Attributor for Unattributed {
    fn catch_up(&mut self) {}

    fn run_of(&mut self, _pid: i32) -> Option<RunId> {
        None
    }
}

/// The processes of one read.
#[derive(Debug, Default)]
pub struct Causes {
    known: HashMap<i32, Known>,
    /// The users that rules name; those that do not exist are not here.
    users: HashMap<String, u32>,
}

#[derive(Debug, Default)]
struct Known {
    run: Option<RunId>,
    exe: Option<Option<Arc<Path>>>,
    uid: Option<Option<u32>>,
}

impl Causes {
    /// Begins with the processes of another read; the sooner, the more of them still live.
    pub fn begin(&mut self, pids: impl IntoIterator<Item = i32>, attributor: &mut dyn Attributor) {
        self.known.clear();
        attributor.catch_up();
        for pid in pids {
            self.known
                .entry(pid)
                .or_insert_with(|| Known { run: attributor.run_of(pid), ..Known::default() });
        }
    }

    /// Learns the ids of the users that rules name.
    pub fn learn(&mut self, users: HashMap<String, u32>) {
        self.users = users;
    }

    /// All that is known of a process.
    pub fn cause(&mut self, pid: i32) -> Cause {
        if pid <= 0 {
            return Cause::default();
        }
        let known = self.known.entry(pid).or_default();
        let exe = known.exe.get_or_insert_with(|| program::path(pid).map(Arc::from)).clone();
        Cause { pid, exe, uid: known.uid.flatten(), run: known.run }
    }

    /// Whether a rule wants to hear of what this process does; `cause` learns what had to be looked up.
    pub fn accepts(&mut self, filter: &CauseFilter, cause: &mut Cause) -> bool {
        let exe = cause.exe.as_deref();
        let is_by =
            |programs: &[PathBuf]| exe.is_some_and(|exe| programs.iter().any(|program| program == exe));
        if !filter.exe.is_empty() && !is_by(&filter.exe) || is_by(&filter.not_exe) {
            return false;
        }
        if filter.user.is_empty() && filter.not_user.is_empty() {
            return true;
        }
        if cause.pid > 0 {
            let known = self.known.entry(cause.pid).or_default();
            cause.uid = *known.uid.get_or_insert_with(|| program::user(cause.pid));
        }
        let is_of = |users: &[Identity]| {
            cause.uid.is_some_and(|uid| users.iter().any(|user| self.id(user) == Some(uid)))
        };
        (filter.user.is_empty() || is_of(&filter.user)) && !is_of(&filter.not_user)
    }

    fn id(&self, user: &Identity) -> Option<u32> {
        match user {
            Identity::Name(name) => self.users.get(name).copied(),
            Identity::Id(id) => Some(*id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Cause {
        let mut causes = Causes::default();
        causes.cause(i32::try_from(std::process::id()).expect("a pid"))
    }

    #[test]
    fn an_unknown_cause_matches_not_and_never_by() {
        let mut causes = Causes::default();
        let mut accepts = |filter: CauseFilter, cause: Cause| causes.accepts(&filter, &mut cause.clone());
        let exe = own().exe.expect("this program").to_path_buf();
        let by = |exe: &[PathBuf]| CauseFilter { exe: exe.into(), ..CauseFilter::default() };
        let not_by = |exe: &[PathBuf]| CauseFilter { not_exe: exe.into(), ..CauseFilter::default() };
        assert!(accepts(by(std::slice::from_ref(&exe)), own()));
        assert!(!accepts(by(&["/bin/other".into()]), own()));
        assert!(!accepts(by(std::slice::from_ref(&exe)), Cause::default()));
        assert!(!accepts(not_by(std::slice::from_ref(&exe)), own()));
        assert!(accepts(not_by(&[exe]), Cause::default()));
    }

    #[test]
    fn users_are_compared_by_their_ids() {
        let mut causes = Causes::default();
        causes.learn([("root".to_owned(), 0)].into());
        let mut root = Cause { uid: Some(0), ..Cause::default() };
        let by_user = |name: &str| CauseFilter {
            user: [Identity::Name(name.to_owned())].into(),
            ..CauseFilter::default()
        };
        assert!(causes.accepts(&by_user("root"), &mut root));
        assert!(!causes.accepts(&by_user("nobody-of-this-name"), &mut root));
        let not_user = CauseFilter { not_user: [Identity::Id(0)].into(), ..CauseFilter::default() };
        assert!(!causes.accepts(&not_user, &mut root));
        assert!(causes.accepts(&not_user, &mut Cause::default()));
    }
}
