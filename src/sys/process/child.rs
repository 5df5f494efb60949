//! The child side of a start: from a copy of the daemon to the command, one step after the other.
//!
//! It runs in the daemon's memory (see `clone`): system calls on data that was prepared before, no allocation, no
//! lock, no panic. The calls that change ids are made without libc, whose own would change every thread of the
//! daemon.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::os::fd::RawFd;
use std::ptr;

use nix::errno::Errno;
use nix::unistd::{chdir, setsid};

use super::birth::Birth;
use super::{Step, StepError};

/// Everything that the child needs, in the form in which the kernel takes it.
pub(super) struct Plan<'r> {
    pub program: &'r CStr,
    /// Ends in null.
    pub arguments: &'r [*const c_char],
    /// Ends in null.
    pub environment: &'r [*const c_char],
    /// What becomes 0, 1 and 2; all of them above 2, and low.
    pub stdio: [RawFd; 3],
    /// Whether descriptor 0 stands for a file (O_PATH) that the command's own user is to open.
    pub opens_stdin: bool,
    /// `cgroup.procs` files that the child is to write itself into.
    pub cgroups: &'r [RawFd],
    pub nice: Option<c_int>,
    pub umask: libc::mode_t,
    pub resets_oom_score: bool,
    pub limits: &'r [(u32, libc::rlimit)],
    pub credentials: Option<Ids<'r>>,
    pub cwd: &'r CStr,
    pub no_new_privs: bool,
    /// Signals that this process does not treat by default.
    pub treated: &'r [c_int],
    /// The first process of a PID namespace: it leaves its dead to the kernel, and dies with the daemon.
    pub is_namespace_init: bool,
    /// For those who see the child from elsewhere.
    pub birth: &'r Birth,
    /// What went wrong, for the parent.
    pub error: Option<StepError>,
}

/// User and groups, with nothing to look up any more.
#[derive(Clone, Copy)]
pub(super) struct Ids<'r> {
    pub uid: libc::uid_t,
    pub gid: libc::gid_t,
    pub groups: &'r [libc::gid_t],
}

/// Runs in the child. `plan` is a `*mut Plan`.
pub(super) extern "C" fn main(plan: *mut c_void) -> c_int {
    // SAFETY: The parent passes a plan that lives on its stack, and stands still until we have gone.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    plan.birth.begin();
    let Err(error) = become_command(plan);
    plan.error = Some(error);
    // SAFETY: _exit(2) ends this process alone, without the daemon's exit handlers.
    unsafe { libc::_exit(125) }
}

fn become_command(plan: &Plan<'_>) -> Result<std::convert::Infallible, StepError> {
    let failed_at = |step| move |errno| StepError { step, errno };
    setsid().map_err(failed_at(Step::Session))?;
    for procs in plan.cgroups {
        write_all(*procs, b"0").map_err(failed_at(Step::Cgroup))?;
    }
    own_descriptors(plan.stdio).map_err(failed_at(Step::Descriptors))?;
    reset_signals(plan.treated, plan.is_namespace_init).map_err(failed_at(Step::Signals))?;
    if let Some(nice) = plan.nice {
        set_nice(nice).map_err(failed_at(Step::Nice))?;
    }
    // SAFETY: umask(2) takes any mode and cannot fail.
    unsafe { libc::umask(plan.umask) };
    if plan.resets_oom_score {
        reset_oom_score().map_err(failed_at(Step::OomScore))?;
    }
    for (number, descriptor) in (0..).zip(plan.stdio) {
        // SAFETY: dup2(2) on descriptors of this process alone, which has a table of its own.
        Errno::result(unsafe { libc::dup2(descriptor, number) }).map_err(failed_at(Step::Descriptors))?;
    }
    // Before the ids change: from then on the command's user could look at what is open here.
    // SAFETY: close_range(2) on the table of this process alone.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) })
        .map_err(failed_at(Step::Descriptors))?;
    for (resource, limit) in plan.limits {
        set_limit(*resource, limit).map_err(failed_at(Step::Limits))?;
    }
    if let Some(ids) = plan.credentials {
        take_on(ids)?;
    }
    // With the command's own rights: root may enter what its user may not.
    chdir(plan.cwd).map_err(failed_at(Step::Directory))?;
    if plan.opens_stdin {
        open_stdin().map_err(failed_at(Step::Input))?;
    }
    if plan.is_namespace_init {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
            .map_err(failed_at(Step::Signals))?;
    }
    if plan.no_new_privs {
        nix::sys::prctl::set_no_new_privs().map_err(failed_at(Step::NoNewPrivs))?;
    }
    let (arguments, environment) = (plan.arguments.as_ptr(), plan.environment.as_ptr());
    // SAFETY: Both lists end in null, and their strings live in the standing parent. It returns only on failure.
    unsafe { libc::execve(plan.program.as_ptr(), arguments, environment) };
    Err(StepError { step: Step::Program, errno: Errno::last() })
}

/// A table of descriptors of our own, with no more than what is needed: close_range(2). Until here it is the daemon's,
/// in which nothing may be opened or closed.
fn own_descriptors(needed: [RawFd; 3]) -> Result<(), Errno> {
    let first = needed.into_iter().fold(2, RawFd::max) + 1;
    let flags = libc::CLOSE_RANGE_UNSHARE;
    // SAFETY: close_range(2) takes plain numbers, and with this flag leaves the daemon's table alone.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) }).map(drop)
}

