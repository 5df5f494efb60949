//! Starting a process: one way for all, from a [`Recipe`] to a [`Child`].
//!
//! Nothing here looks anything up: program, ids, descriptors and environment are what the recipe says.
#![expect(
    unsafe_code,
    reason = "starting and waiting are system calls that no safe crate has in the form needed"
)]

mod birth;
mod child;
mod clone;
mod others;
mod starter;
mod wait;

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::unistd::dup3;

use super::pipes;

pub use birth::Birth;
pub use clone::CAN_BE_BORN_IN_CGROUP;
pub use others::{all, group_of, is_zombie, session_of, state_of};
pub use starter::Starter;
pub use wait::{Child, Ended, Stranger, reap_strangers};

use child::{Ids, Plan};
use clone::{Birthplace, Stack};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("facron makes system calls whose numbers and arguments differ on 32-bit machines");

/// How a process starts.
#[derive(Debug)]
pub struct Recipe<'r> {
    /// The absolute path of the program; nothing is looked up along PATH.
    pub program: &'r CStr,
    /// Its arguments, the first being its own name.
    pub arguments: &'r [CString],
    /// `NAME=value`, all of it.
    pub environment: &'r [CString],
    /// What it finds as its descriptors 0, 1 and 2; it has no others.
    pub stdio: [BorrowedFd<'r>; 3],
    /// Whether `stdio[0]` was opened with O_PATH and is to be opened for reading with the rights of the command.
    pub opens_stdin: bool,
    /// Where it belongs.
    pub place: Place<'r>,
    /// `cgroup.procs` files of further control groups that it puts itself into.
    pub cgroups: &'r [BorrowedFd<'r>],
    /// An absolute nice value, where it is to be changed.
    pub nice: Option<i32>,
    /// umask(2).
    pub umask: u32,
    /// Whether to set `oom_score_adj` to 0.
    pub resets_oom_score: bool,
    /// Limits by number (RLIMIT_…, setrlimit(2)).
    pub limits: &'r [(u32, libc::rlimit)],
    /// Whose rights; none: those of the caller.
    pub credentials: Option<&'r Credentials>,
    /// The working directory, entered with the rights of the command.
    pub cwd: &'r CStr,
    /// prctl(2), PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
}

/// What holds a process together with those that it will start.
#[derive(Clone, Copy, Debug)]
pub enum Place<'r> {
    /// Its session alone, which every process has of its own.
    Session,
    /// A control group, by its directory. The process is born there, or enters it where that cannot be.
    Cgroup(BorrowedFd<'r>),
    /// The PID namespace of this process (a pidfd); setns(2).
    Namespace {
        /// Stands for the first process of the namespace.
        init: BorrowedFd<'r>,
        /// The namespace of the caller (`/proc/self/ns/pid`), to come back to.
        own: BorrowedFd<'r>,
    },
    /// As the first process of a new PID namespace, which dies with the calling thread; the dead of the namespace
    /// are left to the kernel.
    NewNamespace,
}

/// Exact ids of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user.
    pub uid: u32,
    /// Real, effective and saved group.
    pub gid: u32,
    /// All supplementary groups.
    pub groups: Vec<u32>,
}

macro_rules! steps {
    ($($variant:ident $text:literal)*) => {
        /// What is done between the start and the program's first instruction, in order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step {
            $(#[doc = concat!("To ", $text, ".")] $variant,)*
        }

        impl Step {
            /// What was tried, as in `cannot …`.
            pub fn as_str(self) -> &'static str {
                match self { $(Step::$variant => $text,)* }
            }
        }
    };
}

steps! {
    Process     "make a process"
    Session     "make a session"
    Cgroup      "enter the control group"
    Signals     "reset the signals"
    Nice        "set the nice value"
    OomScore    "reset the OOM score"
    Descriptors "set up the descriptors"
    Limits      "set the resource limits"
    Groups      "take on the supplementary groups"
    Group       "take on the group"
    User        "take on the user"
    Verify      "give up the daemon's rights"
    Directory   "enter the working directory"
    Input       "open the input file"
    NoNewPrivs  "give up the gain of rights"
    Program     "run the program"
}

