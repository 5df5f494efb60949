//! Why a run did not start: from a step and an errno to a word for tools and a sentence for people.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::engine::{StartFailure, StartFailureClass};
use crate::escape;
use crate::sys::process::{Step, StepError};

/// A refusal that trying again does not change.
pub fn refuse(class: StartFailureClass, message: String) -> StartFailure {
    StartFailure { class, message, is_transient: false }
}

/// The system's refusal of something that was tried; `tried` as in `cannot …`.
pub fn refused_by_system(class: StartFailureClass, tried: &str, error: &io::Error) -> StartFailure {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let (class, is_transient) =
        if is_shortage(errno) { (StartFailureClass::Resources, true) } else { (class, false) };
    StartFailure { class, message: format!("cannot {tried}: {}", reason(errno)), is_transient }
}

/// The system's word for it, as part of a sentence.
fn reason(errno: Errno) -> String {
    errno.desc().to_lowercase()
}

/// What a start was to be, as far as its failure can be about it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'r> {
    /// The program.
    pub program: &'r Path,
    /// The working directory.
    pub cwd: &'r Path,
    /// The user's name.
    pub user: &'r str,
}

impl Attempt<'_> {
    /// The failure of a step of the start.
    pub fn failed(&self, error: StepError) -> StartFailure {
        let StepError { step, errno } = error;
        let user = escape::text(self.user.as_bytes());
        let class = match step {
            Step::Process | Step::Session | Step::Signals | Step::OomScore | Step::Descriptors => {
                StartFailureClass::Other
            }
            Step::Cgroup => StartFailureClass::Containment,
            Step::Nice | Step::Limits => StartFailureClass::Limits,
            Step::Groups | Step::Group | Step::User | Step::Verify => StartFailureClass::Identity,
            Step::Directory => StartFailureClass::Directory,
            Step::Input => StartFailureClass::Input,
            Step::NoNewPrivs => StartFailureClass::Other,
            Step::Program => return self.program_failed(errno),
        };
        let whereto = match step {
            Step::Directory => format!(" {} as user {user}", escape::path(self.cwd)),
            Step::Input | Step::Groups | Step::Group | Step::User => format!(" as user {user}"),
            _ => String::new(),
        };
        // Somebody holds a lease on the file (fcntl(2)), which is not to be waited for.
        let is_leased = step == Step::Input && errno == Errno::EAGAIN;
        let tried = format!("{}{whereto}", step.as_str());
        if is_leased {
            let message = format!("cannot {tried}: another process holds a lease on it");
            return StartFailure { class, message, is_transient: true };
        }
        refused_by_system(class, &tried, &errno.into())
    }

    /// The failure of execve(2).
    fn program_failed(&self, errno: Errno) -> StartFailure {
        use StartFailureClass::{Busy, Interpreter, Missing, NotAProgram, NotExecutable, Other, TooLong};
        let (class, reason) = match errno {
            Errno::ENOENT if self.program.exists() => (Interpreter, interpreter_fault(self.program)),
            Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => (Missing, reason(errno)),
            Errno::EACCES => (NotExecutable, self.access_fault()),
            Errno::ENOEXEC => (NotAProgram, format_fault(self.program)),
            Errno::EINVAL | Errno::ELIBBAD => (NotAProgram, "the kernel knows no way to run it".to_owned()),
            Errno::E2BIG => (
                TooLong,
                "arguments and environment are longer than the kernel takes; stdin = \"paths0\" has no limit"
                    .to_owned(),
            ),
            Errno::ETXTBSY => (Busy, "somebody has it open for writing".to_owned()),
            Errno::EAGAIN => {
                return StartFailure {
                    class: StartFailureClass::Resources,
                    message: format!(
                        "cannot run {}: user {} has as many processes as it may (RLIMIT_NPROC)",
                        escape::path(self.program),
                        escape::text(self.user.as_bytes())
                    ),
                    is_transient: true,
                };
            }
            other => {
                return refused_by_system(
                    Other,
                    &format!("run {}", escape::path(self.program)),
                    &other.into(),
                );
            }
        };
        let message = format!("cannot run {}: {reason}", escape::path(self.program));
        StartFailure { class, message, is_transient: class == Busy }
    }

    fn access_fault(&self) -> String {
        let Ok(metadata) = self.program.metadata() else {
            return "permission denied".to_owned();
        };
        if metadata.is_dir() {
            return "it is a directory".to_owned();
        }
        if !metadata.is_file() {
            return "it is not a regular file".to_owned();
        }
        if metadata.permissions().mode() & 0o111 == 0 {
            return "it is not executable; chmod +x makes it so".to_owned();
        }
        if statvfs(self.program).is_ok_and(|facts| facts.flags().contains(FsFlags::ST_NOEXEC)) {
            return "its file system is mounted noexec".to_owned();
        }
        format!("user {} may not execute it or its interpreter", escape::text(self.user.as_bytes()))
    }
}

/// Whether more memory, processes or descriptors would help.
fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE)
}

/// Why execve(2) says that a file does not exist which does.
fn interpreter_fault(program: &Path) -> String {
    match interpreter(program) {
        Some(name) if name.ends_with(b"\r") => format!(
            "its first line ends in a carriage return, so its interpreter would be {}; write it with Unix line ends",
            escape::text(&name)
        ),
        Some(name) => format!("its interpreter {} does not exist", escape::text(&name)),
        None => "the dynamic loader that it asks for does not exist".to_owned(),
    }
}

/// Why execve(2) knows no way to run a file.
fn format_fault(program: &Path) -> String {
    let start = start_of(program);
    if start.is_empty() {
        "the file is empty".to_owned()
    } else if start.starts_with(b"\x7fELF") {
        "it is for another kind of machine".to_owned()
    } else if start.starts_with(b"#!") {
        "its `#!` line names no interpreter".to_owned()
    } else {
        "it has no `#!` line, and facron runs no shell by itself; begin it with `#!/bin/sh`".to_owned()
    }
}

/// What the `#!` line of a script names.
fn interpreter(program: &Path) -> Option<Vec<u8>> {
    let start = start_of(program);
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = line.trim_ascii_start();
    let name = line.split(|byte| matches!(byte, b' ' | b'\t')).next()?;
    Some(name.to_vec())
}

/// The first bytes of a regular file, as far as they can be read.
fn start_of(program: &Path) -> Vec<u8> {
    let mut start = Vec::new();
    // What cannot be read is not part of the explanation.
    let _ = open_regular(program).and_then(|file| file.take(256).read_to_end(&mut start));
    start
}

/// Opens the very file that was found to be a regular one: by now there may be another in its place, which is waited
/// for (a FIFO), or which does something when it is opened (a device).
fn open_regular(program: &Path) -> io::Result<File> {
    let place = File::from(open(program, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?);
    if !place.metadata()?.is_file() {
        return Err(Errno::EINVAL.into());
    }
    let itself = format!("/proc/self/fd/{}", place.as_raw_fd());
    // Nor is a lease on it waited for.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    Ok(File::from(open(itself.as_str(), flags, Mode::empty())?))
}
