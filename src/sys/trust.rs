//! Who could have written a file: it and every directory above it, links followed, judged component by component.
//!
//! A rule file decides what root runs, and so does the program of a root rule: whoever can write one of them,
//! or a directory on the way to it, can run anything as root. What is judged is what is read: each component is
//! opened below the one before it, so that a rename in between cannot pass one file off as another.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use crate::escape;

/// Symbolic links on the way to one file, as in path_resolution(7).
const LINKS_MAX: usize = 40;

/// Bits of a mode that let group or others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What to do where a directory is as it is meant to be, and not fit for what is kept there.
const ELSEWHERE: &str = "keep it where only root may write";

/// Who may own a trusted file and the directories above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Root alone: for a daemon that runs as root, and for the programs that it runs as root.
    Root,
    /// Root, or this user, for a user's own daemon; a sticky directory such as /tmp may stand above.
    User(u32),
    /// Root, or this user: for what a daemon that runs as root writes on the user's behalf.
    RootOr(u32),
    /// Everybody: nothing is judged (`--insecure`).
    Anybody,
}

impl Owner {
    /// What holds for the files of a daemon whose effective user is `uid`.
    pub fn of_daemon(uid: u32) -> Owner {
        if uid == 0 { Owner::Root } else { Owner::User(uid) }
    }

    /// The name to give to chown(1).
    fn name(self) -> String {
        match self {
            Owner::Root | Owner::Anybody => "root".to_owned(),
            Owner::User(uid) | Owner::RootOr(uid) => uid.to_string(),
        }
    }

    fn accepts(self, uid: u32) -> bool {
        match self {
            Owner::Root => uid == 0,
            Owner::User(own) | Owner::RootOr(own) => uid == 0 || uid == own,
            Owner::Anybody => true,
        }
    }
}

/// One component of a path that is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distrust {
    /// The file, directory or link, by its resolved path.
    pub component: PathBuf,
    /// What is wrong with it.
    pub flaw: Flaw,
    /// A command that mends it; none where there is no simple one.
    pub mend: Option<String>,
}

/// What is wrong with a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It belongs to somebody who is not trusted.
    OwnedBy(u32),
    /// Group or others may write it; its permission bits.
    WritableByOthers(u32),
    /// It cannot be looked at.
    Unreachable(Errno),
}

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It, or something above it, is not trusted.
    Untrusted(Vec<Distrust>),
    /// It is a directory, FIFO, device or socket.
    NotRegular,
    /// It is longer than allowed.
    TooLong {
        /// Its size, bytes.
        size: u64,
        /// What is allowed, bytes.
        limit: u64,
    },
    /// It was written while it was read.
    Changed,
    /// The system refused.
    Failed(Errno),
}

/// Judges a file or directory, every directory above it, and every link on the way: each must belong to `owner`
/// and be writable by nobody else.
///
/// # Errors
/// All components that are not trusted, in the order of the way from `/`; one that cannot be looked at is the
/// last.
pub fn check_file(path: &Path, owner: Owner) -> Result<(), Vec<Distrust>> {
    let mut walk = Walk::new(path, owner);
    match walk.go() {
        Ok(_) if walk.distrusted.is_empty() => Ok(()),
        Ok(_) => Err(walk.distrusted),
        Err(errno) => Err(walk.distrusted_and(errno)),
    }
}

/// The first thing that is wrong with a program that is to run as root, as for [`check_file`]; one that cannot be reached
/// is for execve(2) to tell of.
pub fn flaw_of_root_program(program: &Path) -> Option<Distrust> {
    let distrusted = check_file(program, Owner::Root).err().unwrap_or_default();
    distrusted.into_iter().find(|distrust| !matches!(distrust.flaw, Flaw::Unreachable(_)))
}

/// Opens the directory that a file is in or is to be made in (O_PATH), after judging it and all above it.
///
/// # Errors
/// What stands against it: ENOENT where the path names no file, [`ReadError::Untrusted`] as for reading.
pub fn open_parent(path: &Path, owner: Owner) -> Result<(OwnedFd, OsString), ReadError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ReadError::Failed(Errno::EISDIR));
    };
    let (above, last) = trusted(parent, owner)?.reached;
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok((openat(&above, last.as_os_str(), flags, Mode::empty())?, name.to_owned()))
}

