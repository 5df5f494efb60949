//! Walking a tree in slices: each directory is made known and marked first, then listed, so that nothing that
//! comes into it is missed; what is found can be reported.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

use super::super::atlas::NodeId;
use super::super::traffic::{
    Audience, Change, FOUND_MAX, Found, FoundEntry, Known, KnownPlace, Message, Over, Token,
};
use super::Surveyor;
use super::marks::Target;
use crate::event::Origin;
use crate::matcher::{self, RootId};
use crate::sys::clock;
use crate::sys::handle::{self, ObjectKey};
use crate::sys::listing::{Buffer, Listing};
use crate::sys::place::{self, Kind, Status};
use crate::sys::writers::{Writers, writers};

/// Directories of one slice: so many descriptors are open at once, and so long other orders wait.
const SLICE_LEN: usize = 64;
/// How much later than a change its time may seem to be: the kernel's clock for files ticks, and clocks are set.
const SLACK: Duration = Duration::from_secs(2);

/// A walk through a tree, as far as it has come.
#[derive(Debug)]
pub struct Walk {
    /// The directory where it begins, without links.
    pub base: PathBuf,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether what is found is told, and to whom.
    report: Option<Report>,
    /// The directory that the base is in, if that is known by its handle.
    parent: Option<NodeId>,
    /// Directories still to be walked, the next one last.
    stack: Vec<Step>,
    /// What a rescan found and has not told, the next one last: its rule may have no room for it.
    untold: Vec<Untold>,
}

/// Entries of a directory that a rescan found.
#[derive(Debug)]
struct Untold {
    below: PathBuf,
    path: PathBuf,
    id: NodeId,
    is_foreign: bool,
    /// Their names, each with a NUL behind it: there may be a million of them.
    names: Vec<u8>,
}

/// What a walk is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Arming a root, as the survey of this number wants it.
    Arm(RootId, u64),
    /// Marking a directory that came into a tree, and all below it.
    Enter,
    /// Finding what changed for a rule, by the rescan of this number.
    Rescan(u64),
    /// Taking marks away that nobody wants any more.
    Trim,
}

/// Whom a walk tells of what.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whom.
    pub audience: Audience,
    /// What the events say of their origin.
    pub origin: Origin,
    /// Only what changed since; none: everything.
    pub since: Option<SystemTime>,
    /// The number of the last walk that had been asked for by then.
    pub walk: u64,
}

/// One directory of a walk.
#[derive(Debug)]
struct Step {
    below: PathBuf,
    parent: Option<NodeId>,
    /// Whether all in it counts as changed: it is below a directory that changed itself.
    is_all_new: bool,
    /// Whether it is only to be known, not listed.
    is_leaf: bool,
}

/// A directory that is held open while it is dealt with.
struct Visit {
    step: Step,
    path: PathBuf,
    fd: OwnedFd,
    id: NodeId,
    device: u64,
    mask: u64,
    is_foreign: bool,
}

/// The directory where a walk begins, held open for one slice.
struct Base {
    fd: OwnedFd,
    status: Status,
    fsid: [i32; 2],
    mount: u64,
    /// Whether directories of other `st_dev` may lie on the same mount, as subvolumes of btrfs do.
    is_mixed: bool,
}

impl Walk {
    /// A walk that begins at a directory.
    pub fn new(base: PathBuf, purpose: Purpose, report: Option<Report>) -> Walk {
        let step = Step { below: PathBuf::new(), parent: None, is_all_new: false, is_leaf: false };
        Walk { base, purpose, report, parent: None, stack: vec![step], untold: Vec::new() }
    }

    /// … which is in a directory that is known by its handle.
    pub fn below(mut self, parent: NodeId) -> Walk {
        self.stack.iter_mut().for_each(|step| step.parent = Some(parent.clone()));
        self.parent = Some(parent);
        self
    }
}

impl Report {
    /// Whether something counts as changed.
    pub fn includes(&self, changed: SystemTime) -> bool {
        self.since.is_none_or(|since| changed + SLACK >= since)
    }
}

