//! What a process is, by its id, for as long as it lives: proc_pid_exe(5), proc_pid_status(5).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the kernel appends to the path of a program that was removed or replaced since it was started.
const DELETED: &[u8] = b" (deleted)";

/// The program that a process runs, by the path that it was started by; none: the process is gone, or not ours to
/// look at.
pub fn path(pid: i32) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let bytes = path.as_os_str().as_bytes();
    match bytes.strip_suffix(DELETED) {
        Some(before) if !path.exists() => Some(Path::new(OsStr::from_bytes(before)).to_owned()),
        Some(_) | None => Some(path),
    }
}

/// The effective user of a process; none: it is gone.
pub fn user(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known_and_no_other() {
        let pid = i32::try_from(std::process::id()).expect("a pid");
        assert_eq!(path(pid), std::env::current_exe().ok());
        assert_eq!(user(pid), Some(nix::unistd::geteuid().as_raw()));
        assert_eq!((path(0), user(-1)), (None, None));
    }
}
