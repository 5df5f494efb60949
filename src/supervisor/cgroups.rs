//! Control groups that hold runs: `contain = "cgroup"`.
//!
//! A life of the daemon whose group is not locked is over. What runs in it is ended before anything else is started,
//! so that nothing of it overlaps with the runs to come; but what a command had left running on purpose goes on.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use super::holder::Holder;
use super::life::Life;
use crate::escape;
use crate::event::RunId;
use crate::sys::cgroup::{self, ControlGroup, Location, Version};
use crate::sys::clock;
use crate::sys::process::{Ended, Place, Spawner};

/// The number of the group that is tried with.
const TRIAL: u64 = 0;

/// How long what an earlier life left, or what was tried with, may take to end.
const END_WAIT: Duration = Duration::from_secs(1);

/// Empty groups that are kept for the next runs: making and removing one takes as long as starting a small program.
const IDLE_MAX: usize = 64;

/// The groups of this life.
#[derive(Debug)]
pub struct Cgroups {
    /// The groups.
    pub life: Life,
    idle: Vec<Leaf>,
    /// The number of the last group that was made.
    last: u64,
    /// Whose groups those are that are not idle.
    runs: BTreeMap<u64, RunId>,
    /// Processes of earlier lives that were ended.
    pub ended_earlier: usize,
}

/// The group of a run.
#[derive(Debug)]
pub struct Leaf {
    number: u64,
    /// The group.
    pub group: ControlGroup,
    /// As /proc/PID/cgroup writes it.
    pub path: PathBuf,
}

impl Cgroups {
    /// Makes the group of this life, and tries with one process whether groups hold and end what is in them.
    ///
    /// # Errors
    /// Why they do not, for people.
    pub fn try_out(holder: &Holder, spawner: &mut Spawner, null: BorrowedFd<'_>) -> Result<Cgroups, String> {
        let own = Location::own(Version::Two)
            .map_err(|_| "control groups (version 2) are not mounted here".to_owned())?;
        let shown = escape::path(&own.directory).into_owned();
        let mut ended_earlier = 0;
        let mut life = Life::begin(&own, |earlier| ended_earlier += end_life(earlier))
            .map_err(|error| format!("cannot make a control group in {shown}: {error}"))?;
        try_with_one(&mut life, holder, spawner, null).map_err(|reason| format!("{reason} in {shown}"))?;
        Ok(Cgroups { life, idle: Vec::new(), last: TRIAL, runs: BTreeMap::new(), ended_earlier })
    }

    /// A group for a run.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn leaf(&mut self, run: RunId) -> io::Result<Leaf> {
        let leaf = match self.idle.pop() {
            Some(leaf) => leaf,
            None => {
                let number = self.last + 1;
                let group = self.life.leaf(number)?;
                self.last = number;
                Leaf { number, group, path: self.life.path.join(number.to_string()) }
            }
        };
        self.runs.insert(leaf.number, run);
        Ok(leaf)
    }

    /// The run is over. Its group serves another one if it is as it was when it was made, and `is_reusable`.
    pub fn release(&mut self, leaf: Leaf, is_reusable: bool) {
        if is_reusable && self.idle.len() < IDLE_MAX && leaf.group.is_clean() {
            self.runs.remove(&leaf.number);
            self.idle.push(leaf);
        } else if self.life.release(leaf.number) {
            self.runs.remove(&leaf.number);
        } else {
            // A kernel that knows no marks (before 5.7): what was left running ends when the daemon starts again.
            let _ = leaf.group.mark();
        }
        for gone in self.life.look_at_lingering() {
            self.runs.remove(&gone);
        }
    }

    /// The run in whose group a process is.
    pub fn run_of(&self, pid: i32) -> Option<RunId> {
        let path = cgroup::path_of(pid)?;
        let name = path.strip_prefix(&self.life.path).ok()?.components().next()?;
        self.runs.get(&name.as_os_str().to_str()?.parse().ok()?).copied()
    }
}

fn try_with_one(
    life: &mut Life,
    holder: &Holder,
    spawner: &mut Spawner,
    null: BorrowedFd<'_>,
) -> Result<(), &'static str> {
    let group = life.leaf(TRIAL).map_err(|_| "cannot make a control group")?;
    let child = holder
        .start(spawner, Place::Cgroup(group.as_fd()), null)
        .map_err(|_| "cannot start a process in a control group")?;
    let is_held = group.is_populated() == Ok(true);
    let is_killed = group.kill().is_ok();
    let _ = child.signal(libc::SIGKILL);
    let ended = child.reap();
    let is_gone = ended == Ended::Signal(libc::SIGKILL) && wait_until_empty(&group);
    let is_removed = life.release(TRIAL);
    if is_held && is_killed && is_gone && is_removed {
        Ok(())
    } else {
        Err("cannot end the processes of a control group (cgroup.kill, Linux 5.14)")
    }
}

/// Ends what runs in the groups of a life that is over; says how many processes there were.
fn end_life(life: &ControlGroup) -> usize {
    let groups = life.children().into_iter().filter_map(|run| life.child(&run).ok());
    let in_flight: Vec<ControlGroup> = groups.filter(|group| !group.is_marked()).collect();
    let count = in_flight.iter().map(|group| group.members().len()).sum();
    for group in &in_flight {
        // What cannot be ended is waited for in vain, and the daemon starts all the same.
        let _ = group.kill();
    }
    for group in &in_flight {
        wait_until_empty(group);
    }
    count
}

fn wait_until_empty(group: &ControlGroup) -> bool {
    let end = clock::monotonic() + END_WAIT;
    while group.is_populated() == Ok(true) {
        if clock::monotonic() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
