//! What can hold the processes of a run together on this machine, and what a rule gets of it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use super::cgroups::Cgroups;
use super::hold::Hold;
use super::holder::Holder;
use super::namespaces::Namespaces;
use super::pids::Pids;
use super::refusal::{refuse, refused_by_system};
use crate::engine::{StartFailure, StartFailureClass};
use crate::event::RunId;
use crate::rule::{Contain, Resource, Setting};
use crate::sys::process::{Place, Spawner};

/// How the processes of a rule's runs are held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// By a control group of their own: all of them, but those of root that move themselves out.
    Cgroup,
    /// By a PID namespace of their own: all of them.
    PidNamespace,
    /// By their session: those that do not make one of their own.
    Group,
}

impl Level {
    /// The word of `contain` in a rule and of `contained_by` in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Cgroup => "cgroup",
            Level::PidNamespace => "pid-namespace",
            Level::Group => "group",
        }
    }
}

/// What works here, each found by trying; where it does not, why.
#[derive(Debug)]
pub struct Containment {
    holder: Option<Holder>,
    cgroups: Result<Cgroups, String>,
    namespaces: Result<Namespaces, String>,
    /// Tried when the first rule asks for it, since it may move the daemon into a group of its own.
    pids: Option<Result<Pids, String>>,
}

/// Where a run that is held is started, by descriptors of its own.
#[derive(Debug)]
pub enum RemotePlace {
    /// See [`Place::Session`].
    Session,
    /// See [`Place::Cgroup`].
    Cgroup(OwnedFd),
    /// See [`Place::Namespace`].
    Namespace {
        /// Stands for the first process of the namespace.
        init: OwnedFd,
        /// The namespace to come back to.
        own: OwnedFd,
    },
}

impl RemotePlace {
    /// The place itself.
    pub fn place(&self) -> Place<'_> {
        match self {
            RemotePlace::Session => Place::Session,
            RemotePlace::Cgroup(group) => Place::Cgroup(group.as_fd()),
            RemotePlace::Namespace { init, own } => Place::Namespace { init: init.as_fd(), own: own.as_fd() },
        }
    }
}

/// How one run is held, and what more it has to enter.
#[derive(Debug)]
pub struct Held {
    /// What holds it.
    pub hold: Hold,
    /// Where its processes are counted besides.
    pub counted: Option<OwnedFd>,
    is_counted: bool,
    /// Whether the control group may serve another run; not when it was limited, or could not be entered.
    pub is_reusable: bool,
}

impl Containment {
    /// Tries everything with processes of this program; without one, only sessions are left.
    pub fn try_out(program: Option<&Path>, spawner: &mut Spawner, null: BorrowedFd<'_>) -> Containment {
        let holder = program.and_then(Holder::new);
        let untried = || "there is no program to try it with".to_owned();
        let (cgroups, namespaces) = match &holder {
            Some(holder) => {
                (Cgroups::try_out(holder, spawner, null), Namespaces::try_out(holder, spawner, null))
            }
            None => (Err(untried()), Err(untried())),
        };
        Containment { holder, cgroups, namespaces, pids: None }
    }

    /// Starts a process that does nothing, and ends it; says which it was.
    pub fn start_one(&self, spawner: &mut Spawner, null: BorrowedFd<'_>) -> Option<i32> {
        let child = self.holder.as_ref()?.start(spawner, Place::Session, null).ok()?;
        let pid = child.pid();
        let _ = child.signal(libc::SIGKILL);
        child.reap();
        Some(pid)
    }

    /// What can hold runs here beside their sessions: that it works, or why it does not.
    pub fn levels(&self) -> impl Iterator<Item = (Level, Result<&'static str, &str>)> {
        let (cgroup, namespace) =
            (self.cgroups.as_ref().map(|_| "works"), self.namespaces.as_ref().map(|_| "works"));
        let levels = [(Level::Cgroup, cgroup), (Level::PidNamespace, namespace)];
        levels.into_iter().map(|(level, works)| (level, works.map_err(String::as_str)))
    }

