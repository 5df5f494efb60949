//! The surveyor: a thread that follows paths, sets marks and walks trees, so that the loop never does.

mod groups;
mod trail;
mod walk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;

use self::groups::Groups;
use self::trail::{End, Scout, Trail};
use self::walk::{Report, Walk};
use super::traffic::{
    Audience, By, Entered, Found, FoundEntry, Inbox, Known, KnownPlace, Message, Orders, Outbox, Over,
    RootOrder, RootState, Token,
};
use crate::event::Origin;
use crate::matcher::{self, Index, RootId};
use crate::plan;
use crate::sys::fanotify::{Group, Subject};
use crate::sys::mounts::{MountTable, Mountinfo};
use crate::sys::place;
use crate::sys::wakeup;

/// Roots that are surveyed together: as many descriptors as they pass directories are open at once.
const BATCH_LEN: usize = 32;
/// How often a way that changes while it is followed is followed again before it has to wait its turn.
const TRIES_MAX: u32 = 8;

/// The thread's state.
#[derive(Debug)]
pub struct Surveyor {
    inbox: Arc<Inbox>,
    outbox: Outbox,
    groups: Groups,
    mountinfo: Mountinfo,
    mounts: MountTable,
    index: Index,
    roots: BTreeMap<RootId, Root>,
    dirty: BTreeSet<RootId>,
    walks: VecDeque<Walk>,
    /// The number of the rule set that is being armed, and its roots that are not.
    settling: Option<(u64, BTreeSet<RootId>)>,
    /// The number of the last order for a walk, and of the last that was told to be carried out.
    asked: u64,
    walked: u64,
}

/// A root as it stands.
#[derive(Debug)]
struct Root {
    order: RootOrder,
    /// What was at its end when it was last surveyed; none: never.
    end: Option<Standing>,
    tries: u32,
}

/// What was at the end of a root, without the descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Missing,
    File { parent: PathBuf, name: std::ffi::OsString },
    Directory { path: PathBuf, key: crate::sys::handle::ObjectKey },
    Degraded,
}

