//! The very file of an event, for `stdin = "file"`: whatever happens to its name, the command reads no other.
//!
//! The daemon only finds it (O_PATH); the command's own user opens it, at the last moment before the command runs, so
//! that nobody reads by way of facron what he may not read himself.

use std::borrow::Borrow as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::refusal::{refuse, refused_by_system};
use crate::engine::{Run, StartFailure, StartFailureClass};
use crate::escape;
use crate::event::{Event, ObjectId};
use crate::sys::handle::{self, ObjectKey};
use crate::sys::mounts::{self, MountTable, Mountinfo, Nature};
use crate::sys::place::{self, Kind};
use crate::template::Facts;

/// Finds the file of a run's event.
///
/// # Errors
/// When it is gone, is no regular file, or lies where opening it could block the daemon.
pub fn find(run: &Run) -> Result<OwnedFd, StartFailure> {
    let event = run.events.first().expect("a run has an event at least");
    let facts =
        Facts { rule: &run.rule.name, roots: &run.rule.watch.paths, run: run.id, events: &run.events };
    let shown = escape::path(&event.path);
    let refused = |reason: &str| {
        refuse(StartFailureClass::Input, format!("cannot give {shown} on standard input: {reason}"))
    };
    let by_system = |errno: Errno| match errno {
        Errno::ENOENT | Errno::ESTALE => refused("it is gone"),
        Errno::ELOOP | Errno::EXDEV => refused("a symbolic link stands in its place or above it"),
        other => refused_by_system(
            StartFailureClass::Input,
            &format!("give {shown} on standard input"),
            &other.into(),
        ),
    };
    let mounts = Mountinfo::open()
        .and_then(|mut mountinfo| mountinfo.read())
        .map_err(|error| refused_by_system(StartFailureClass::Input, "read /proc/self/mountinfo", &error))?;
    let root = open_place(facts.root()).map_err(by_system)?;
    let file = match &event.object {
        Some(object) => match by_handle(object, event, &root, &mounts) {
            Some(file) => file,
            None => by_name_and_handle(object, event, &facts, &root).map_err(by_system)?,
        },
        None => by_name(event, &facts, root).map_err(by_system)?,
    };
    if !answers_soon(file.as_fd(), &mounts) {
        return Err(refused(
            "its file system is answered for by another process or machine, which may not answer",
        ));
    }
    let kind = place::status(file.as_fd()).map_err(by_system)?.kind;
    if kind == Kind::File { Ok(file) } else { Err(refused("it is not a regular file")) }
}

/// By its handle alone, which needs CAP_DAC_READ_SEARCH and a file system that finds files by handle.
fn by_handle(object: &ObjectId, event: &Event, root: &OwnedFd, mounts: &MountTable) -> Option<OwnedFd> {
    let key = ObjectKey::new(object.fsid, object.kind, &object.handle)?;
    // Any directory of the file system will do. The event's own may be another by now; then its file system differs, or
    // does not matter.
    let above = open_place(event.path.parent()?).ok();
    let places = [Some(root.as_fd()), above.as_ref().map(|above| above.as_fd())];
    let is_it = |place: &BorrowedFd<'_>| {
        answers_soon(*place, mounts)
            && place::status(*place).is_ok_and(|status| status.kind == Kind::Directory)
            && place::fsid(*place) == Ok(object.fsid)
    };
    places.into_iter().flatten().filter(is_it).find_map(|place| {
        let mount = place::open_for_reading(place).ok()?;
        handle::open(mount.as_fd(), key.borrow(), OFlag::O_PATH).ok()
    })
}

/// By its name, if that is still its name.
fn by_name_and_handle(
    object: &ObjectId,
    event: &Event,
    facts: &Facts<'_>,
    root: &OwnedFd,
) -> Result<OwnedFd, Errno> {
    let file = by_name(event, facts, root.try_clone().map_err(|_| Errno::EMFILE)?)?;
    let found = handle::of_opened(file.as_fd())?.on(object.fsid);
    let is_it = found.kind() == object.kind && found.handle() == &*object.handle;
    if is_it { Ok(file) } else { Err(Errno::ESTALE) }
}

/// By its name below the rule's path: what a rescan or a person named has no handle. No link is followed below it.
fn by_name(event: &Event, facts: &Facts<'_>, root: OwnedFd) -> Result<OwnedFd, Errno> {
    match event.path.strip_prefix(facts.root()) {
        Ok(below) if below.as_os_str().is_empty() => Ok(root),
        Ok(below) => place::touch_beneath(root.as_fd(), below),
        Err(_) => Err(Errno::ENOENT),
    }
}

/// A path that the rule's author wrote: links in it are meant.
fn open_place(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

/// Whether the kernel alone answers for the file system of an opened object.
fn answers_soon(object: BorrowedFd<'_>, mounts: &MountTable) -> bool {
    let mount = mounts::id_of(object).ok().and_then(|id| mounts.by_id(id));
    mount.is_some_and(|mount| mount.nature != Nature::Foreign)
}