/// A start that failed: at which step, and the system's reason. No process is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepError {
    /// Where.
    pub step: Step,
    /// Why.
    pub errno: Errno,
}

/// Starts processes, one at a time.
#[derive(Debug)]
pub struct Spawner {
    stack: Stack,
    desks: Desks,
    /// Signals that this process does not treat by default.
    treated: Vec<c_int>,
    /// Whether a child can be born in a control group, as far as is known.
    births_in_cgroup: bool,
    birth: Arc<Birth>,
}

impl Spawner {
    /// Gets the memory and the descriptors that starts need. From here on nobody in this process may change what is
    /// done at a signal: children have their dispositions reset that are not the default now.
    ///
    /// # Errors
    /// When there are none.
    pub fn new() -> Result<Spawner, Errno> {
        Ok(Spawner {
            stack: Stack::new()?,
            desks: Desks::new()?,
            treated: child::treated_signals(),
            births_in_cgroup: CAN_BE_BORN_IN_CGROUP,
            birth: Arc::default(),
        })
    }

    /// The child that is being made, for other threads.
    pub fn birth(&self) -> Arc<Birth> {
        Arc::clone(&self.birth)
    }

    /// Starts a process, and returns when its program runs.
    ///
    /// # Errors
    /// The step that failed; then nothing is left of the process.
    pub fn spawn(&mut self, recipe: &Recipe<'_>) -> Result<Child, StepError> {
        match self.try_spawn(recipe) {
            // Sandboxes that look into the flags of clone(2) forbid clone3(2), where they cannot: systemd's
            // RestrictNamespaces=, container runtimes.
            Err(StepError { step: Step::Process, errno: Errno::ENOSYS | Errno::EPERM })
                if self.births_in_cgroup && matches!(recipe.place, Place::Cgroup(_)) =>
            {
                self.births_in_cgroup = false;
                self.try_spawn(recipe)
            }
            result => result,
        }
    }

    fn try_spawn(&mut self, recipe: &Recipe<'_>) -> Result<Child, StepError> {
        let arguments = null_ended(recipe.arguments);
        let environment = null_ended(recipe.environment);
        let credentials = recipe.credentials;
        let mut plan = Plan {
            program: recipe.program,
            arguments: &arguments,
            environment: &environment,
            stdio: self.desks.numbers(),
            opens_stdin: recipe.opens_stdin,
            cgroups: &[],
            nice: recipe.nice,
            umask: recipe.umask,
            resets_oom_score: recipe.resets_oom_score,
            limits: recipe.limits,
            credentials: credentials.map(|ids| Ids { uid: ids.uid, gid: ids.gid, groups: &ids.groups }),
            cwd: recipe.cwd,
            no_new_privs: recipe.no_new_privs,
            treated: &self.treated,
            is_namespace_init: matches!(recipe.place, Place::NewNamespace),
            birth: &self.birth,
            error: None,
        };
        let mut birthplace = Birthplace::default();
        let mut cgroups: Vec<RawFd> = recipe.cgroups.iter().map(|procs| procs.as_raw_fd()).collect();
        let procs: OwnedFd;
        let mut visit = None;
        match recipe.place {
            Place::Session => {}
            Place::Cgroup(directory) if self.births_in_cgroup => birthplace.cgroup = Some(directory),
            Place::Cgroup(directory) => {
                procs = open_procs(directory)?;
                cgroups.push(procs.as_raw_fd());
            }
            Place::Namespace { init, own } => visit = Some(NamespaceVisit::enter(init, own)?),
            Place::NewNamespace => birthplace.is_namespace = true,
        }
        plan.cgroups = &cgroups;
        let blocked = BlockedSignals::new();
        self.desks.lay_out(recipe.stdio).map_err(|errno| StepError { step: Step::Descriptors, errno })?;
        let made = Child::make(|| {
            // SAFETY: `child::main` keeps to system calls and does not return, the plan outlives the call, which
            // ends when the child has left our memory, and every signal is blocked.
            let pid = unsafe {
                self.stack.clone(child::main, (&raw mut plan).cast(), birthplace, self.birth.place())
            };
            let pidfd = self.birth.end(pid.ok());
            Ok((pid?, pidfd.expect("the kernel gives one with the child (CLONE_PIDFD)")))
        });
        self.desks.clear();
        drop((blocked, visit));
        let child = made.map_err(|errno| StepError { step: Step::Process, errno })?;
        match plan.error {
            None => Ok(child),
            Some(error) => {
                child.reap();
                Err(error)
            }
        }
    }
}

