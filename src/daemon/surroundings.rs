//! What the daemon was cut off from by whoever started it, and its commands with it: a rule that does not fire for such a
//! reason, or a command that fails, says nothing of it. systemd.exec(5) has many settings that do this.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A restriction that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restriction {
    /// Other mounts than those of the machine's first process: what is mounted there may be missing here.
    Mounts,
    /// No rights can be gained by running a program (prctl(2), PR_SET_NO_NEW_PRIVS).
    NoNewPrivs,
    /// A filter of system calls (seccomp(2)).
    Filter,
}

impl Restriction {
    /// For people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Restriction::Mounts => {
                "own mounts: files that others see may be missing or different for rules and commands \
                 (PrivateTmp=, ProtectHome= and many other settings do this)"
            }
            Restriction::NoNewPrivs => {
                "no new privileges: sudo and other setuid programs fail in commands (NoNewPrivileges=)"
            }
            Restriction::Filter => "filter of system calls: commands inherit it (SystemCallFilter=)",
        }
    }
}

/// All that are found. What may not be looked at, as process 1 by a normal user, is not found.
pub(super) fn restrictions() -> Vec<Restriction> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mounts_of =
        |process: &str| fs::metadata(format!("/proc/{process}/ns/mnt")).map(|mounts| mounts.ino());
    let has_own_mounts = mounts_of("1").is_ok_and(|first| mounts_of("self").is_ok_and(|own| own != first));
    found(&status, has_own_mounts)
}

fn found(status: &str, has_own_mounts: bool) -> Vec<Restriction> {
    let is_set = |key: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        value.is_some_and(|value| value.trim() != "0")
    };
    let all = [
        (Restriction::Mounts, has_own_mounts),
        (Restriction::NoNewPrivs, is_set("NoNewPrivs")),
        (Restriction::Filter, is_set("Seccomp")),
    ];
    all.into_iter().filter_map(|(restriction, is_there)| is_there.then_some(restriction)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_restriction_is_found_where_it_is() {
        let free = "Name:\tfacron\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";
        assert_eq!(found(free, false), []);
        let bound = "Name:\tfacron\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t7\n";
        assert_eq!(found(bound, true), [Restriction::Mounts, Restriction::NoNewPrivs, Restriction::Filter]);
        assert_eq!(found("", true), [Restriction::Mounts]);
    }
}
