//! The control groups of one life of the daemon: one for each run, below one that is locked while the daemon lives.
//!
//! ```text
//! the daemon's own group / facron / LIFE / NUMBER
//! ```

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use crate::sys::cgroup::{ControlGroup, Location, Lock};
use crate::sys::clock;

/// The group that holds the lives.
const FAMILY: &str = "facron";

/// Groups that outlive their runs which are looked at when another run ends.
const LOOKS_MAX: usize = 4;

/// The groups of this life in one hierarchy.
#[derive(Debug)]
pub struct Life {
    /// The daemon's own group.
    pub own: ControlGroup,
    /// Holds the groups of all lives.
    pub family: ControlGroup,
    /// Holds the groups of runs.
    pub group: ControlGroup,
    /// Of `group`, as /proc/PID/cgroup writes it.
    pub path: PathBuf,
    name: String,
    _lock: Lock,
    /// Groups of runs that are over, with processes that were left running.
    lingering: VecDeque<u64>,
}

impl Life {
    /// Makes the group of this life. Before that, `end` is called with the group of each life that is over, which then
    /// is removed where it is empty.
    ///
    /// # Errors
    /// When the daemon's own group is not ours to divide.
    pub fn begin(own: &Location, mut end: impl FnMut(&ControlGroup)) -> io::Result<Life> {
        let own_group = ControlGroup::open(&own.directory)?;
        let family = own_group.make(FAMILY)?;
        for name in family.children() {
            let Ok(group) = family.child(&name) else { continue };
            // Held until it is removed: another daemon may start at the same time.
            let Ok(_lock) = group.lock() else { continue };
            end(&group);
            // Busy: what was left running on purpose, or what the kernel does not end.
            let _ = family.remove(&name);
        }
        let started = clock::monotonic().elapsed().as_nanos();
        let name = format!("{}-{started}", std::process::id());
        let group = family.make(&name)?;
        let lock = group.lock()?;
        // Before it was locked, another daemon may have taken it for one that is over, and removed it.
        family.child(name.as_ref())?;
        let path = own.path.join(FAMILY).join(&name);
        Ok(Life { own: own_group, family, group, path, name, _lock: lock, lingering: VecDeque::new() })
    }

    /// Makes the group of a run, by a number that no other has.
    ///
    /// # Errors
    /// When it cannot be made: the limits of the hierarchy (`cgroup.max.descendants`), or somebody removed ours.
    pub fn leaf(&self, number: u64) -> io::Result<ControlGroup> {
        Ok(self.group.make(&number.to_string())?)
    }

    /// A run is over, and its group goes as soon as nobody is left in it; says whether that is so already.
    pub fn release(&mut self, number: u64) -> bool {
        let is_gone = self.remove(number);
        if !is_gone {
            self.lingering.push_back(number);
        }
        is_gone
    }

    /// Looks at some of the groups that outlived their runs; gives those that are gone.
    pub fn look_at_lingering(&mut self) -> Vec<u64> {
        let mut gone = Vec::new();
        for _ in 0..LOOKS_MAX.min(self.lingering.len()) {
            let Some(number) = self.lingering.pop_front() else { break };
            if self.remove(number) {
                gone.push(number);
            } else {
                self.lingering.push_back(number);
            }
        }
        gone
    }

    /// Whether processes of runs that are over may be left.
    pub fn is_lingering(&self) -> bool {
        !self.lingering.is_empty()
    }

    fn remove(&self, number: u64) -> bool {
        self.group.remove(number.to_string().as_ref()).is_ok()
    }
}

impl Drop for Life {
    /// What is empty goes; what was left running keeps its group.
    fn drop(&mut self) {
        let _ = self.family.remove(self.name.as_ref());
    }
}