/// Reads a trusted regular file of at most `limit` bytes.
///
/// The type, owner, mode and size are those of the very descriptor that is read; FIFOs and devices are not waited
/// for. A file that changes meanwhile is refused, since half of an old and half of a new text is neither.
///
/// # Errors
/// What stands against reading it; a file that is not trusted is not read at all.
pub fn read_file(path: &Path, owner: Owner, limit: u64) -> Result<Vec<u8>, ReadError> {
    let Trusted { reached: (directory, name), mut walk } = trusted(path, owner)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(&directory, name.as_os_str(), flags, Mode::empty())?);
    let before = fstat(&file)?;
    if !is_kind(&before, SFlag::S_IFREG) {
        return Err(ReadError::NotRegular);
    }
    // The name may have been given to another file since the walk looked at it.
    walk.judge(&before);
    if !walk.distrusted.is_empty() {
        return Err(ReadError::Untrusted(walk.distrusted));
    }
    let size = u64::try_from(before.st_size).unwrap_or(0);
    if size > limit {
        return Err(ReadError::TooLong { size, limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // One byte more than it may have, so that a file that grows is noticed.
    (&mut file).take(size + 1).read_to_end(&mut bytes)?;
    let after = fstat(&file)?;
    let is_unchanged = bytes.len() as u64 == size && version(&before) == version(&after);
    if is_unchanged { Ok(bytes) } else { Err(ReadError::Changed) }
}

/// The end of a walk on which nothing was distrusted.
struct Trusted {
    /// The last directory, and the name in it that is no link.
    reached: (OwnedFd, OsString),
    walk: Walk,
}

fn trusted(path: &Path, owner: Owner) -> Result<Trusted, ReadError> {
    let mut walk = Walk::new(path, owner);
    match walk.go() {
        Ok(reached) if walk.distrusted.is_empty() => Ok(Trusted { reached, walk }),
        Ok(_) => Err(ReadError::Untrusted(walk.distrusted)),
        Err(errno) if walk.distrusted.is_empty() => Err(ReadError::Failed(errno)),
        Err(errno) => Err(ReadError::Untrusted(walk.distrusted_and(errno))),
    }
}

/// The way from `/` to a file, one component at a time.
struct Walk {
    owner: Owner,
    /// What has been walked, links resolved.
    walked: PathBuf,
    ahead: VecDeque<OsString>,
    links: usize,
    distrusted: Vec<Distrust>,
}

impl Walk {
    fn new(path: &Path, owner: Owner) -> Walk {
        let mut walk = Walk {
            owner,
            walked: PathBuf::from("/"),
            ahead: VecDeque::new(),
            links: 0,
            distrusted: Vec::new(),
        };
        // Without a working directory only what is absolute can be reached; the walk then says what is missing.
        walk.put_ahead(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        walk
    }

    /// Walks to the end; gives the last directory, and the name in it that is no link.
    fn go(&mut self) -> Result<(OwnedFd, OsString), Errno> {
        let mut directory = open_root()?;
        self.judge(&fstat(&directory)?);
        let mut name = OsString::from(".");
        while let Some(next) = self.ahead.pop_front() {
            self.walked.push(&next);
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let entry = openat(&directory, next.as_os_str(), flags, Mode::empty())?;
            let stat = fstat(&entry)?;
            self.judge(&stat);
            if is_kind(&stat, SFlag::S_IFLNK) {
                self.links += 1;
                if self.links > LINKS_MAX {
                    return Err(Errno::ELOOP);
                }
                let target = PathBuf::from(readlinkat(&entry, "")?);
                self.walked.pop();
                if target.is_absolute() {
                    directory = open_root()?;
                    self.walked = PathBuf::from("/");
                }
                self.put_ahead(&target);
                name = OsString::from(".");
            } else if next.as_bytes() == b".." {
                self.walked.pop();
                self.walked.pop();
                directory = entry;
                name = OsString::from(".");
            } else if self.ahead.is_empty() {
                name = next;
            } else {
                directory = entry;
            }
        }
        Ok((directory, name))
    }

    fn put_ahead(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.ahead.push_front(name.to_owned()),
                Component::ParentDir => self.ahead.push_front(OsString::from("..")),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    /// Notes what is wrong with the component that the walk stands on.
    fn judge(&mut self, stat: &FileStat) {
        if !self.owner.accepts(stat.st_uid) {
            self.distrust(Flaw::OwnedBy(stat.st_uid), Some(format!("chown -h {}", self.owner.name())));
        }
        let bits = stat.st_mode & 0o7777;
        // The mode of a link says nothing: who may write its directory decides what it points to.
        let is_link = is_kind(stat, SFlag::S_IFLNK);
        // In a sticky directory nobody can replace what belongs to another; root asks for more, since a file that
        // does not exist yet could still be put there by anybody.
        let is_sticky = is_kind(stat, SFlag::S_IFDIR) && bits & 0o1000 != 0;
        let is_excused = match self.owner {
            Owner::Root | Owner::RootOr(_) => false,
            Owner::User(_) => is_sticky,
            Owner::Anybody => true,
        };
        if !is_link && bits & WRITABLE_BY_OTHERS != 0 && !is_excused {
            // What everybody is to write, as /tmp and /dev/null, is mended by keeping the file elsewhere.
            let is_meant = is_sticky
                || is_for_everybody(&self.walked)
                || !is_kind(stat, SFlag::S_IFDIR) && !is_kind(stat, SFlag::S_IFREG);
            self.distrust(Flaw::WritableByOthers(bits), (!is_meant).then(|| "chmod go-w".to_owned()));
        }
    }

    /// `command` mends it when the component is put behind it.
    fn distrust(&mut self, flaw: Flaw, command: Option<String>) {
        let mend = command.and_then(|command| Some(format!("{command} {}", quoted(&self.walked)?)));
        let distrust = Distrust { component: self.walked.clone(), flaw, mend };
        // A directory may be passed twice, by `..` or by links.
        if !self.distrusted.contains(&distrust) {
            self.distrusted.push(distrust);
        }
    }

    fn distrusted_and(mut self, errno: Errno) -> Vec<Distrust> {
        self.distrust(Flaw::Unreachable(errno), None);
        self.distrusted
    }
}

fn open_root() -> Result<OwnedFd, Errno> {
    openat(AT_FDCWD, "/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn is_kind(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// Whether programs count on it that everybody may write a directory, sticky or not.
pub(super) fn is_for_everybody(directory: &Path) -> bool {
    ["/tmp", "/var/tmp", "/dev/shm"].iter().any(|known| directory == Path::new(known))
}

/// What changes when a file is written.
fn version(stat: &FileStat) -> [i64; 5] {
    [stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec]
}

/// A path as a shell word; none if no shell word can hold it in plain text.
fn quoted(path: &Path) -> Option<String> {
    let text = OsStr::to_str(path.as_os_str())?;
    (!text.contains(char::is_control)).then(|| shell_words::quote(text).into_owned())
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> ReadError {
        ReadError::Failed(errno)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Failed(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

impl Distrust {
    /// What mends it: a command, or what to do instead.
    pub fn way_out(&self) -> String {
        match &self.mend {
            Some(mend) => format!("{mend} mends it"),
            None => ELSEWHERE.to_owned(),
        }
    }

    /// The same as a help: the command alone; none where nobody knows what is wrong.
    pub fn help(&self) -> Option<String> {
        match (&self.mend, self.flaw) {
            (Some(mend), _) => Some(mend.clone()),
            (None, Flaw::OwnedBy(_) | Flaw::WritableByOthers(_)) => Some(ELSEWHERE.to_owned()),
            (None, Flaw::Unreachable(_)) => None,
        }
    }
}

impl fmt::Display for Distrust {
    /// The component and its flaw, for example `/srv/etc is writable by others (mode 0775)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let component = escape::path(&self.component);
        match self.flaw {
            Flaw::OwnedBy(uid) => write!(f, "{component} belongs to user {uid}"),
            Flaw::WritableByOthers(mode) => write!(f, "{component} is writable by others (mode {mode:04o})"),
            Flaw::Unreachable(errno) => write!(f, "{component} cannot be looked at: {}", errno.desc()),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Untrusted(distrusted) => {
                for (index, distrust) in distrusted.iter().enumerate() {
                    let comma = if index > 0 { "; " } else { "" };
                    write!(f, "{comma}{distrust}")?;
                }
                Ok(())
            }
            ReadError::NotRegular => f.write_str("not a regular file"),
            ReadError::TooLong { size, limit } => {
                write!(f, "{size} bytes are more than the limit of {limit}")
            }
            ReadError::Changed => f.write_str("it changed while it was read"),
            ReadError::Failed(errno) => f.write_str(errno.desc()),
        }
    }
}

impl std::error::Error for ReadError {}
