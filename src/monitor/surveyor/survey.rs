//! Following roots to where they lead, and arming them there.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::inbox::RootOrder;
use super::super::traffic::{Audience, By, Change, Found, FoundEntry, Message, Over, RootState, Trouble};
use super::Surveyor;
use super::marks::trouble;
use super::root::{Part, Root, Standing};
use super::trail::{End, Place, Scout, Trail};
use super::unreadable::Unreadable;
use super::walk::{Purpose, Report, Walk};
use crate::event::Origin;
use crate::matcher::RootId;
use crate::moment::Moment;
use crate::sys::clock;
use crate::sys::handle;
use crate::sys::mounts::Nature;
use crate::sys::place;

/// Roots that are surveyed together: as many descriptors as they pass directories are open at once.
const BATCH_LEN: usize = 64;
/// How often a way that changes while it is followed is followed again before it has to wait.
const TRIES_MAX: u32 = 8;
/// The shortest and the longest time until what cannot be watched is tried again.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// … while what is missing comes back soon.
const PASSING_DELAY_MAX: Duration = Duration::from_secs(4);

impl Surveyor {
    /// Follows the paths of some roots, marks what matters on their ways, and follows them again: what changed in
    /// between, before the marks were there, is seen.
    pub(super) fn survey_batch(&mut self) -> Result<(), Over> {
        let mut batch = Vec::new();
        while let Some(id) = self.dirty.pop_first() {
            batch.push(id);
            if batch.len() == BATCH_LEN {
                break;
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let mounts = self.mounts.clone();
        let realm = self.realm.clone();
        let mut scout = Scout::new(&mounts, realm.as_deref());
        let mut trails = Vec::new();
        let (mut touched, mut left) = (BTreeSet::new(), BTreeSet::new());
        for id in batch {
            self.pulse.beat();
            let Some(root) = self.roots.get_mut(&id).filter(|root| !root.is_graft) else { continue };
            let trail = scout.follow(&root.order.written);
            root.standing = Some(Arc::new(Standing::of(&trail)));
            root.trouble = None;
            root.deafness = None;
            let attachments = self.own_part(&trail);
            touched.extend(attachments.iter().map(|attachment| attachment.directory.clone()));
            let old = self.index.attach(id, attachments.clone());
            left.extend(old.into_iter().map(|attachment| attachment.directory));
            self.outbox.tell(Message::Chart(self.id, id, attachments))?;
            trails.push((id, trail));
        }
        self.pulse.beat();
        self.mark_sites(&mut scout, &touched)?;
        self.trim(&left);
        drop(scout);
        let mut again = Scout::new(&mounts, realm.as_deref());
        for (id, trail) in trails {
            self.pulse.beat();
            let Some(root) = self.roots.get_mut(&id) else { continue };
            let check = again.follow(&root.order.written);
            let is_stable = root.standing.as_deref() == Some(&Standing::of(&check))
                && check.attachments == trail.attachments;
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

    /// What of a trail this surveyor attaches: an annex leaves out the way to its realm, which its chief watches.
    fn own_part(&self, trail: &Trail) -> Vec<crate::matcher::Attachment> {
        let is_own = |directory: &Path| match &self.realm {
            Some(realm) => !realm.starts_with(directory) || realm == directory,
            None => true,
        };
        let mut own: Vec<_> =
            trail.attachments.iter().filter(|attachment| is_own(&attachment.directory)).cloned().collect();
        // It is kept for as long as the root.
        own.shrink_to_fit();
        own
    }

    /// Arms a root where it leads.
    fn conclude(&mut self, id: RootId, trail: Trail) -> Result<(), Over> {
        let Trail { end, link, .. } = trail;
        let link = link.map(Box::new);
        let Some(root) = self.roots.get_mut(&id) else { return Ok(()) };
        let Some(standing) = root.standing.clone() else { return Ok(()) };
        let unreadable = root.unreadable.take();
        let walk = self.asked;
        let passed = root.passed.take();
        let known = match end {
            End::Refused { .. } => None,
            _ => std::mem::replace(&mut root.link, link.clone()),
        };
        let before = match end {
            // What it led to is there for all we know; what happens there meanwhile is looked for when we can.
            End::Refused { .. } => {
                if let Some(path) = root.concluded.as_ref().and_then(|(before, _)| before.path()) {
                    root.blind.get_or_insert_default().add(&path, clock::wall());
                }
                None
            }
            _ => root.concluded.replace((standing.clone(), clock::wall())),
        };
        if root.trouble.is_none() && before.as_ref().is_some_and(|(before, _)| *before != standing) {
            // What is there now is told of as a whole, and seen from here on.
            root.blind = None;
        }
        let report = before.as_ref().and_then(|(before, seen)| {
            let since = standing.is_same_object(before).then_some(*seen);
            let audience = Audience::Root(id);
            (*before != standing).then_some(Report { audience, origin: Origin::Rescan, since, walk })
        });
        let report = report.or_else(|| Some(missed(id, passed?, walk)));
        if !matches!(end, End::Foreign(_)) {
            self.recall(id)?;
        }
        match end {
            End::Missing => {
                self.close_parts(id, Vec::new())?;
                let gone = known.filter(|known| Some(known) != link.as_ref());
                self.report_loss(id, before.map(|(before, _)| before), gone.as_deref())?;
                self.state(id, vec![By::Waiting])
            }
            End::File { parent, name, key } => {
                self.close_parts(id, Vec::new())?;
                let link = link.filter(|link| known.as_ref() != Some(link));
                let report = match (report, link) {
                    (Some(report), Some(link)) => {
                        self.report_link(&link, &parent, Path::new(&name), report)?
                    }
                    (report, _) => report,
                };
                self.conclude_file(id, &parent, Path::new(&name), key, report)
            }
            End::Directory(place) => self.conclude_directory(id, &place, report, unreadable),
            End::Foreign(point) => {
                self.close_parts(id, Vec::new())?;
                let is_new = before.is_some_and(|(before, _)| before != standing);
                self.hand_over(id, &point, is_new)
            }
            End::Refused { at, errno } => {
                self.close_parts(id, Vec::new())?;
                let is_privileged = self.groups.is_privileged();
                self.degrade(id, trouble("follow the path to", &at, errno, is_privileged))
            }
        }
    }

    fn conclude_file(
        &mut self,
        id: RootId,
        parent: &Place,
        name: &Path,
        key: Option<handle::ObjectKey>,
        report: Option<Report>,
    ) -> Result<(), Over> {
        let Some(root) = self.roots.get(&id) else { return Ok(()) };
        let mask = root.order.demand.object;
        self.watch_errors(id, parent)?;
        if let Some(key) = key.filter(|_| mask != 0) {
            self.mark_object(id, parent, name, key, mask)?;
        }
        let path = parent.path.join(name);
        let walk = self.asked;
        let looks = self.roots.get_mut(&id).and_then(|root| root.look_at_blind(&path)).unwrap_or_default();
        let changes = looks.into_iter().map(|(_, since)| missed(id, since, walk)).find(|report| {
            place::status_at(parent.fd.as_fd(), name).is_ok_and(|status| report.includes(status.changed))
        });
        if let Some(report) = report.or(changes) {
            let change = if self.is_held(parent, name) { Change::Held } else { Change::Arrived };
            self.report_entry(parent, name, change, report)?;
        }
        self.state(id, vec![By::Parent])
    }

    fn conclude_directory(
        &mut self,
        id: RootId,
        place: &Place,
        report: Option<Report>,
        unreadable: Option<Box<Unreadable>>,
    ) -> Result<(), Over> {
        self.watch_errors(id, place)?;
        if let (Some(report), Some(name), Some(parent)) =
            (&report, place.path.file_name(), place.path.parent())
            && let Ok(parent) = Scout::new(&self.mounts.clone(), None).directory(parent)
        {
            self.report_entry(&parent, Path::new(name), Change::Directory, report.clone())?;
        }
        let Some(root) = self.roots.get(&id) else { return Ok(()) };
        let demand = root.order.demand;
        let is_first = root.epoch == 0;
        let walk = self.asked;
        let old_parts = root.parts.clone();
        let has_other_rules = root.has_other_rules();
        let parts = self.parts(id, place)?;
        let Some(root) = self.roots.get_mut(&id) else { return Ok(()) };
        root.walked_for.clone_from(&root.order.rules);
        let armed_before = Purpose::Arm(id, root.epoch);
        root.epoch += 1;
        let arms = Purpose::Arm(id, root.epoch);
        let mut walks = Vec::new();
        for part in &parts {
            let is_new = !old_parts.contains(part);
            let report = report.clone().or_else(|| {
                // Something was mounted below the home.
                let audience = Audience::Root(id);
                let report = Report { audience, origin: Origin::Rescan, since: None, walk };
                (is_new && !is_first && part.base != place.path).then_some(report)
            });
            let is_walked =
                part.by == By::Directories || demand.knows_subdirectories && part.base == place.path;
            if report.is_some() || is_walked && (is_new || has_other_rules) {
                walks.push(Walk::new(part.base.clone(), arms.clone(), report));
            }
        }
        // A walk through a part that stays goes on for this survey: the root is not armed before its end.
        let goes_on = |walk: &&mut Walk| {
            walk.purpose == armed_before && parts.iter().any(|part| part.base == walk.base)
        };
        let going_on = self.walks.iter_mut().filter(goes_on).map(|walk| walk.purpose = arms.clone()).count();
        let blind = root.look_at_blind(&place.path).unwrap_or_default();
        let looked = unreadable.map(|all| all.look(&place.path, clock::monotonic(), clock::wall()));
        let (unreadable, rest) = looked.unwrap_or_default();
        root.unreadable = rest.map(Box::new);
        for (path, since) in blind.into_iter().chain(unreadable) {
            walks.push(Walk::new(path, arms.clone(), Some(missed(id, since, walk))));
        }
        root.walks_left = walks.len() + going_on;
        let is_armed = root.walks_left == 0;
        self.replace_parts(id, parts);
        self.walks.extend(walks);
        if is_armed { self.armed(id) } else { Ok(()) }
    }

    /// Where a root's tree lies, and how each part is to be watched.
    fn parts(&mut self, id: RootId, home: &Place) -> Result<Vec<Part>, Over> {
        let Some(root) = self.roots.get(&id) else { return Ok(Vec::new()) };
        if root.order.demand.tree_choice.is_none() {
            return Ok(vec![Part { base: home.path.clone(), mount: home.mount, by: By::Directory }]);
        }
        let by = self.open_part(id, home)?;
        let mut parts = vec![Part { base: home.path.clone(), mount: home.mount, by }];
        let mounts = self.mounts.clone();
        let mut shut: Vec<PathBuf> = Vec::new();
        for mount in mounts.below(&home.path) {
            let is_shut = shut.iter().any(|point| mount.point.starts_with(point));
            let is_entered = self.roots.get(&id).is_some_and(|root| root.enters(&home.path, &mount.point));
            if is_shut || !is_entered {
                continue;
            }
            match mount.nature {
                Nature::Local => {
                    let mut scout = Scout::new(&mounts, self.realm.as_deref());
                    // A mount point that is itself hidden below another mount, or a file, is no part of the tree.
                    let place = match scout.directory(&mount.point) {
                        Ok(place) => place,
                        Err(errno) => {
                            if !place::is_gone(errno) {
                                self.trouble(id, &mount.point, errno, clock::wall());
                            }
                            continue;
                        }
                    };
                    let by = self.open_part(id, &place)?;
                    parts.push(Part { base: place.path.clone(), mount: place.mount, by });
                }
                Nature::Foreign => {
                    shut.push(mount.point.clone());
                    self.graft(id, &home.path, &mount.point)?;
                }
                Nature::Pseudo => shut.push(mount.point.clone()),
            }
        }
        Ok(parts)
    }

    /// Tells of one entry.
    pub(super) fn report_entry(
        &mut self,
        parent: &Place,
        name: &Path,
        change: Change,
        report: Report,
    ) -> Result<(), Over> {
        let key = handle::of(parent.fd.as_fd(), name).ok().map(|handle| handle.on(parent.fsid));
        let (token, _) = self.groups.of(parent.device);
        self.outbox.tell(Message::Found(Found {
            directory: parent.id(token),
            path: parent.path.clone(),
            entries: vec![FoundEntry { name: name.as_os_str().to_owned(), change, key }],
            audience: report.audience,
            origin: report.origin,
            walk: report.walk,
        }))
    }

    /// A root is armed as far as it can be.
    pub(super) fn armed(&mut self, id: RootId) -> Result<(), Over> {
        self.close_old_parts(id)?;
        let Some(root) = self.roots.get(&id) else { return Ok(()) };
        let ways = root.ways();
        self.state(id, ways)?;
        self.tell_unreadable(id)
    }

    /// Tells of directories that may not be read, when they are twice or half as many as were told of, or all may be
    /// read again. They are looked at again later, but where only a part of the tree is watched here.
    pub(super) fn tell_unreadable(&mut self, id: RootId) -> Result<(), Over> {
        let Some(root) = self.roots.get_mut(&id) else { return Ok(()) };
        let one = root.unreadable.as_ref().and_then(|unreadable| unreadable.sum());
        let one = one.map(|(path, count)| (path.to_owned(), count));
        let count = one.as_ref().map_or(0, |(_, count)| *count);
        let told = root.told_unreadable;
        let is_news = match (told, count) {
            (0, 0) => false,
            (0, _) | (_, 0) => true,
            _ => count >= 2 * told || told >= 2 * count,
        };
        if is_news {
            root.told_unreadable = count;
        }
        let is_graft = root.is_graft;
        if count > 0 && !is_graft && !self.retries.contains_key(&id) {
            self.retry_later(id, RETRY_DELAYS.1);
        }
        if is_news { self.outbox.tell(Message::Unreadable(id, one)) } else { Ok(()) }
    }

    /// A walk through trees that are armed is over; what it could not mark or read is told. A root that is being armed
    /// is told of when that is over.
    pub(super) fn tell_troubled(&mut self) -> Result<(), Over> {
        for id in std::mem::take(&mut self.troubled) {
            let Some(root) = self.roots.get(&id) else { continue };
            let is_being_armed = root.walks_left > 0 || self.dirty.contains(&id);
            match root.trouble.clone() {
                _ if is_being_armed => {}
                Some(trouble) => self.degrade(id, trouble)?,
                None => self.tell_unreadable(id)?,
            }
        }
        Ok(())
    }

    /// Tells that a root is watched, unless there was trouble with it.
    pub(super) fn state(&mut self, id: RootId, ways: Vec<By>) -> Result<(), Over> {
        let Some(root) = self.roots.get_mut(&id) else { return Ok(()) };
        if root.trouble.is_none() {
            root.blind = None;
        }
        match (root.trouble.clone(), root.deafness.clone()) {
            (Some(trouble), _) => self.degrade(id, trouble),
            (None, Some(deafness)) => {
                self.retry_later(id, RETRY_DELAYS.1);
                self.tell_state(id, RootState::Deaf(ways, deafness))
            }
            (None, None) => {
                match root.unreadable.as_ref().filter(|unreadable| !unreadable.is_empty()) {
                    Some(_) => self.retry_later(id, RETRY_DELAYS.1),
                    None => drop(self.retries.remove(&id)),
                }
                self.tell_state(id, RootState::Armed(ways))
            }
        }
    }

    /// Tells that a root cannot be watched, and tries again later.
    pub(super) fn degrade(&mut self, id: RootId, trouble: impl Into<Trouble>) -> Result<(), Over> {
        let trouble = trouble.into();
        self.retry_later(id, if trouble.is_passing { PASSING_DELAY_MAX } else { RETRY_DELAYS.1 });
        self.tell_state(id, RootState::Degraded(trouble))
    }

    fn retry_later(&mut self, id: RootId, longest: Duration) {
        let (shortest, _) = RETRY_DELAYS;
        let (_, delay) = self.retries.get(&id).copied().unwrap_or((Moment::default(), Duration::ZERO));
        let delay = (delay * 2).clamp(shortest, longest);
        self.retries.insert(id, (clock::monotonic() + delay, delay));
    }

    pub(super) fn tell_state(&mut self, id: RootId, state: RootState) -> Result<(), Over> {
        if let Some((_, waiting)) = &mut self.settling {
            waiting.remove(&id);
        }
        self.outbox.tell(Message::State(id, state))?;
        if let Some(chief) = &self.chief {
            // After the state itself: once all are known, the chief says so by the same way.
            chief.order(|orders| orders.stated.push(id));
        }
        Ok(())
    }

    /// A root that nobody wants any more leaves nothing behind.
    pub(super) fn drop_root(&mut self, id: RootId) -> Result<(), Over> {
        self.recall(id)?;
        self.close_parts(id, Vec::new())?;
        self.roots.remove(&id);
        self.retries.remove(&id);
        let old = self.index.attach(id, Vec::new());
        self.outbox.tell(Message::Chart(self.id, id, Vec::new()))?;
        let left: BTreeSet<Arc<Path>> = old.into_iter().map(|attachment| attachment.directory).collect();
        self.trim(&left);
        Ok(())
    }

    /// Takes in a root that is new, or wanted by other rules than before.
    pub(super) fn take_root(&mut self, order: RootOrder) {
        let id = order.id;
        match self.roots.get_mut(&id) {
            Some(root) => root.order = order,
            None => drop(self.roots.insert(id, Box::new(Root::new(order)))),
        }
        self.dirty.insert(id);
    }

    pub(super) fn is_held(&self, parent: &Place, name: &Path) -> bool {
        let is_foreign = self.is_foreign(&parent.path);
        !is_foreign
            && place::touch(parent.fd.as_fd(), name).is_ok_and(|place| super::walk::is_held(place.as_fd()))
    }
}

/// A report of what nobody has seen happen since then.
fn missed(id: RootId, since: SystemTime, walk: u64) -> Report {
    Report { audience: Audience::Root(id), origin: Origin::Rescan, since: Some(since), walk }
}
