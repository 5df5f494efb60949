//! PID namespaces for runs (pid_namespaces(7)): a process cannot leave its own, not even root's.
//!
//! The first process of each is a holder, not the command: the kernel lets the first process of a namespace ignore
//! every signal that it has no handler for, so a command in that place could not be asked to stop. The command is
//! started into the namespace as our own child. When the holder is killed, the kernel kills all the others.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::hold::Namespace;
use super::holder::Holder;
use crate::sys::process::{Place, Spawner, StepError};

/// What is needed to make one.
#[derive(Debug)]
pub struct Namespaces {
    own: OwnedFd,
}

impl Namespaces {
    /// Tries with two processes whether a namespace holds and ends what is in it.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn try_out(
        holder: &Holder,
        spawner: &mut Spawner,
        null: BorrowedFd<'_>,
    ) -> Result<Namespaces, String> {
        let own = open("/proc/self/ns/pid", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|errno| format!("cannot open /proc/self/ns/pid: {}", errno.desc()))?;
        let namespaces = Namespaces { own };
        let refused = |error: StepError| match error.errno {
            Errno::EPERM => "PID namespaces need CAP_SYS_ADMIN".to_owned(),
            errno => format!("cannot {} in a PID namespace: {}", error.step.as_str(), errno.desc()),
        };
        let namespace = namespaces.make(holder, spawner, null).map_err(refused)?;
        let inside = holder.start(spawner, namespaces.place(&namespace), null).map_err(refused);
        // Both end, the first one when the other is reaped.
        let _ = namespace.init().signal(libc::SIGKILL);
        let tried = inside.map(|inside| inside.reap());
        namespace.end();
        tried.map(|_| namespaces)
    }

    /// Makes one, with its first process.
    ///
    /// # Errors
    /// The step that failed.
    pub fn make(
        &self,
        holder: &Holder,
        spawner: &mut Spawner,
        null: BorrowedFd<'_>,
    ) -> Result<Namespace, StepError> {
        holder.start(spawner, Place::NewNamespace, null).map(Namespace::of)
    }

    /// Where a command of this namespace is started.
    pub fn place<'r>(&'r self, namespace: &'r Namespace) -> Place<'r> {
        Place::Namespace { init: namespace.init().as_fd(), own: self.own.as_fd() }
    }
}