/// Every disposition to default, then an empty mask: sigaction(2), sigprocmask(2).
///
/// Handlers would go by execve(2), but what is ignored stays ignored, and what is blocked stays blocked. Rust ignores
/// SIGPIPE, and the daemon blocks what it reads by signalfd(2).
fn reset_signals(treated: &[c_int], is_namespace_init: bool) -> Result<(), Errno> {
    for number in treated {
        set_disposition(*number, DEFAULT)?;
    }
    if is_namespace_init {
        set_disposition(libc::SIGCHLD, IGNORE)?;
    }
    let empty = 0_u64;
    // SAFETY: The mask is as long as the kernel's.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const empty, 0, MASK_LEN) };
    Errno::result(result).map(drop)
}

/// `struct sigaction` of the kernel: handler, flags, restorer, mask.
type Disposition = [u64; 4];

const DEFAULT: Disposition = [0; 4];

/// SIG_IGN; for SIGCHLD: children become no zombies (wait(2)).
const IGNORE: Disposition = [1, 0, 0, 0];

const MASK_LEN: usize = size_of::<u64>();

fn set_disposition(number: c_int, disposition: Disposition) -> Result<(), Errno> {
    let none = ptr::null_mut::<Disposition>();
    // SAFETY: The dispositions are ours alone (no CLONE_SIGHAND), and this one is as long as the kernel's.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigaction, number, &raw const disposition, none, MASK_LEN) };
    Errno::result(result).map(drop)
}

/// The signals that this process ignores or has handlers for: sigaction(2). Asked once, since a question for each of
/// the 64 takes a start longer than making the process; nobody here changes a disposition later.
pub(super) fn treated_signals() -> Vec<c_int> {
    let is_treated = |number: &c_int| {
        let mut found = DEFAULT;
        let none = ptr::null::<Disposition>();
        // SAFETY: The kernel writes a disposition of its own length.
        let result =
            unsafe { libc::syscall(libc::SYS_rt_sigaction, *number, none, &raw mut found, MASK_LEN) };
        result == 0 && found[0] != DEFAULT[0]
    };
    (1..=64).filter(is_treated).collect()
}

fn set_nice(nice: c_int) -> Result<(), Errno> {
    // SAFETY: setpriority(2) takes plain numbers.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }).map(drop)
}

fn set_limit(resource: u32, limit: &libc::rlimit) -> Result<(), Errno> {
    // SAFETY: setrlimit(2) reads the limit, which outlives the call. The type of the resource differs by libc.
    Errno::result(unsafe { libc::setrlimit(resource as _, limit) }).map(drop)
}

/// The unit may protect the daemon from the OOM killer; the command is not to be protected at its expense.
fn reset_oom_score() -> Result<(), Errno> {
    let path = c"/proc/self/oom_score_adj";
    // SAFETY: open(2) reads the path, which ends in NUL.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    let file = Errno::result(file)?;
    write_all(file, b"0")
}

/// Groups first, then the group, then the user, since after that the right to change groups is gone.
fn take_on(ids: Ids<'_>) -> Result<(), StepError> {
    let failed_at = |step| move |errno| StepError { step, errno };
    // SAFETY: setgroups(2) reads so many ids.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, ids.groups.len(), ids.groups.as_ptr()) };
    Errno::result(result).map_err(failed_at(Step::Groups))?;
    // SAFETY: setresgid(2) takes plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_setresgid, ids.gid, ids.gid, ids.gid) };
    Errno::result(result).map_err(failed_at(Step::Group))?;
    // SAFETY: setresuid(2) takes plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, ids.uid, ids.uid, ids.uid) };
    Errno::result(result).map_err(failed_at(Step::User))?;
    verify(ids).map_err(failed_at(Step::Verify))
}

/// Whether the ids are what they were to be, and whether the way back is closed. A securebit or a sandbox could
/// have kept it open without any call failing.
fn verify(ids: Ids<'_>) -> Result<(), Errno> {
    let users = nix::unistd::getresuid()?;
    let groups = nix::unistd::getresgid()?;
    // SAFETY: getgroups(2) with no room counts.
    let count = Errno::result(unsafe { libc::getgroups(0, ptr::null_mut()) })?;
    let is_right = [users.real, users.effective, users.saved].iter().all(|uid| uid.as_raw() == ids.uid)
        && [groups.real, groups.effective, groups.saved].iter().all(|gid| gid.as_raw() == ids.gid)
        && usize::try_from(count).is_ok_and(|count| count == ids.groups.len());
    if !is_right {
        return Err(Errno::EPERM);
    }
    const SAME: c_long = -1;
    // SAFETY: setresuid(2) takes plain numbers; it is meant to fail.
    let back = unsafe { libc::syscall(libc::SYS_setresuid, SAME, 0, SAME) };
    if ids.uid != 0 && back == 0 { Err(Errno::EPERM) } else { Ok(()) }
}

/// Opens the file behind descriptor 0 for reading, with the command's own rights. It does not wait: not for a lease
/// (fcntl(2), F_SETLEASE) that somebody holds on it.
fn open_stdin() -> Result<(), Errno> {
    let path = c"/proc/self/fd/0";
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: open(2) reads the path, which ends in NUL.
    let file = Errno::result(unsafe { libc::open(path.as_ptr(), flags) })?;
    // SAFETY: fcntl(2) with F_SETFL takes a number.
    Errno::result(unsafe { libc::fcntl(file, libc::F_SETFL, libc::O_RDONLY) })?;
    // SAFETY: dup2(2) on descriptors of this process alone.
    Errno::result(unsafe { libc::dup2(file, 0) })?;
    // SAFETY: The descriptor was opened above and is used no more.
    Errno::result(unsafe { libc::close(file) }).map(drop)
}

fn write_all(file: RawFd, bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: write(2) reads so many bytes; the files written to take a line as a whole.
    Errno::result(unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) }).map(drop)
}