impl Surveyor {
    /// Goes on with a walk; says whether it is at its end.
    ///
    /// # Errors
    /// The loop is gone.
    pub(super) fn walk_on(&mut self, walk: &mut Walk) -> Result<bool, Over> {
        let base = match self.base(walk) {
            Ok(base) => base,
            // If it went away, whoever asked is told by the marks on the way to it.
            Err(errno) => {
                self.stopped(walk, &walk.base, errno, false);
                return Ok(true);
            }
        };
        if let Some(untold) = walk.untold.pop() {
            self.tell_untold(walk, &base, untold)?;
            return Ok(walk.untold.is_empty() && walk.stack.is_empty());
        }
        let at = walk.stack.len().saturating_sub(SLICE_LEN);
        let steps = walk.stack.split_off(at);
        let mut visits = Vec::with_capacity(steps.len());
        for step in steps.into_iter().rev() {
            self.pulse.beat();
            visits.extend(self.visit(walk, &base, step));
        }
        match walk.purpose {
            Purpose::Trim => self.trim_visits(&visits)?,
            Purpose::Arm(..) | Purpose::Enter | Purpose::Rescan(_) => self.mark_visits(&mut visits)?,
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        for visit in visits.into_iter().filter(|visit| !visit.step.is_leaf) {
            self.pulse.beat();
            self.list(walk, visit, &mut buffer)?;
        }
        self.buffer = buffer;
        Ok(walk.untold.is_empty() && walk.stack.is_empty())
    }

    fn base(&self, walk: &Walk) -> Result<Base, Errno> {
        let fd = place::touch_straight(place::ANYWHERE, &walk.base)?;
        let status = place::status(fd.as_fd())?;
        let fsid = place::fsid(fd.as_fd())?;
        let mount = place::mount_id(fd.as_fd())?;
        let is_mixed = self.mounts.of(&walk.base).is_some_and(|mount| mount.kind == "btrfs");
        Ok(Base { fd, status, fsid, mount, is_mixed })
    }

    /// A walk does not come further here. If that is for want of something, it is told, and looked at again later: what
    /// the walk would have told of from here on.
    fn stopped(&mut self, walk: &Walk, path: &Path, errno: Errno, is_all_new: bool) {
        if place::is_gone(errno) || walk.purpose == Purpose::Trim {
            return;
        }
        let since = match &walk.report {
            Some(report) => report.since.filter(|_| !is_all_new).unwrap_or(SystemTime::UNIX_EPOCH),
            None => clock::wall(),
        };
        self.trouble_at(path, errno, since);
    }

    /// Whether a walk is not to go on: its rule has no room for what it finds.
    pub(super) fn waits(&self, walk: &Walk) -> bool {
        match walk.report.as_ref().map(|report| &report.audience) {
            Some(Audience::Rule(rule)) => self.outbox.gate().is_closed(rule),
            Some(Audience::Everybody | Audience::Root(_)) | None => false,
        }
    }

    /// Tells of some of what was found in a directory; if another is there by now, events have told of that.
    fn tell_untold(&mut self, walk: &mut Walk, base: &Base, mut untold: Untold) -> Result<(), Over> {
        let below = if untold.below.as_os_str().is_empty() { Path::new(".") } else { &untold.below };
        let at = match place::open_directory(base.fd.as_fd(), below) {
            Ok(at) => at,
            Err(errno) => {
                self.stopped(walk, &untold.path, errno, false);
                return Ok(());
            }
        };
        let fsid = untold.id.key.fsid();
        if handle::of_opened(at.as_fd()).map(|handle| handle.on(fsid)).as_ref() != Ok(&untold.id.key) {
            return Ok(());
        }
        let mut found = Vec::new();
        while found.len() < FOUND_MAX
            && let Some(name) = untold.pop()
        {
            // Gone again: an event tells of that.
            if let Some(status) = status(at.as_fd(), &name) {
                found.push(look(at.as_fd(), &name, status.kind, &untold.id.key, untold.is_foreign));
            }
        }
        self.tell_found(walk, &untold.id, &untold.path, &mut found)?;
        if !untold.names.is_empty() {
            walk.untold.push(untold);
        }
        Ok(())
    }

    fn visit(&mut self, walk: &Walk, base: &Base, step: Step) -> Option<Visit> {
        let is_base = step.below.as_os_str().is_empty();
        let path = if is_base { walk.base.clone() } else { walk.base.join(&step.below) };
        let below = if is_base { Path::new(".") } else { &step.below };
        let opened = place::open_directory(base.fd.as_fd(), below).and_then(|fd| {
            let (device, fsid) = match base.is_mixed {
                true => (place::status(fd.as_fd())?.device, place::fsid(fd.as_fd())?),
                false => (base.status.device, base.fsid),
            };
            let key = handle::of_opened(fd.as_fd())?.on(fsid);
            Ok((fd, device, key))
        });
        let (fd, device, key) = match opened {
            Ok(opened) => opened,
            // If it is gone again, or no directory any more, an event tells what came instead. Another mount is another
            // part.
            Err(errno) => {
                self.stopped(walk, &path, errno, step.is_all_new);
                return None;
            }
        };
        let mask = self.directory_mask(&path);
        let (token, _) = self.groups.of(device);
        let id = NodeId { token, key, mount: base.mount };
        let is_foreign = self.is_foreign(&path);
        Some(Visit { step, path, fd, id, device, mask, is_foreign })
    }

    fn mark_visits(&mut self, visits: &mut [Visit]) -> Result<(), Over> {
        let known: Vec<Known> = visits
            .iter()
            .filter(|visit| visit.mask != 0 || visit.step.is_leaf)
            .map(|visit| visit.known(visit.id.token))
            .collect();
        if !known.is_empty() {
            self.outbox.tell(Message::Known(known))?;
        }
        for visit in visits.iter_mut().filter(|visit| visit.mask != 0 && !visit.step.is_leaf) {
            let Visit { device, mask, .. } = *visit;
            let (fd, mount) = (visit.fd.as_fd(), visit.id.mount);
            let target = Target { fd, is_place: false, device, mount, mask };
            match self.mark(target, |token| visit.known(token))? {
                Ok(token) => visit.id.token = token,
                Err(errno) => self.trouble_at(&visit.path, errno, clock::wall()),
            }
        }
        Ok(())
    }

    fn trim_visits(&mut self, visits: &[Visit]) -> Result<(), Over> {
        for visit in visits {
            self.trim_one(visit.fd.as_fd(), visit.device, visit.mask);
        }
        let forgotten: Vec<NodeId> =
            visits.iter().filter(|visit| !self.is_wanted(visit)).map(|visit| visit.id.clone()).collect();
        if forgotten.is_empty() { Ok(()) } else { self.outbox.tell(Message::Forgotten(forgotten)) }
    }

    /// Whether a directory is marked, or known for what its parent tells of it.
    fn is_wanted(&self, visit: &Visit) -> bool {
        let mut above = visit.path.parent().into_iter().flat_map(|above| self.index.homes_at(above));
        let knows = |id| self.roots.get(&id).is_some_and(|root| root.order.demand.knows_subdirectories);
        visit.mask != 0 || above.any(knows)
    }

    /// Lists a directory that is marked: what is in it is walked and reported.
    fn list(&mut self, walk: &mut Walk, visit: Visit, buffer: &mut Buffer) -> Result<(), Over> {
        let Visit { step, path, fd, id, is_foreign, .. } = visit;
        let at = fd.as_fd();
        let homes: Vec<(RootId, &Path)> = self.index.homes(&path).collect();
        let mut found = Vec::new();
        let mut names = Vec::new();
        let is_rescan = matches!(walk.purpose, Purpose::Rescan(_));
        let mut listing = Listing::of(at, buffer);
        let mut failure = None;
        while let Some(entry) = listing.next_entry() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => {
                    failure = Some(errno);
                    break;
                }
            };
            let kind = entry.kind.or_else(|| Some(status(at, entry.name)?.kind));
            let Some(kind) = kind else { continue };
            let is_new = walk.report.as_ref().is_some_and(|report| {
                step.is_all_new
                    || report.since.is_none()
                    || status(at, entry.name).is_some_and(|status| report.includes(status.changed))
            });
            if is_new && is_rescan {
                names.extend_from_slice(entry.name.as_bytes());
                names.push(0);
            } else if is_new {
                found.push(look(at, entry.name, kind, &id.key, is_foreign));
            }
            if found.len() == FOUND_MAX {
                self.tell_found(walk, &id, &path, &mut found)?;
            }
            if kind == Kind::Directory {
                let (is_entered, is_leaf) = self.enters(walk, &homes, &path, entry.name);
                if is_entered || is_leaf {
                    let below = step.below.join(entry.name);
                    let parent = Some(id.clone());
                    walk.stack.push(Step { below, parent, is_all_new: is_new, is_leaf: !is_entered });
                }
            }
        }
        self.tell_found(walk, &id, &path, &mut found)?;
        if let Some(errno) = failure {
            self.stopped(walk, &path, errno, step.is_all_new);
        }
        if !names.is_empty() {
            walk.untold.push(Untold { below: step.below, path, id, is_foreign, names });
        }
        Ok(())
    }

    fn tell_found(
        &self,
        walk: &Walk,
        directory: &NodeId,
        path: &Path,
        found: &mut Vec<FoundEntry>,
    ) -> Result<(), Over> {
        match &walk.report {
            Some(report) if !found.is_empty() => self.outbox.tell(Message::Found(Found {
                directory: directory.clone(),
                path: path.to_owned(),
                entries: std::mem::take(found),
                audience: report.audience.clone(),
                origin: report.origin,
                walk: report.walk,
            })),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a walk goes into an entry of a directory with these homes at or above it, and whether that is at
    /// least to be known.
    fn enters(&self, walk: &Walk, homes: &[(RootId, &Path)], directory: &Path, name: &OsStr) -> (bool, bool) {
        let path = directory.join(name);
        let own = self.index.homes_at(&path).map(|id| (id, &*path));
        let concerned = own.chain(homes.iter().copied()).filter_map(|(id, home)| {
            let is_concerned = match &walk.purpose {
                Purpose::Arm(root, _) => *root == id,
                Purpose::Enter | Purpose::Rescan(_) | Purpose::Trim => true,
            };
            self.roots.get(&id).filter(|_| is_concerned).map(|root| (root, home))
        });
        let (mut is_entered, mut is_leaf) = (false, false);
        for (root, home) in concerned {
            is_entered |= match walk.report.as_ref().map(|report| &report.audience) {
                Some(Audience::Rule(name)) => root.order.rules.iter().any(|rule| {
                    let below = matcher::below(home, &path).unwrap_or_default();
                    rule.name == *name
                        && rule.watch.scope == crate::rule::Scope::Tree
                        && matcher::is_entered(&rule.watch, below)
                }),
                Some(Audience::Everybody | Audience::Root(_)) | None => root.enters(home, &path),
            };
            is_leaf |= root.order.demand.knows_subdirectories && directory == home;
        }
        // To take marks away, everything has to be seen: nobody may want it any more.
        (is_entered || walk.purpose == Purpose::Trim, is_leaf)
    }
}

impl Untold {
    /// Takes out the last name.
    fn pop(&mut self) -> Option<OsString> {
        self.names.pop()?;
        let begin = self.names.iter().rposition(|byte| *byte == 0).map_or(0, |end| end + 1);
        Some(OsString::from_vec(self.names.split_off(begin)))
    }
}

impl Visit {
    fn known(&self, token: Token) -> Known {
        let place = match (&self.step.parent, self.path.file_name()) {
            (Some(parent), Some(name)) => KnownPlace::Below { parent: parent.clone(), name: name.to_owned() },
            _ => KnownPlace::At { path: self.path.clone(), is_foreign: self.is_foreign },
        };
        Known { id: NodeId { token, ..self.id.clone() }, place }
    }
}

fn status(at: BorrowedFd<'_>, name: &OsStr) -> Option<Status> {
    place::status_at(at, Path::new(name)).ok()
}

fn look(at: BorrowedFd<'_>, name: &OsStr, kind: Kind, directory: &ObjectKey, is_foreign: bool) -> FoundEntry {
    let handle = handle::of(at, Path::new(name)).ok();
    let key = handle.map(|handle| handle.on(directory.fsid()));
    let may_be_held = kind == Kind::File && !is_foreign;
    let change = match kind {
        Kind::Directory => Change::Directory,
        Kind::File | Kind::Link | Kind::Special
            if may_be_held && place::touch(at, Path::new(name)).is_ok_and(|place| is_held(place.as_fd())) =>
        {
            Change::Held
        }
        Kind::File | Kind::Link | Kind::Special => Change::Arrived,
    };
    FoundEntry { name: name.to_owned(), change, key }
}

/// Whether somebody writes the file that a mere place stands for.
pub fn is_held(place: BorrowedFd<'_>) -> bool {
    place::status(place).is_ok_and(|status| status.kind == Kind::File) && writers(place) == Writers::Some
}

/// The name of a rule, as an audience.
pub fn audience(rule: &Arc<str>) -> Audience {
    Audience::Rule(Arc::clone(rule))
}
