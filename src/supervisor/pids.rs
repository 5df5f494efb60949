//! `limits.pids`: how many processes a run may have at once, itself included. Only a control group can count them.
//!
//! With version 2 it is the group that holds the run. Where the pids controller belongs to a hierarchy of version 1, a
//! run gets a second group there, which holds nothing and only counts.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::life::Life;
use crate::event::RunId;
use crate::sys::cgroup::{ControlGroup, Location, Version};

const CONTROLLER: &str = "pids";

/// Where processes are counted.
#[derive(Debug)]
pub enum Pids {
    /// In the group that holds the run.
    InHold,
    /// In a group of version 1.
    Beside(Life),
}

impl Pids {
    /// Finds where processes can be counted, by trying. `hold` has the groups that hold runs.
    ///
    /// # Errors
    /// Why they cannot, for people.
    pub fn try_out(hold: Option<&Life>) -> Result<Pids, String> {
        let in_hold = hold.ok_or(Errno::ENOENT).and_then(|life| {
            enable(life, CONTROLLER)?;
            try_limit(life)
        });
        let Err(errno) = in_hold else { return Ok(Pids::InHold) };
        let beside = || -> io::Result<Life> {
            // Nothing is to be ended: what these groups count is held by others.
            let life = Life::begin(&Location::own(Version::One(CONTROLLER))?, |_| {})?;
            try_limit(&life)?;
            Ok(life)
        };
        beside().map(Pids::Beside).map_err(|_| match errno {
            Errno::EBUSY => "other processes are in the daemon's own control group".to_owned(),
            _ => "no control group of ours has the pids controller".to_owned(),
        })
    }

    /// Counts and limits the processes of a run; gives what it has to enter besides the group that holds it.
    ///
    /// # Errors
    /// When its group cannot be made.
    pub fn limit(
        &self,
        run: RunId,
        count: Option<u64>,
        hold: Option<&ControlGroup>,
    ) -> io::Result<Option<OwnedFd>> {
        match self {
            Pids::InHold => {
                hold.ok_or(Errno::ENOENT)?.limit_processes(count)?;
                Ok(None)
            }
            Pids::Beside(life) => {
                let group = life.leaf(run.0)?;
                group.limit_processes(count)?;
                Ok(Some(group.entrance()?))
            }
        }
    }

    /// The run is over.
    pub fn release(&mut self, run: RunId) {
        if let Pids::Beside(life) = self {
            life.release(run.0);
            life.look_at_lingering();
        }
    }
}

/// Has the groups of runs limited by a controller.
///
/// A group whose groups are limited may have no processes itself, but for the root. The kernel may take the order all
/// the same, and refuse every process below later; so we go into a group of our own first.
fn enable(life: &Life, controller: &str) -> Result<(), Errno> {
    let members = if life.own.is_root() { Vec::new() } else { life.own.members() };
    match members.as_slice() {
        [] => {}
        [only] if *only == own_id() => life.family.make(&format!("daemon-{only}"))?.enter()?,
        _ => return Err(Errno::EBUSY),
    }
    life.own.enable(controller)?;
    life.family.enable(controller)?;
    life.group.enable(controller)
}

fn try_limit(life: &Life) -> Result<(), Errno> {
    // No run has this number.
    const NAME: &str = "0";
    let limited = life.group.make(NAME)?.limit_processes(Some(1));
    life.group.remove(NAME.as_ref())?;
    limited
}

fn own_id() -> i32 {
    i32::try_from(std::process::id()).expect("a process id is an int")
}
