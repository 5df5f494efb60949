//! From a decided run to a process: everything looked up, checked and opened before there is one.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::environment::{Variables, environment};
use super::identity::Person;
use super::input::Inlet;
use super::lookups::Lookups;
use super::output::Outlet;
use super::refusal::{Attempt, refuse};
use crate::engine::{Purpose, Run, StartFailure, StartFailureClass};
use crate::escape;
use crate::rule::{Command, Resource, SHELL};
use crate::sys::clock;
use crate::sys::process::{Child, Place, Recipe, Spawner};
use crate::sys::trust::Distrust;
use crate::template::Facts;

/// What is the same for all runs.
#[derive(Debug)]
pub struct Habits<'s> {
    /// The daemon's own environment, for `inherit-env`.
    pub inherited: &'s Variables,
    /// Whether programs that others may write are run as root all the same.
    pub is_insecure: bool,
    /// The daemon's own nice value.
    pub nice: i32,
    /// Whether the daemon is protected from the OOM killer, as its commands are not to be.
    pub resets_oom_score: bool,
}

/// A run whose process can be started.
#[derive(Debug)]
pub struct Start {
    program: PathBuf,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    cwd: CString,
    person: Person,
    limits: Vec<(u32, libc::rlimit)>,
    nice: Option<i32>,
    umask: u32,
    no_new_privs: bool,
    resets_oom_score: bool,
    /// What it reads.
    pub inlet: Inlet,
    /// What it writes to.
    pub outlet: Outlet,
}

impl Start {
    /// Looks up, checks and opens what a run needs. `counter` is that of `$+`, `$-` and `$=`.
    ///
    /// # Errors
    /// The first thing that stands against it.
    pub fn prepare(
        run: &Run,
        habits: &Habits<'_>,
        lookups: &mut Lookups,
        counter: &mut u32,
    ) -> Result<Start, StartFailure> {
        let now = clock::monotonic();
        let setting = &run.rule.setting;
        let facts =
            Facts { rule: &run.rule.name, roots: &run.rule.watch.paths, run: run.id, events: &run.events };
        let person = Person::of(setting, || lookups.own_account(now))?;
        let words = words(command(run), &facts, counter);
        let program = PathBuf::from(words.first().cloned().unwrap_or_default());
        check_program(&program, &person, habits.is_insecure, |program| {
            lookups.flaw_of_root_program(now, program)
        })?;
        let (own_uid, _) = crate::sys::users::own_ids();
        Ok(Start {
            arguments: words.into_iter().map(c_string).collect::<Result<_, _>>()?,
            environment: environment(run, &facts, &person, habits.inherited)?,
            cwd: c_string(setting.cwd.clone().into_os_string())?,
            limits: setting.limits.iter().filter_map(|(kind, value)| limit(*kind, *value)).collect(),
            // An unprivileged daemon that was started with a nice value stays at it where the rule has no wish.
            nice: (setting.nice != habits.nice && (setting.nice != 0 || own_uid == 0))
                .then_some(setting.nice),
            umask: setting.umask,
            no_new_privs: setting.no_new_privs,
            resets_oom_score: habits.resets_oom_score,
            inlet: Inlet::open(run)?,
            outlet: Outlet::open(&setting.output, &person)?,
            program,
            person,
        })
    }

    /// Whether the start may wait for somebody else: the command's user may stop it once it has that user's rights, and
    /// lay its program where everybody waits.
    pub fn may_wait(&self) -> bool {
        self.person.credentials.is_some()
    }

    /// Starts the process.
    ///
    /// # Errors
    /// The step that failed.
    pub fn spawn(
        &self,
        spawner: &mut Spawner,
        place: Place<'_>,
        counted: Option<&OwnedFd>,
        null: BorrowedFd<'_>,
    ) -> Result<Child, StartFailure> {
        let entrances: Vec<BorrowedFd<'_>> = counted.into_iter().map(|entrance| entrance.as_fd()).collect();
        let program = self.arguments.first().expect("a command has a program, which was checked");
        let input = self.inlet.file.as_ref().map_or(null, |file| file.as_fd());
        let [output, error] = self.outlet.ends(null);
        let recipe = Recipe {
            program,
            arguments: &self.arguments,
            environment: &self.environment,
            stdio: [input, output, error],
            opens_stdin: self.inlet.opens_file,
            place,
            cgroups: &entrances,
            nice: self.nice,
            umask: self.umask,
            resets_oom_score: self.resets_oom_score,
            limits: &self.limits,
            credentials: self.person.credentials.as_ref(),
            cwd: &self.cwd,
            no_new_privs: self.no_new_privs,
        };
        let cwd = Path::new(std::ffi::OsStr::from_bytes(self.cwd.as_bytes()));
        let attempt = Attempt { program: &self.program, cwd, user: &self.person.name };
        spawner.spawn(&recipe).map_err(|error| attempt.failed(error))
    }
}

fn command(run: &Run) -> &Command {
    match &run.purpose {
        Purpose::Command => &run.rule.command,
        Purpose::OnFailure(_) => {
            run.rule.ending.on_failure.as_ref().expect("the engine runs on-failure where there is one")
        }
    }
}

fn words(command: &Command, facts: &Facts<'_>, counter: &mut u32) -> Vec<OsString> {
    match command {
        Command::Argv(templates) => {
            let mut words = Vec::with_capacity(templates.len());
            for template in templates {
                template.expand(facts, counter, &mut words);
            }
            words
        }
        Command::Shell(text) => {
            let fixed = [SHELL, "-c", text, "facron"].map(OsString::from);
            fixed
                .into_iter()
                .chain(facts.events.iter().map(|event| event.path.as_os_str().to_owned()))
                .collect()
        }
    }
}

/// A program is named by its absolute path, and what runs as root is writable by root alone, as it is at the start.
fn check_program(
    program: &Path,
    person: &Person,
    is_insecure: bool,
    flaw_of: impl FnOnce(&Path) -> Option<Distrust>,
) -> Result<(), StartFailure> {
    let shown = escape::path(program);
    if !program.is_absolute() {
        let message = format!("cannot run `{shown}`: a program is named by its absolute path");
        return Err(refuse(StartFailureClass::Missing, message));
    }
    if person.uid != 0 || is_insecure {
        return Ok(());
    }
    let Some(distrust) = flaw_of(program) else { return Ok(()) };
    let message = format!("will not run {shown} as root: {distrust}; {}", distrust.way_out());
    Err(refuse(StartFailureClass::Untrusted, message))
}

fn c_string(word: OsString) -> Result<CString, StartFailure> {
    CString::new(word.into_vec()).map_err(|error| {
        let shown = escape::text(&error.into_vec()).into_owned();
        refuse(StartFailureClass::Other, format!("`{shown}` cannot be told to a command: it has a NUL"))
    })
}

/// The kernel's number and value of a limit; the processes of a run are not limited by setrlimit(2).
fn limit(kind: Resource, value: Option<u64>) -> Option<(u32, libc::rlimit)> {
    let number = match kind {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Stack => libc::RLIMIT_STACK,
        Resource::Pids => return None,
    };
    let value = value.unwrap_or(libc::RLIM_INFINITY);
    Some((number, libc::rlimit { rlim_cur: value, rlim_max: value }))
}