/// Three low descriptors where a child finds what becomes its 0, 1 and 2.
///
/// A child shares the daemon's table until it makes one of its own, which has no more than what lies up to here: a
/// copy of all that a busy daemon has open, which the child would only close, costs more than all its other steps.
#[derive(Debug)]
struct Desks {
    null: OwnedFd,
    desks: [OwnedFd; 3],
}

impl Desks {
    fn new() -> Result<Desks, Errno> {
        let null = pipes::null()?;
        let desk = || pipes::null();
        let desks = [desk()?, desk()?, desk()?];
        assert!(desks.iter().all(|desk| desk.as_raw_fd() > 2), "descriptors 0–2 are open from the start on");
        Ok(Desks { null, desks })
    }

    fn numbers(&self) -> [RawFd; 3] {
        [0, 1, 2].map(|number: usize| self.desks[number].as_raw_fd())
    }

    /// Copies of these, until they are cleared: dup3(2). Where the limit of descriptors was lowered below their numbers,
    /// there are none left.
    fn lay_out(&mut self, stdio: [BorrowedFd<'_>; 3]) -> Result<(), Errno> {
        let laid =
            self.desks.iter_mut().zip(stdio).try_for_each(|(desk, own)| dup3(own, desk, OFlag::O_CLOEXEC));
        let laid = laid.map_err(|errno| if errno == Errno::EBADF { Errno::EMFILE } else { errno });
        laid.inspect_err(|_| self.clear())
    }

    /// Nothing is kept open by them any more; what cannot be cleared below a lowered limit is so by the next start.
    fn clear(&mut self) {
        for desk in &mut self.desks {
            let _ = dup3(&self.null, desk, OFlag::O_CLOEXEC);
        }
    }
}

/// The nice value of this process: getpriority(2).
pub fn own_nice() -> i32 {
    // SAFETY: getpriority(2) takes plain numbers. For ourselves it does not fail, and -1 is a nice value.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// How much this process is offered to the OOM killer (proc_pid_oom_score_adj(5)); 0 where /proc does not say.
pub fn own_oom_score_adj() -> i32 {
    let text = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Does nothing until a signal ends the process: pause(2).
pub fn wait_for_ever() -> ! {
    loop {
        nix::unistd::pause();
    }
}

fn null_ended(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn open_procs(directory: BorrowedFd<'_>) -> Result<OwnedFd, StepError> {
    use nix::fcntl::openat;
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    openat(directory, "cgroup.procs", flags, nix::sys::stat::Mode::empty())
        .map_err(|errno| StepError { step: Step::Cgroup, errno })
}

/// While it lives, children of this thread are born in another PID namespace: setns(2).
struct NamespaceVisit<'r> {
    own: BorrowedFd<'r>,
}

impl<'r> NamespaceVisit<'r> {
    fn enter(init: BorrowedFd<'_>, own: BorrowedFd<'r>) -> Result<NamespaceVisit<'r>, StepError> {
        nix::sched::setns(init, CloneFlags::CLONE_NEWPID)
            .map_err(|errno| StepError { step: Step::Process, errno })?;
        Ok(NamespaceVisit { own })
    }
}

impl Drop for NamespaceVisit<'_> {
    fn drop(&mut self) {
        nix::sched::setns(self.own, CloneFlags::CLONE_NEWPID)
            .expect("a process that could leave its own PID namespace can come back to it");
    }
}

/// While it lives, this thread takes no signal, not even those that libc keeps for itself: sigprocmask(2).
struct BlockedSignals {
    before: u64,
}

impl BlockedSignals {
    fn new() -> BlockedSignals {
        BlockedSignals { before: set_mask(u64::MAX) }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        set_mask(self.before);
    }
}

/// Sets the mask of this thread; gives the one before.
fn set_mask(mask: u64) -> u64 {
    let mut before = 0_u64;
    let how = libc::SIG_SETMASK;
    let len = size_of::<u64>();
    // SAFETY: Both masks are as long as the kernel's. The libc function would leave out the signals of libc.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const mask, &raw mut before, len) };
    assert!(result == 0, "sigprocmask(2) takes every mask");
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    fn null() -> File {
        File::options().read(true).write(true).open("/dev/null").expect("there is one")
    }

    fn recipe<'r>(program: &'r CStr, arguments: &'r [CString], stdio: [BorrowedFd<'r>; 3]) -> Recipe<'r> {
        Recipe {
            program,
            arguments,
            environment: &[],
            stdio,
            opens_stdin: false,
            place: Place::Session,
            cgroups: &[],
            nice: None,
            umask: 0o022,
            resets_oom_score: false,
            limits: &[],
            credentials: None,
            cwd: c"/",
            no_new_privs: false,
        }
    }

    /// What `/bin/sh -c TEXT` writes, and how it ends.
    fn shell(text: &str, environment: &[CString], change: impl FnOnce(&mut Recipe<'_>)) -> (String, Ended) {
        let null = null();
        let (mut read, write) = std::io::pipe().expect("a pipe");
        let arguments =
            ["sh", "-c", text].map(|argument| CString::new(argument).expect("no NUL in a test's text"));
        let mut recipe = recipe(c"/bin/sh", &arguments, [null.as_fd(), write.as_fd(), null.as_fd()]);
        recipe.environment = environment;
        change(&mut recipe);
        let child = Spawner::new().expect("memory").spawn(&recipe).expect("sh starts");
        drop(write);
        let mut output = String::new();
        read.read_to_string(&mut output).expect("UTF-8");
        (output, child.reap())
    }

    #[test]
    fn a_child_has_a_session_of_its_own_and_what_the_recipe_says() {
        let text = "tr '\\0' '\\n' </proc/$$/environ; umask; pwd; cat /proc/$$/oom_score_adj; ls /proc/self/fd | wc -l
            read -r _ _ _ _ _ session _ </proc/$$/stat; test $session = $$";
        let environment = [c"A=b".to_owned(), c"C=".to_owned()];
        let (output, ended) = shell(text, &environment, |recipe| {
            recipe.umask = 0o077;
            recipe.cwd = c"/proc";
            recipe.resets_oom_score = true;
        });
        // ls itself has its directory open as the fourth.
        assert_eq!(output, "A=b\nC=\n0077\n/proc\n0\n4\n");
        assert_eq!(ended, Ended::Code(0));
    }

    #[test]
    fn the_end_by_a_signal_is_told_even_for_a_real_time_signal() {
        assert_eq!(shell("kill -35 $$", &[], |_| {}).1, Ended::Signal(35));
        assert_eq!(shell("kill -9 $$", &[], |_| {}).1, Ended::Signal(9));
    }

    #[test]
    fn a_failing_step_comes_back_with_its_errno() {
        let (null, arguments) = (null(), [c"x".to_owned()]);
        let stdio = [null.as_fd(); 3];
        let mut spawner = Spawner::new().expect("memory");
        let missing = recipe(c"/does/not/exist", &arguments, stdio);
        let error = spawner.spawn(&missing).expect_err("there is no program");
        assert_eq!(error, StepError { step: Step::Program, errno: Errno::ENOENT });
        let nowhere = Recipe { cwd: c"/dev/null", ..recipe(c"/bin/sh", &arguments, stdio) };
        let error = spawner.spawn(&nowhere).expect_err("there is no directory");
        assert_eq!(error, StepError { step: Step::Directory, errno: Errno::ENOTDIR });
    }
}
