//! The desktops of logged-in users: their D-Bus session buses, found without asking anybody who could fail to answer.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Gid, Uid, User, getgrouplist};

use super::process::Credentials;

/// Where logind and elogind give each user a directory.
pub const RUN_USER: &str = "/run/user";

/// The session of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its user.
    pub user: u32,
    /// Its runtime directory (XDG_RUNTIME_DIR).
    pub runtime_dir: PathBuf,
    /// The socket of its bus.
    pub bus: PathBuf,
}

/// Every user's session whose directory below `base` and socket in it belong to that user, in order of user.
///
/// The directory is its user's, who may have mounted a file system over it that never answers. So what is not known
/// to live in memory is not looked into.
pub fn find(base: &Path) -> Vec<Session> {
    let Ok(mut directory) = Dir::open(base, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) else {
        return Vec::new();
    };
    let names: Vec<CString> =
        directory.iter().filter_map(|entry| Some(entry.ok()?.file_name().to_owned())).collect();
    let mut sessions: Vec<Session> =
        names.iter().filter_map(|name| session(base, directory.as_fd(), name.to_str().ok()?)).collect();
    sessions.sort_by_key(|session| session.user);
    sessions
}

/// The ids of a user as login would set them; none: the user is not known (any more).
pub fn credentials(user: u32) -> Option<Credentials> {
    let user = User::from_uid(Uid::from_raw(user)).ok()??;
    let name = CString::new(user.name).ok()?;
    let groups = getgrouplist(&name, user.gid).ok()?;
    let groups = groups.into_iter().map(Gid::as_raw).collect();
    Some(Credentials { uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups })
}

fn session(base: &Path, directory: BorrowedFd<'_>, name: &str) -> Option<Session> {
    let user: u32 = name.parse().ok().filter(|user: &u32| user.to_string() == name)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let own = openat(directory, name, flags, Mode::empty()).ok()?;
    if !is_in_memory(&own)? || fstat(&own).ok()?.st_uid != user {
        return None;
    }
    let bus = stat_below(&own, "bus").ok()?;
    let is_socket = SFlag::from_bits_truncate(bus.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFSOCK;
    let runtime_dir = base.join(name);
    let bus_path = runtime_dir.join("bus");
    (is_socket && bus.st_uid == user).then_some(Session { user, runtime_dir, bus: bus_path })
}

/// Looks at an entry without leaving the file system of its directory and without following a link.
fn stat_below(directory: &OwnedFd, name: &str) -> Result<FileStat, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how =
        OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_BENEATH);
    fstat(openat2(directory, name, how)?)
}

/// Whether what is open lies on a file system that asks nobody: by the kernel's own list, since even statfs(2) waits
/// for a FUSE server.
fn is_in_memory(descriptor: &OwnedFd) -> Option<bool> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).ok()?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
    let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
    let mount = mounts
        .split(|byte| *byte == b'\n')
        .find(|line| line.split(|byte| *byte == b' ').next() == Some(id.as_bytes()))?;
    let mut fields = mount.split(|byte| *byte == b' ').skip_while(|field| *field != b"-").skip(1);
    Some(matches!(fields.next()?, b"tmpfs" | b"ramfs" | b"ext4" | b"xfs" | b"btrfs" | b"overlay"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_a_socket_of_the_directory_s_own_user_is_a_session() {
        let base = tempfile::tempdir().expect("a directory");
        let own = Uid::effective().as_raw();
        let make = |name: &str| {
            let path = base.path().join(name);
            fs::create_dir(&path).expect("made");
            path
        };
        let here = make(&own.to_string());
        drop(UnixListener::bind(here.join("bus")).expect("bound"));
        // Of somebody else, not a number, not the way a number is written.
        for name in [(own + 1).to_string(), "x".to_owned(), format!("0{own}"), format!("+{own}")] {
            drop(UnixListener::bind(make(&name).join("bus")).expect("bound"));
        }
        let expected = Session { user: own, runtime_dir: here.clone(), bus: here.join("bus") };
        assert_eq!(find(base.path()), [expected]);

        fs::rename(here.join("bus"), base.path().join("elsewhere")).expect("renamed");
        symlink(base.path().join("elsewhere"), here.join("bus")).expect("linked");
        assert_eq!(find(base.path()), [], "a link is no socket");
        assert_eq!(find(&base.path().join("none")), []);
    }

    #[test]
    fn a_user_s_ids_are_those_of_the_system() {
        let root = credentials(0).expect("root is known");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(credentials(4_294_967_000), None);
    }
}
