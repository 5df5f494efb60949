//! The desktops of logged-in users: their D-Bus session buses, found without asking anybody who could fail to answer.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use super::mounts::{Mountinfo, Nature};
use super::process::Credentials;
use super::users::Account;

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
/// to be local is not looked into.
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

/// Whose socket this is; none: there is none, or it lies where a look at it might wait for somebody.
pub fn owner_of_socket(path: &Path) -> Option<u32> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = open(path.parent()?, flags, Mode::empty()).ok()?;
    let stat = is_local(&directory)?.then(|| stat_below(&directory, path.file_name()?.to_str()?).ok())??;
    is_socket(&stat).then_some(stat.st_uid)
}

/// The ids of a user as login would set them; none: the user is not known (any more).
pub fn credentials(user: u32) -> Option<Credentials> {
    let account = Account::by_id(user).ok()??;
    let groups = account.groups(account.gid).ok()?;
    Some(Credentials { uid: account.uid, gid: account.gid, groups })
}

fn session(base: &Path, directory: BorrowedFd<'_>, name: &str) -> Option<Session> {
    let user: u32 = name.parse().ok().filter(|user: &u32| user.to_string() == name)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let own = openat(directory, name, flags, Mode::empty()).ok()?;
    if !is_local(&own)? || fstat(&own).ok()?.st_uid != user {
        return None;
    }
    let bus = stat_below(&own, "bus").ok()?;
    let runtime_dir = base.join(name);
    let path = runtime_dir.join("bus");
    (is_socket(&bus) && bus.st_uid == user).then_some(Session { user, runtime_dir, bus: path })
}

fn is_socket(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFSOCK
}

/// Looks at an entry without leaving the file system of its directory and without following a link.
fn stat_below(directory: &OwnedFd, name: &str) -> Result<FileStat, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how =
        OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_BENEATH);
    fstat(openat2(directory, name, how)?)
}

/// Whether the kernel alone answers for what is open: by its own list of mounts, since even statfs(2) waits for a FUSE
/// server.
fn is_local(descriptor: &OwnedFd) -> Option<bool> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).ok()?;
    let id: u32 = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
    let mounts = Mountinfo::open().and_then(|mut mounts| mounts.read()).ok()?;
    mounts.iter().find(|mount| mount.id == id).map(|mount| mount.nature == Nature::Local)
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
        let (own, _) = crate::sys::users::own_ids();
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
