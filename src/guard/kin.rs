//! Who is never asked about: facron itself, its runs, and what they started.
//!
//! Whoever waits for an answer is alive, so what /proc says of it is true. A process is known by its ancestors, all
//! the way up to the daemon; where one of them died, by the control group of the runs. What is missed here, the
//! daemon still knows when it is asked: it hears of every fork.

use crate::sys::peek;

/// Generations that are looked at.
const ANCESTORS_MAX: usize = 64;

/// Bytes of /proc/PID/cgroup that are looked at.
const CGROUPS_LEN_MAX: usize = 4096;

/// Facron and its runs.
#[derive(Debug)]
pub struct Kin {
    daemon: i32,
    guard: i32,
    cgroup: Vec<u8>,
}

impl Kin {
    /// The daemon and its guard.
    pub fn new(daemon: i32, guard: i32) -> Kin {
        Kin { daemon, guard, cgroup: Vec::new() }
    }

    /// The runs are in this control group (as in /proc/PID/cgroup), or below it.
    pub fn set_cgroup(&mut self, path: &[u8]) {
        path.clone_into(&mut self.cgroup);
    }

    /// Whether this is facron itself.
    pub fn is_facron(&self, pid: i32) -> bool {
        pid == self.daemon || pid == self.guard
    }

    /// Whether a run started this process, by what /proc says. Opens files there, so it is only for openers whom
    /// a command would decide about.
    pub fn is_started_by_a_run(&self, pid: i32) -> bool {
        self.has_ancestor(pid) || self.is_in_cgroup(pid)
    }

    fn has_ancestor(&self, pid: i32) -> bool {
        let parents =
            std::iter::successors(Some(pid), |pid| peek::parent_of(*pid).ok().filter(|parent| *parent > 0));
        parents.take(ANCESTORS_MAX).skip(1).any(|parent| parent == self.daemon)
    }

    fn is_in_cgroup(&self, pid: i32) -> bool {
        let mut buffer = [0; CGROUPS_LEN_MAX];
        !self.cgroup.is_empty()
            && peek::cgroups_of(pid, &mut buffer).is_ok_and(|cgroups| is_below(cgroups, &self.cgroup))
    }
}

/// Whether one of the lines `N:CONTROLLERS:PATH` names this control group or one below it.
fn is_below(cgroups: &[u8], cgroup: &[u8]) -> bool {
    cgroups.split(|byte| *byte == b'\n').any(|line| {
        let path = line.splitn(3, |byte| *byte == b':').nth(2);
        let below = path.and_then(|path| path.strip_prefix(cgroup));
        below.is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descendant_of_the_daemon_is_kin() {
        let (own, parent) = (std::process::id().cast_signed(), std::os::unix::process::parent_id());
        assert!(Kin::new(parent.cast_signed(), 0).is_started_by_a_run(own));
        assert!(!Kin::new(own, 0).is_started_by_a_run(own), "the daemon is not its own child");
        assert!(!Kin::new(own, 0).is_started_by_a_run(1), "init has no parent");
        assert!(!Kin::new(own, 0).is_started_by_a_run(0), "nobody here can name it");
    }

    #[test]
    fn a_control_group_is_compared_by_components() {
        let cgroups = b"2:cpu:/\n0::/system.slice/facron.service/run-1\n";
        assert!(is_below(cgroups, b"/system.slice/facron.service"));
        assert!(is_below(cgroups, b"/system.slice/facron.service/run-1"));
        assert!(!is_below(cgroups, b"/system.slice/facron"));
        assert!(!is_below(b"", b"/x") && !is_below(b"junk", b"/x"));
    }
}
