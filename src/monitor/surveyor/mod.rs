//! The surveyor: a thread that follows paths, sets marks and walks trees, so that the loop never does.
//!
//! There is a chief for all that answers, and an annex for each file system that may not (`annex.rs`).

mod annex;
mod blind;
mod filesystems;
mod groups;
mod marks;
mod passing;
mod pulse;
mod remount;
mod rescan;
mod root;
mod survey;
mod trail;
mod unreadable;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::fcntl::OFlag;

use self::annex::{Annex, LOOK_INTERVAL};
use self::filesystems::Filesystems;
use self::groups::{Groups, Tokens};
use self::pulse::Pulse;
use self::rescan::Rescan;
use self::root::{Part, Root};
use self::trail::{Place, Scout};
use self::walk::{Purpose, Report, Walk};
use super::inbox::{Entered, Inbox, Left, Look, Orders, RescanOrder, RootOrder};
use super::traffic::{
    Audience, By, CHIEF, Change, Found, FoundEntry, MAIN, Message, Outbox, Over, SurveyorId, Token,
};
use crate::event::Origin;
use crate::matcher::{Index, RootId};
use crate::moment::Moment;
use crate::rule::Identity;
use crate::sys::fanotify::Group;
use crate::sys::listing::Buffer;
use crate::sys::mounts::{MountTable, Mountinfo};
use crate::sys::place::Kind;
use crate::sys::{clock, handle, place, users, wakeup};

/// The thread's state.
#[derive(Debug)]
pub struct Surveyor {
    id: SurveyorId,
    inbox: Arc<Inbox>,
    outbox: Outbox,
    pulse: Arc<Pulse>,
    groups: Groups,
    tokens: Tokens,
    filesystems: Filesystems,
    mountinfo: Mountinfo,
    mounts: Arc<MountTable>,
    /// Whether the mounts changed unreported, or could not be read for want of memory.
    owes_remount: bool,
    /// The mounts that are watched through, each with where it is.
    seen_through: BTreeMap<u64, PathBuf>,
    /// The mounts through which directories of a file system were marked, by its `st_dev`.
    marked_through: BTreeMap<u64, BTreeSet<u64>>,
    index: Index,
    /// Boxed: a map's nodes are half empty.
    roots: BTreeMap<RootId, Box<Root>>,
    dirty: BTreeSet<RootId>,
    walks: VecDeque<Walk>,
    /// What walks read directories into.
    buffer: Buffer,
    rescans: VecDeque<RescanOrder>,
    under_way: Vec<Rescan>,
    /// Roots that a walk could not watch as it should, or not read, since one was told of last.
    troubled: BTreeSet<RootId>,
    /// When roots that could not be watched are tried again, and how long it was until then.
    retries: BTreeMap<RootId, (Moment, Duration)>,
    /// The number of the rule set that is being armed, and its roots that are not.
    settling: Option<(u64, BTreeSet<RootId>)>,
    /// The number of the last order for a walk, and of the last that was told to be carried out.
    asked: u64,
    walked: u64,
    /// Of an annex: where its file system is mounted, and who it works for.
    realm: Option<PathBuf>,
    chief: Option<Arc<Inbox>>,
    annexes: BTreeMap<PathBuf, Annex>,
    last_annex: SurveyorId,
}