impl Surveyor {
    /// A surveyor that watches nothing yet.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn new(inbox: Arc<Inbox>, outbox: Outbox, main: Arc<Group>) -> std::io::Result<Surveyor> {
        let mut mountinfo = Mountinfo::open()?;
        let mounts = mountinfo.read()?;
        Ok(Surveyor {
            inbox,
            outbox,
            groups: Groups::new(main),
            mountinfo,
            mounts,
            index: Index::default(),
            roots: BTreeMap::new(),
            dirty: BTreeSet::new(),
            walks: VecDeque::new(),
            settling: None,
            asked: 0,
            walked: 0,
        })
    }

    /// Carries out orders until the monitor is gone.
    pub fn run(mut self) {
        // The loop is gone, or ends this thread: either way there is nobody to tell.
        while let Ok(false) = self.turn() {}
    }

    /// One round; says whether it was the last.
    fn turn(&mut self) -> Result<bool, Over> {
        let timeout = if self.is_idle() { None } else { Some(std::time::Duration::ZERO) };
        let (_, is_remounted) =
            wakeup::wait(self.inbox.wakeup(), self.mountinfo.as_fd(), timeout).unwrap_or((true, false));
        if is_remounted {
            self.remount();
        }
        let orders = self.inbox.take();
        if orders.is_over {
            return Ok(true);
        }
        self.accept(orders)?;
        self.survey_batch()?;
        if let Some(mut walk) = self.walks.pop_front() {
            if self.walk_on(&mut walk)? {
                self.arrive(&walk)?;
            } else {
                self.walks.push_front(walk);
            }
        }
        self.settle()?;
        if self.is_idle() && self.walked != self.asked {
            self.walked = self.asked;
            self.outbox.tell(Message::Walked(self.walked))?;
        }
        Ok(false)
    }

    fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.walks.is_empty()
    }

    fn accept(&mut self, orders: Orders) -> Result<(), Over> {
        self.asked = self.asked.max(orders.walks);
        if let Some((number, roots)) = orders.roots {
            self.replace_roots(number, roots)?;
        }
        let known = |root: &RootId| self.roots.contains_key(root);
        self.dirty.extend(orders.survey.into_iter().filter(known));
        for entered in orders.entered {
            self.enter(entered);
        }
        Ok(())
    }

    fn replace_roots(&mut self, number: u64, orders: Vec<RootOrder>) -> Result<(), Over> {
        let wanted: BTreeSet<RootId> = orders.iter().map(|order| order.id).collect();
        let gone: Vec<RootId> = self.roots.keys().copied().filter(|id| !wanted.contains(id)).collect();
        for order in orders {
            match self.roots.get_mut(&order.id) {
                Some(root) => root.order = order,
                None => drop(self.roots.insert(order.id, Root { order, end: None, tries: 0 })),
            }
        }
        let mut touched = BTreeSet::new();
        for id in gone {
            self.roots.remove(&id);
            let old = self.index.attach(id, Vec::new());
            touched.extend(old.into_iter().map(|attachment| attachment.directory));
            self.outbox.tell(Message::Chart(id, Vec::new()))?;
        }
        self.trim(&touched);
        self.dirty.extend(&wanted);
        self.settling = Some((number, wanted));
        Ok(())
    }

    fn remount(&mut self) {
        if let Ok(mounts) = self.mountinfo.read() {
            self.mounts = mounts;
            self.dirty.extend(self.roots.keys());
        }
    }

    fn enter(&mut self, entered: Entered) {
        let report = Report { audience: Audience::Everybody, origin: Origin::Event, since: None };
        let base = entered.parent_path.join(&entered.name);
        self.walks.push_back(Walk::new(base, Some(entered.parent), Some(report), Vec::new()));
    }

    /// Follows the paths of some roots, marks what matters on their ways, and follows them again: what changed in
    /// between, before the marks were there, is seen.
    fn survey_batch(&mut self) -> Result<(), Over> {
        let batch: Vec<RootId> = self.dirty.iter().copied().take(BATCH_LEN).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let mounts = self.mounts.clone();
        let mut scout = Scout::new(&mounts);
        let mut trails = Vec::new();
        let mut touched = BTreeSet::new();
        let mut left = BTreeSet::new();
        for id in &batch {
            self.dirty.remove(id);
            let Some(root) = self.roots.get(id) else { continue };
            let trail = scout.follow(&root.order.written);
            let old = self.index.attach(*id, trail.attachments.clone());
            touched.extend(trail.attachments.iter().map(|attachment| attachment.directory.clone()));
            left.extend(old.into_iter().map(|attachment| attachment.directory));
            self.outbox.tell(Message::Chart(*id, trail.attachments.clone()))?;
            trails.push((*id, trail));
        }
        self.mark_sites(&mut scout, &touched)?;
        self.trim(&left);
        let mut again = Scout::new(&mounts);
        for (id, trail) in trails {
            let Some(root) = self.roots.get_mut(&id) else { continue };
            let check = again.follow(&root.order.written);
            let is_stable = check.end.is_same(&trail.end) && check.attachments == trail.attachments;
            root.tries = if is_stable { 0 } else { root.tries + 1 };
            if is_stable || root.tries > TRIES_MAX {
                root.tries = 0;
                self.conclude(id, trail)?;
            } else {
                self.dirty.insert(id);
            }
        }
        Ok(())
    }

    /// Makes directories known and marks them as their sites want it.
    fn mark_sites(&mut self, scout: &mut Scout<'_>, touched: &BTreeSet<PathBuf>) -> Result<(), Over> {
        let places: Vec<_> = touched.iter().filter_map(|path| scout.directory(path).ok()).collect();
        let known = |token: Token, place: &trail::Place| Known {
            token,
            key: place.key(),
            place: KnownPlace::At { path: place.path.clone(), is_foreign: false },
        };
        let all = places.iter().map(|place| known(self.groups.of(place.device).0, place)).collect();
        self.outbox.tell(Message::Known(all))?;
        for place in places {
            let mask = self.directory_mask(&place.path);
            if mask != 0 {
                let known = |token| known(token, &place);
                if let Err(errno) = self.mark_directory(place.fd.as_fd(), place.device, mask, known)? {
                    self.unwatched(&place.path, errno);
                }
            }
        }
        Ok(())
    }

    /// What a root's end means for it.
    fn conclude(&mut self, id: RootId, trail: Trail) -> Result<(), Over> {
        let Some(root) = self.roots.get_mut(&id) else { return Ok(()) };
        let demand = root.order.demand;
        let standing = Standing::of(&trail.end);
        let before = root.end.replace(standing.clone());
        let is_first = before.is_none();
        let is_new = before.is_some_and(|before| before != standing);
        let report = (!is_first && is_new).then(|| Report {
            audience: Audience::Root(id),
            origin: Origin::Rescan,
            since: None,
        });
        match trail.end {
            End::Missing => self.state(id, RootState::Armed(By::Waiting)),
            End::File { parent, name, key } => {
                if let Some(key) = key.filter(|_| demand.object != 0) {
                    self.mark_object(id, &parent, Path::new(&name), key, demand.object)?;
                }
                if report.is_some() {
                    self.report_entry(id, &parent, &name, false)?;
                }
                self.state(id, RootState::Armed(By::Parent))
            }
            End::Directory(place) => {
                if report.is_some()
                    && let Some(name) = place.path.file_name()
                    && let Some(parent) = place.path.parent()
                    && let Ok(parent) = Scout::new(&self.mounts.clone()).directory(parent)
                {
                    self.report_entry(id, &parent, name, true)?;
                }
                if demand.tree_choice.is_some() || report.is_some() {
                    self.walks.push_back(Walk::new(place.path.clone(), None, report, vec![id]));
                    return Ok(());
                }
                self.state(id, RootState::Armed(By::Directory))
            }
            End::Foreign(at) => self.degrade(id, format!("{}: not supported", at.display())),
            End::Refused { at, errno } => self.degrade(id, format!("{}: {}", at.display(), errno.desc())),
        }
    }

    fn report_entry(
        &mut self,
        id: RootId,
        parent: &trail::Place,
        name: &std::ffi::OsStr,
        is_dir: bool,
    ) -> Result<(), Over> {
        self.outbox.tell(Message::Found(Found {
            token: self.groups.of(parent.device).0,
            key: parent.key(),
            entries: vec![FoundEntry { name: name.to_owned(), is_dir, is_held: false, key: None }],
            audience: Audience::Root(id),
            origin: Origin::Rescan,
        }))
    }

    /// A walk is at its end.
    fn arrive(&mut self, walk: &Walk) -> Result<(), Over> {
        for id in &walk.arms {
            let is_tree = self.roots.get(id).is_some_and(|root| root.order.demand.tree_choice.is_some());
            let by = if is_tree { By::Directories } else { By::Directory };
            self.state(*id, RootState::Armed(by))?;
        }
        Ok(())
    }

    fn state(&mut self, id: RootId, state: RootState) -> Result<(), Over> {
        if let Some((_, waiting)) = &mut self.settling {
            waiting.remove(&id);
        }
        self.outbox.tell(Message::State(id, state))
    }

    fn degrade(&mut self, id: RootId, reason: String) -> Result<(), Over> {
        self.state(id, RootState::Degraded(reason))
    }

    fn settle(&mut self) -> Result<(), Over> {
        match &self.settling {
            Some((number, waiting)) if waiting.is_empty() => {
                let number = *number;
                self.settling = None;
                self.outbox.tell(Message::Settled(number))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes bits away that nobody wants any more.
    fn trim(&mut self, directories: &BTreeSet<PathBuf>) {
        for path in directories {
            let Ok(fd) = place::touch_straight(place::ANYWHERE, path) else { continue };
            let Ok(status) = place::status(fd.as_fd()) else { continue };
            let surplus = plan::EVERYTHING & !self.directory_mask(path);
            let (_, group) = self.groups.of(status.device);
            // Whatever stays is passed over when it is reported.
            group.remove(Subject::Directory, surplus, fd.as_fd(), Path::new(".")).ok();
        }
    }

    /// All that a mark on a directory has to tell.
    fn directory_mask(&self, path: &Path) -> u64 {
        let mut mask = 0;
        if let Some(site) = self.index.site(path) {
            if site.has_passage() {
                mask |= plan::PASSAGE;
            }
            if site.has_way() {
                mask |= plan::WAY;
            }
            for root in site.owners().filter_map(|id| self.roots.get(&id)) {
                mask |= match root.end {
                    Some(Standing::Directory { .. }) => root.order.demand.directory_entry,
                    Some(Standing::File { .. }) => root.order.demand.entry,
                    Some(Standing::Missing | Standing::Degraded) | None => {
                        root.order.demand.entry | root.order.demand.directory_entry
                    }
                };
            }
            for root in site.home().filter_map(|id| self.roots.get(&id)) {
                mask |= root.order.demand.directory;
            }
        }
        for (id, home) in self.index.homes(path) {
            if self.root_enters(id, home, path)
                && let Some(root) = self.roots.get(&id)
            {
                mask |= root.order.demand.tree;
            }
        }
        if !self.groups.has_targets() {
            mask &= !libc::FAN_RENAME;
        }
        mask
    }

    /// Whether a tree of this root reaches into a directory.
    fn root_enters(&self, id: RootId, home: &Path, path: &Path) -> bool {
        let Some(root) = self.roots.get(&id) else { return false };
        let Ok(below) = path.strip_prefix(home) else { return false };
        let below = below.as_os_str().as_bytes();
        root.order.demand.tree_choice.is_some()
            && root.order.rules.iter().any(|rule| matcher::is_entered(&rule.watch, below))
    }

    /// Marks a directory in the group of its file system, which it gets if it needs one of its own.
    fn mark_directory(
        &mut self,
        fd: BorrowedFd<'_>,
        device: u64,
        mask: u64,
        known: impl Fn(Token) -> Known,
    ) -> Result<Result<Token, Errno>, Over> {
        let (token, group) = self.groups.of(device);
        let result = group.add(Subject::Directory, mask, fd, Path::new("."));
        if result != Err(Errno::EXDEV) {
            return Ok(result.map(|()| token));
        }
        let Ok((token, group)) = self.groups.separate(device) else { return Ok(Err(Errno::EMFILE)) };
        self.outbox.tell(Message::Group(token, Arc::clone(&group)))?;
        self.outbox.tell(Message::Known(vec![known(token)]))?;
        Ok(group.add(Subject::Directory, mask, fd, Path::new(".")).map(|()| token))
    }

    fn mark_object(
        &mut self,
        id: RootId,
        parent: &trail::Place,
        name: &Path,
        key: crate::sys::handle::ObjectKey,
        mask: u64,
    ) -> Result<(), Over> {
        let (token, group) = self.groups.of(parent.device);
        self.outbox.tell(Message::Known(vec![Known { token, key, place: KnownPlace::Object(id) }]))?;
        // Without it the parent still tells of the entry; only what the object alone knows is missing.
        group.add(Subject::Entry, mask, parent.fd.as_fd(), name).ok();
        Ok(())
    }

    fn unwatched(&mut self, path: &Path, errno: Errno) {
        log::debug!(path:% = path.display(); "not watched: {}", errno.desc());
    }
}

impl Standing {
    fn of(end: &End) -> Standing {
        match end {
            End::Missing => Standing::Missing,
            End::File { parent, name, .. } => {
                Standing::File { parent: parent.path.clone(), name: name.clone() }
            }
            End::Directory(place) => Standing::Directory { path: place.path.clone(), key: place.key() },
            End::Foreign(_) | End::Refused { .. } => Standing::Degraded,
        }
    }
}