    /// What a rule's runs would be held by.
    ///
    /// # Errors
    /// Why what it demands cannot be had here: then it is not to be armed.
    pub fn level_for(&mut self, setting: &Setting) -> Result<Level, String> {
        let demanded = |works: Result<(), &String>, level: Level| {
            works
                .map(|()| level)
                .map_err(|reason| format!("contain = \"{}\" does not work here: {reason}", level.as_str()))
        };
        let level = match setting.contain {
            Contain::Auto if self.cgroups.is_ok() => Level::Cgroup,
            Contain::Auto | Contain::Group => Level::Group,
            Contain::Cgroup => demanded(self.cgroups.as_ref().map(|_| ()), Level::Cgroup)?,
            Contain::PidNamespace => demanded(self.namespaces.as_ref().map(|_| ()), Level::PidNamespace)?,
        };
        if setting.limits.contains_key(&Resource::Pids) {
            match self.pids() {
                Ok(Pids::InHold) if level != Level::Cgroup => {
                    return Err(format!(
                        "limits.pids needs contain = \"cgroup\" here, and the rule has \"{}\"",
                        level.as_str()
                    ));
                }
                Ok(_) => {}
                Err(reason) => return Err(format!("limits.pids does not work here: {reason}")),
            }
        }
        Ok(level)
    }

    /// Makes what holds a run.
    ///
    /// # Errors
    /// When it cannot be made, or the rule demands what cannot be had.
    pub fn hold(
        &mut self,
        run: RunId,
        setting: &Setting,
        spawner: &mut Spawner,
        null: BorrowedFd<'_>,
    ) -> Result<Held, StartFailure> {
        const CLASS: StartFailureClass = StartFailureClass::Containment;
        let level = self.level_for(setting).map_err(|reason| refuse(CLASS, reason))?;
        let by_system =
            |what: &'static str| move |error: std::io::Error| refused_by_system(CLASS, what, &error);
        let hold = match (level, &mut self.cgroups, &self.namespaces, &self.holder) {
            (Level::Cgroup, Ok(cgroups), _, _) => {
                Hold::Cgroup(cgroups.leaf(run).map_err(by_system("make a control group"))?)
            }
            (Level::PidNamespace, _, Ok(namespaces), Some(holder)) => {
                let made = namespaces.make(holder, spawner, null);
                let refused = |errno: nix::errno::Errno| by_system("make a PID namespace")(errno.into());
                Hold::Namespace(made.map_err(|error| refused(error.errno))?)
            }
            _ => Hold::Session,
        };
        let mut held = Held { hold, counted: None, is_counted: false, is_reusable: true };
        if let Some(count) = setting.limits.get(&Resource::Pids)
            && let Ok(pids) = self.pids()
        {
            let limited = pids.limit(run, *count, held.hold.group());
            (held.is_counted, held.is_reusable) = (true, false);
            match limited {
                Ok(counted) => held.counted = counted,
                Err(error) => {
                    self.release(run, held);
                    return Err(by_system("limit the processes of the run")(error));
                }
            }
        }
        Ok(held)
    }

    /// Where a run that is held is started.
    pub fn place<'r>(&'r self, hold: &'r Hold) -> Place<'r> {
        match (hold, &self.namespaces) {
            (Hold::Cgroup(leaf), _) => Place::Cgroup(leaf.group.as_fd()),
            (Hold::Namespace(namespace), Ok(namespaces)) => namespaces.place(namespace),
            _ => Place::Session,
        }
    }

    /// The same, for another thread.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn remote_place(&self, hold: &Hold) -> io::Result<RemotePlace> {
        Ok(match self.place(hold) {
            Place::Cgroup(group) => RemotePlace::Cgroup(group.try_clone_to_owned()?),
            Place::Namespace { init, own } => {
                RemotePlace::Namespace { init: init.try_clone_to_owned()?, own: own.try_clone_to_owned()? }
            }
            Place::Session | Place::NewNamespace => RemotePlace::Session,
        })
    }

    /// The run is over, or was never started.
    pub fn release(&mut self, run: RunId, held: Held) {
        match (held.hold, &mut self.cgroups) {
            (Hold::Cgroup(leaf), Ok(cgroups)) => cgroups.release(leaf, held.is_reusable),
            (Hold::Namespace(namespace), _) => namespace.end(),
            _ => {}
        }
        if held.is_counted
            && let Some(Ok(pids)) = &mut self.pids
        {
            pids.release(run);
        }
    }

    /// The groups of runs, where there are some.
    pub fn cgroups(&self) -> Option<&Cgroups> {
        self.cgroups.as_ref().ok()
    }

    fn pids(&mut self) -> Result<&Pids, &String> {
        let hold = self.cgroups.as_ref().ok().map(|cgroups| &cgroups.life);
        self.pids.get_or_insert_with(|| Pids::try_out(hold)).as_ref()
    }
}