impl Surveyor {
    /// A chief that watches nothing yet.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn new(inbox: Arc<Inbox>, outbox: Outbox, main: Arc<Group>) -> io::Result<Surveyor> {
        let mut mountinfo = Mountinfo::open()?;
        let mounts = Arc::new(mountinfo.read()?);
        let tokens = Arc::new(AtomicU32::new(MAIN.0 + 1));
        Ok(Surveyor {
            id: CHIEF,
            inbox,
            outbox,
            pulse: Arc::default(),
            groups: Groups::new((MAIN, main), Arc::clone(&tokens)),
            tokens,
            filesystems: Filesystems::default(),
            mountinfo,
            mounts,
            owes_remount: false,
            seen_through: BTreeMap::new(),
            marked_through: BTreeMap::new(),
            index: Index::default(),
            roots: BTreeMap::new(),
            dirty: BTreeSet::new(),
            walks: VecDeque::new(),
            buffer: Buffer::default(),
            rescans: VecDeque::new(),
            under_way: Vec::new(),
            troubled: BTreeSet::new(),
            retries: BTreeMap::new(),
            settling: None,
            asked: 0,
            walked: 0,
            realm: None,
            chief: None,
            annexes: BTreeMap::new(),
            last_annex: CHIEF,
        })
    }

    /// An annex of this one, with its group.
    fn branch(
        &self,
        id: SurveyorId,
        inbox: &Arc<Inbox>,
        pulse: &Arc<Pulse>,
        realm: &Path,
    ) -> io::Result<(Surveyor, Token, Arc<Group>)> {
        let group = Arc::new(Group::new()?);
        let token = groups::next(&self.tokens);
        let main = (token, Arc::clone(&group));
        let surveyor = Surveyor {
            id,
            pulse: Arc::clone(pulse),
            groups: Groups::new(main, Arc::clone(&self.tokens)),
            tokens: Arc::clone(&self.tokens),
            realm: Some(realm.to_owned()),
            chief: Some(Arc::clone(&self.inbox)),
            ..Surveyor::new(Arc::clone(inbox), self.outbox.clone(), Arc::clone(&group))?
        };
        Ok((surveyor, token, group))
    }

    /// Carries out orders until the monitor is gone.
    pub fn run(mut self) {
        // The loop is gone, or ends this thread: either way there is nobody to tell.
        while let Ok(false) = self.turn() {}
    }

    /// One round; says whether it was the last.
    fn turn(&mut self) -> Result<bool, Over> {
        let is_one_at_work = self.look_after_annexes()?;
        let is_through = self.walks.is_empty() && self.under_way.is_empty();
        if !self.has_work() && is_through && !is_one_at_work && self.walked != self.asked {
            self.walked = self.asked;
            self.outbox.tell(Message::Walked(self.walked))?;
        }
        let timeout = self.timeout(is_one_at_work);
        if timeout != Some(Duration::ZERO) {
            self.pulse.rest();
        }
        // An error here would be for ever: then we look for orders again and again, but not without a pause.
        let (_, is_remounted) = wakeup::wait(self.inbox.wakeup(), self.mountinfo.as_fd(), timeout)
            .unwrap_or_else(|_| {
                std::thread::sleep(LOOK_INTERVAL);
                (true, false)
            });
        self.pulse.beat();
        if is_remounted || self.owes_remount {
            self.remount()?;
        }
        let orders = self.inbox.take();
        if orders.is_over {
            return Ok(true);
        }
        self.accept(orders)?;
        self.retry();
        self.survey_batch()?;
        self.rescan_on()?;
        let next = self.walks.iter().position(|walk| !self.waits(walk));
        if let Some(mut walk) = next.and_then(|next| self.walks.remove(next)) {
            match self.walk_on(&mut walk)? {
                true => self.walked(&walk.purpose)?,
                false => self.walks.push_front(walk),
            }
        }
        self.settle()?;
        Ok(false)
    }

    fn has_work(&self) -> bool {
        !self.dirty.is_empty() || !self.walks.iter().all(|walk| self.waits(walk)) || self.has_rescan_to_do()
    }

    fn timeout(&self, is_one_at_work: bool) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let retry = self.retries.values().map(|(due, _)| due.since(clock::monotonic())).min();
        let look = (is_one_at_work || self.owes_remount).then_some(LOOK_INTERVAL);
        [retry, look].into_iter().flatten().min()
    }

    fn accept(&mut self, mut orders: Orders) -> Result<(), Over> {
        self.asked = self.asked.max(orders.walks);
        if let Some((number, roots)) = orders.roots.take() {
            self.replace_roots(number, roots)?;
        }
        self.forward(&mut orders);
        if orders.resumes {
            // This very order has woken us.
            self.resume_annexes();
        }
        for id in orders.drop {
            self.drop_root(id)?;
        }
        orders.take.into_iter().for_each(|(order, is_new)| self.take_handed_over(order, is_new));
        orders.grafts.into_iter().for_each(|graft| self.take_graft(graft));
        let is_known = |id: &RootId| self.roots.contains_key(id);
        self.dirty.extend(orders.survey.into_iter().filter(is_known));
        for id in orders.passed {
            if let Some(root) = self.roots.get_mut(&id) {
                root.passed.get_or_insert_with(clock::wall);
            }
        }
        orders.entered.into_iter().for_each(|entered| self.enter(entered));
        orders.left.into_iter().for_each(|left| self.leave(&left));
        for look in orders.looks {
            self.look(look)?;
        }
        for order in orders.rescans {
            // A rescan marks what it walks through, which is what this rule asks for.
            let is_of = |id: &RootId| {
                let root = self.roots.get(id);
                root.is_some_and(|root| root.order.rules.iter().all(|rule| rule.name == order.rule))
            };
            orders.repair.retain(|id| !is_of(id));
            self.queue_rescan(order);
        }
        orders.repair.into_iter().for_each(|id| self.repair(id));
        for (point, number) in orders.rescanned {
            self.rescan_answered(&point, Some(number));
        }
        if let Some((_, waiting)) = &mut self.settling {
            waiting.retain(|id| !orders.stated.contains(id));
        }
        Ok(())
    }

    fn replace_roots(&mut self, number: u64, orders: Vec<RootOrder>) -> Result<(), Over> {
        self.find_users(&orders)?;
        let wanted: BTreeSet<RootId> = orders.iter().map(|order| order.id).collect();
        let gone: Vec<RootId> = self.roots.keys().copied().filter(|id| !wanted.contains(id)).collect();
        orders.into_iter().for_each(|order| self.take_root(order));
        for id in gone {
            self.drop_root(id)?;
        }
        self.settling = Some((number, wanted));
        Ok(())
    }

    /// Finds the ids of the users that rules name.
    fn find_users(&self, orders: &[RootOrder]) -> Result<(), Over> {
        let filters = orders.iter().flat_map(|order| &order.rules).map(|rule| &rule.watch.by);
        let named = filters.flat_map(|by| by.user.iter().chain(by.not_user.iter()));
        let names: BTreeSet<&str> = named
            .filter_map(|user| match user {
                Identity::Name(name) => Some(name.as_str()),
                Identity::Id(_) => None,
            })
            .collect();
        let found = names.into_iter().filter_map(|name| {
            let account = users::Account::by_name(name).ok()??;
            Some((name.to_owned(), account.uid))
        });
        let users: HashMap<String, u32> = found.collect();
        if users.is_empty() { Ok(()) } else { self.outbox.tell(Message::Users(users)) }
    }

    fn is_foreign(&self, path: &Path) -> bool {
        self.realm.as_ref().is_some_and(|realm| path.starts_with(realm))
    }

    fn enter(&mut self, entered: Entered) {
        // What is mounted in it moved with it, which the kernel does not report.
        self.owes_remount |= !entered.is_made;
        let base = entered.parent_path.join(&entered.name);
        let is_concerned = self.index.homes(&base).any(|(id, home)| {
            self.roots.get(&id).is_some_and(|root| {
                let by = root.part(&base).map(|part| part.by);
                let is_unseen = by != Some(By::Filesystem) || !entered.is_made;
                root.enters(home, &base) && is_unseen
            })
        });
        let is_known = self.roots.values().any(|root| root.order.demand.knows_subdirectories)
            && self.index.homes(&base).any(|(_, home)| home == entered.parent_path);
        if is_concerned || is_known {
            let walk = self.asked;
            let report = Report { audience: Audience::Everybody, origin: Origin::Event, since: None, walk };
            let walk = Walk::new(base, Purpose::Enter, Some(report)).below(entered.parent);
            self.walks.push_back(walk);
        }
    }

    /// A directory left a place in a tree. Takes the marks from it that nobody wants where it is now, if that can be found
    /// out; if that is in a tree again, it may have come there unseen.
    fn leave(&mut self, left: &Left) {
        let door = place::open_door(place::ANYWHERE, &left.door);
        let found = door.and_then(|door| handle::open(door.as_fd(), left.id.key.as_bytes(), OFlag::O_PATH));
        let Ok(path) = found.and_then(|fd| handle::path_of(fd.as_fd())) else { return };
        let mounts = Arc::clone(&self.mounts);
        // Through a mount of a part of a file system only, what is outside of it has a path that leads elsewhere.
        let is_it = |place: &Place| place.key() == left.id.key && place.mount == left.id.mount;
        if !Scout::new(&mounts, None).directory(&path).is_ok_and(|place| is_it(&place)) {
            return;
        }
        let above = path.parent().and_then(|above| Scout::new(&mounts, None).directory(above).ok());
        let is_in_tree = self.index.homes(&path).any(|(id, home)| {
            self.roots.get(&id).is_some_and(|root| {
                root.enters(home, &path) && root.part(&path).is_some_and(|part| part.by == By::Directories)
            })
        });
        let walk = match above.filter(|_| is_in_tree) {
            Some(above) => {
                let (audience, walk) = (Audience::Everybody, self.asked);
                let report = Report { audience, origin: Origin::Event, since: None, walk };
                Walk::new(path, Purpose::Enter, Some(report)).below(above.id(self.groups.of(above.device).0))
            }
            None => Walk::new(path, Purpose::Trim, None),
        };
        self.walks.push_back(walk);
    }

    /// Looks at an entry of a foreign file system that came and was not written.
    fn look(&mut self, look: Look) -> Result<(), Over> {
        let Ok(status) = place::status_at(place::ANYWHERE, &look.path.join(&look.name)) else {
            return Ok(());
        };
        // A file with one name is being made: its writer's close tells of it.
        let is_there = match status.kind {
            Kind::Link | Kind::Special => true,
            Kind::File => status.links > 1,
            Kind::Directory => false,
        };
        if !is_there {
            return Ok(());
        }
        self.outbox.tell(Message::Found(Found {
            directory: look.directory,
            path: look.path,
            entries: vec![FoundEntry { name: look.name, change: Change::Arrived, key: None }],
            audience: Audience::Everybody,
            origin: Origin::Event,
            walk: self.asked,
        }))
    }

    /// Follows a root again and walks its tree, without a word: what came unseen is marked.
    fn repair(&mut self, id: RootId) {
        let Some(root) = self.roots.get(&id) else { return };
        self.dirty.insert(id);
        let knows = root.order.demand.knows_subdirectories;
        let is_walked = |(number, part): &(usize, &Part)| part.by == By::Directories || knows && *number == 0;
        for (_, part) in root.parts.iter().enumerate().filter(is_walked) {
            self.walks.push_back(Walk::new(part.base.clone(), Purpose::Enter, None));
        }
    }

    fn retry(&mut self) {
        if self.retries.is_empty() {
            return;
        }
        let now = clock::monotonic();
        let due = self.retries.iter().filter(|(_, (due, _))| *due <= now).map(|(id, _)| *id);
        let due: Vec<RootId> = due.collect();
        for id in due {
            if let Some((at, delay)) = self.retries.get_mut(&id) {
                *at = now + *delay * 2;
            }
            if let Some(root) = self.roots.get_mut(&id) {
                if root.trouble.is_some() {
                    // Its tree is walked again too: what could not be marked is tried again.
                    root.walked_for.clear();
                }
                self.dirty.insert(id);
            }
        }
    }

    /// A walk is at its end.
    fn walked(&mut self, purpose: &Purpose) -> Result<(), Over> {
        match purpose {
            Purpose::Arm(id, epoch) => {
                let Some(root) = self.roots.get_mut(id).filter(|root| root.epoch == *epoch) else {
                    return Ok(());
                };
                root.walks_left = root.walks_left.saturating_sub(1);
                match (root.is_graft, root.trouble.clone()) {
                    (true, Some(reason)) => self.degrade(*id, reason),
                    (true, None) => self.tell_unreadable(*id),
                    (false, _) if root.walks_left == 0 => self.armed(*id),
                    (false, _) => Ok(()),
                }
            }
            Purpose::Rescan(number) => {
                self.rescan_walked(*number);
                self.tell_troubled()
            }
            Purpose::Enter => self.tell_troubled(),
            Purpose::Trim => Ok(()),
        }
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
}
