//! Control groups that hold runs: `contain = "cgroup"`.
//!
//! A life of the daemon whose group is not locked is over. What runs in it is ended before anything else is started,
//! so that nothing of it overlaps with the runs to come; but what a command had left running on purpose goes on.

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

/// How long what an earlier life left, or what was tried with, may take to end.
const END_WAIT: Duration = Duration::from_secs(1);

/// The groups of this life.
#[derive(Debug)]
pub struct Cgroups {
    /// The groups.
    pub life: Life,
    /// Processes of earlier lives that were ended.
    pub ended_earlier: usize,
}

/// The group of a run.
#[derive(Debug)]
pub struct Leaf {
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
        let life = Life::begin(&own, |earlier| ended_earlier += end_life(earlier))
            .map_err(|error| format!("cannot make a control group in {shown}: {error}"))?;
        try_with_one(&life, holder, spawner, null).map_err(|reason| format!("{reason} in {shown}"))?;
        Ok(Cgroups { life, ended_earlier })
    }

    /// The group for a run.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn leaf(&self, run: RunId) -> io::Result<Leaf> {
        Ok(Leaf { group: self.life.leaf(run)?, path: self.life.path.join(run.to_string()) })
    }

    /// The run is over.
    pub fn release(&mut self, run: RunId, leaf: &Leaf) {
        if !self.life.release(run) {
            // A kernel that knows no marks (before 5.7): what was left running ends when the daemon starts again.
            let _ = leaf.group.mark();
        }
    }

    /// The run in whose group a process is.
    pub fn run_of(&self, pid: i32) -> Option<RunId> {
        let path = cgroup::path_of(pid)?;
        let name = path.strip_prefix(&self.life.path).ok()?.components().next()?;
        name.as_os_str().to_str()?.parse().ok().map(RunId)
    }
}

fn try_with_one(
    life: &Life,
    holder: &Holder,
    spawner: &mut Spawner,
    null: BorrowedFd<'_>,
) -> Result<(), &'static str> {
    // No run has this number.
    let run = RunId(0);
    let group = life.leaf(run).map_err(|_| "cannot make a control group")?;
    let child = holder
        .start(spawner, Place::Cgroup(group.as_fd()), null)
        .map_err(|_| "cannot start a process in a control group")?;
    let is_held = group.is_populated() == Ok(true);
    let is_killed = group.kill().is_ok();
    let _ = child.signal(libc::SIGKILL);
    let ended = child.reap();
    let is_gone = ended == Ended::Signal(libc::SIGKILL) && wait_until_empty(&group);
    let is_removed = life.group.remove(run.to_string().as_ref()).is_ok();
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
