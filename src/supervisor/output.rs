//! Where the output of a run goes, opened before it starts.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown};

use super::identity::Person;
use super::refusal::{refuse, refused_by_system};
use crate::engine::{StartFailure, StartFailureClass};
use crate::escape;
use crate::rule::Output;
use crate::sys::pipes;
use crate::sys::trust::{self, Owner, ReadError};

/// The mode of an output file that facron makes.
const FILE_MODE: u32 = 0o640;

/// What becomes descriptors 1 and 2 of a command, and what is left in our hand.
#[derive(Debug)]
pub enum Outlet {
    /// Nowhere.
    Discard,
    /// Into a file.
    File(OwnedFd),
    /// To us, line by line: the command's ends and ours.
    Pipes {
        /// Standard output.
        out: (OwnedFd, OwnedFd),
        /// Standard error.
        err: (OwnedFd, OwnedFd),
    },
}

impl Outlet {
    /// Opens what a rule says, for a command of this person.
    ///
    /// # Errors
    /// When a file cannot be opened safely, or there are no descriptors left.
    pub fn open(output: &Output, person: &Person) -> Result<Outlet, StartFailure> {
        let pipe = || {
            pipes::output_pipe()
                .map_err(|errno| refused_by_system(StartFailureClass::Other, "make a pipe", &errno.into()))
        };
        match output {
            Output::Discard => Ok(Outlet::Discard),
            Output::Log => Ok(Outlet::Pipes { out: pipe()?, err: pipe()? }),
            Output::File(path) => open_file(path, person).map(Outlet::File),
        }
    }

    /// The command's ends; `null` where there is none.
    pub fn ends<'o>(&'o self, null: BorrowedFd<'o>) -> [BorrowedFd<'o>; 2] {
        match self {
            Outlet::Discard => [null, null],
            Outlet::File(file) => [file.as_fd(), file.as_fd()],
            Outlet::Pipes { out, err } => [out.1.as_fd(), err.1.as_fd()],
        }
    }
}

/// Opens a file to append to, or makes it.
///
/// A daemon that runs as root must not be led to another file (CVE-2011-1098, CVE-2025-27591): nobody but root and
/// the command's user may write a directory on the way, and the file itself is no link, not even a hard one to
/// something that its directory's owner could not write.
fn open_file(path: &Path, person: &Person) -> Result<OwnedFd, StartFailure> {
    let shown = escape::path(path);
    let refused = |reason: String| {
        refuse(StartFailureClass::Output, format!("cannot write to output file {shown}: {reason}"))
    };
    let by_system = |errno: Errno| {
        refused_by_system(StartFailureClass::Output, &format!("write to output file {shown}"), &errno.into())
    };
    let owner = match person.credentials {
        Some(_) => Owner::RootOr(person.uid),
        None => Owner::of_daemon(person.uid),
    };
    let (directory, name) = trust::open_parent(path, owner).map_err(|error| match error {
        ReadError::Failed(errno) => by_system(errno),
        other => refused(other.to_string()),
    })?;
    let directory_owner = fstat(&directory).map_err(by_system)?.st_uid;
    // Neither a link is followed nor a FIFO waited for, and no terminal becomes ours.
    let flags = OFlag::O_WRONLY
        | OFlag::O_APPEND
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    let file = match openat(&directory, name.as_os_str(), flags, Mode::empty()) {
        Err(Errno::ENOENT) => {
            let flags = flags | OFlag::O_CREAT | OFlag::O_EXCL;
            let mode = Mode::from_bits_truncate(FILE_MODE);
            let file = openat(&directory, name.as_os_str(), flags, mode).map_err(by_system)?;
            if person.uid != 0 && directory_owner == person.uid {
                give_to(&file, person).map_err(by_system)?;
            }
            file
        }
        Err(Errno::ELOOP) => return Err(refused("it is a symbolic link".to_owned())),
        Err(Errno::ENXIO) => return Err(refused("it is not a regular file".to_owned())),
        result => result.map_err(by_system)?,
    };
    let facts = fstat(&file).map_err(by_system)?;
    match fault_of(&facts, directory_owner, person.uid) {
        Some(fault) => Err(refused(fault)),
        None => Ok(file),
    }
}

fn fault_of(facts: &FileStat, directory_owner: u32, uid: u32) -> Option<String> {
    if facts.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Some("it is not a regular file".to_owned());
    }
    if facts.st_nlink > 1 {
        return Some(format!("it has {} names (hard links)", facts.st_nlink));
    }
    if facts.st_uid != directory_owner && facts.st_uid != uid {
        return Some(format!("it belongs to user {}", facts.st_uid));
    }
    None
}

/// A file in a user's own directory is the user's. Without the right to give files away we are that user already.
fn give_to(file: &OwnedFd, person: &Person) -> Result<(), Errno> {
    let Some(ids) = &person.credentials else { return Ok(()) };
    fchown(file, Some(Uid::from_raw(ids.uid)), Some(Gid::from_raw(ids.gid)))
}
