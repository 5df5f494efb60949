//! Processes that are not our children: who exists, and where each belongs. Everything here may be out of date as
//! soon as it is said; see [`super::Stranger`].

use std::fs;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getsid};

/// The ids of all processes that /proc shows.
pub fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The session of a process: getsid(2). A zombie has one, who is reaped has none (ESRCH).
///
/// # Errors
/// ESRCH.
pub fn session_of(pid: i32) -> Result<i32, Errno> {
    getsid(Some(Pid::from_raw(pid))).map(Pid::as_raw)
}

/// The process group of a process: getpgid(2).
///
/// # Errors
/// ESRCH.
pub fn group_of(pid: i32) -> Result<i32, Errno> {
    getpgid(Some(Pid::from_raw(pid))).map(Pid::as_raw)
}

/// Whether a process has ended and only waits for its parent; who is gone altogether counts as well.
pub fn is_zombie(pid: i32) -> bool {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => matches!(state_of(&stat), Some(b'Z' | b'X' | b'x')),
        Err(_) => true,
    }
}

/// The state of a process, the third field of proc_pid_stat(5): behind a name that may hold anything, even `) Z (`.
pub fn state_of(stat: &[u8]) -> Option<u8> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(end_of_name + 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_stands_behind_the_last_bracket() {
        assert_eq!(state_of(b"12 (a) Z (b) S 1 12"), Some(b'S'));
        assert_eq!(state_of(b"12 (a) Z 1 12"), Some(b'Z'));
        assert_eq!(state_of(b"rubbish"), None);
    }

    #[test]
    fn we_are_among_all_and_no_zombie() {
        let own = i32::try_from(std::process::id()).expect("an int");
        assert!(all().any(|pid| pid == own) && !is_zombie(own) && is_zombie(i32::MAX));
    }
}
