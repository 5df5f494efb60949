//! Annexes: a surveyor of its own for each foreign file system, whose server may be hung and whatever touches it
//! with it. The chief watches the way to its mount point, hands over the roots that lead beyond, and looks whether
//! the annex still gets on; what lies elsewhere is never delayed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::inbox::{Graft, Inbox, Orders, RescanOrder, RootOrder};
use super::super::traffic::{Audience, By, Message, Over, RootState, SurveyorId, Token};
use super::Surveyor;
use super::pulse::Pulse;
use super::root::{Part, Root, Standing};
use super::walk::{Purpose, Report, Walk};
use crate::event::Origin;
use crate::matcher::{Attachment, RootId, What};
use crate::sys::clock;

/// Foreign file systems that are watched at once at most: each takes a thread.
const ANNEXES_MAX: usize = 16;
/// How long one step may take before the file system counts as hung.
const STEP_MAX: Duration = Duration::from_secs(5);
/// How often an annex at work is looked at.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The surveyor of one foreign file system, as its chief sees it.
#[derive(Debug)]
pub struct Annex {
    id: SurveyorId,
    /// Which mount it is there for.
    mount: u64,
    /// The group that tells of what happens there.
    token: Token,
    inbox: Arc<Inbox>,
    pulse: Arc<Pulse>,
    /// The roots that lead there.
    roots: BTreeSet<RootId>,
    /// The roots whose trees reach into it.
    grafts: BTreeSet<RootId>,
    is_hung: bool,
}

impl Surveyor {
    /// Hands a root over to the surveyor of the file system that it leads to.
    /// `is_new`: what is there is told, for it led elsewhere before.
    pub(super) fn hand_over(&mut self, id: RootId, point: &Path, is_new: bool) -> Result<(), Over> {
        if self.chief.is_some() {
            let reason = format!("{} is on a second file system that may not answer", point.display());
            return self.degrade(id, reason);
        }
        if self.annexes.get(point).is_none_or(|annex| !annex.roots.contains(&id)) {
            self.recall(id)?;
        }
        let Some(order) = self.roots.get(&id).map(|root| root.order.clone()) else { return Ok(()) };
        let walks = self.asked;
        match self.annex(point)? {
            Ok(annex) => {
                annex.roots.insert(id);
                annex.ask(|orders| {
                    orders.walks = walks;
                    orders.take.push((order, is_new));
                });
                let is_hung = annex.is_hung;
                if is_hung { self.degrade(id, hung(point)) } else { Ok(()) }
            }
            Err(reason) => self.degrade(id, reason),
        }
    }

    /// As an annex: takes in a root that leads here.
    pub(super) fn take_handed_over(&mut self, order: RootOrder, is_new: bool) {
        let id = order.id;
        self.take_root(order);
        if let Some(root) = self.roots.get_mut(&id)
            && is_new
        {
            root.concluded.get_or_insert_with(|| (Arc::new(Standing::Missing), clock::wall()));
        }
    }

    /// Has the part of a root's tree watched that lies on a foreign file system.
    pub(super) fn graft(&mut self, id: RootId, home: &Path, point: &Path) -> Result<(), Over> {
        let Some(root) = self.roots.get(&id) else { return Ok(()) };
        let is_new =
            root.epoch > 0 && self.annexes.get(point).is_none_or(|annex| !annex.grafts.contains(&id));
        let order = root.order.clone();
        let walks = self.asked;
        let trouble = match self.annex(point)? {
            Ok(annex) => {
                annex.grafts.insert(id);
                let graft = Graft { order, home: home.to_owned(), point: point.to_owned(), is_new };
                annex.ask(|orders| {
                    orders.walks = walks;
                    orders.grafts.push(graft);
                });
                annex.is_hung.then(|| hung(point))
            }
            Err(reason) => Some(reason),
        };
        if let (Some(trouble), Some(root)) = (trouble, self.roots.get_mut(&id)) {
            root.trouble.get_or_insert_with(|| trouble.into());
        }
        Ok(())
    }

    /// Takes a root back from annexes: it does not lead there any more, nor does its tree reach there.
    pub(super) fn recall(&mut self, id: RootId) -> Result<(), Over> {
        for annex in self.annexes.values_mut() {
            if annex.roots.remove(&id) | annex.grafts.remove(&id) {
                annex.ask(|orders| orders.take_back(id));
                // A hung annex could not say it.
                self.outbox.tell(Message::Chart(annex.id, id, Vec::new()))?;
            }
        }
        Ok(())
    }

    /// As an annex: watches the part of a tree that lies here.
    pub(super) fn take_graft(&mut self, graft: Graft) {
        let id = graft.order.id;
        let mut root = Root::new(graft.order);
        root.parts = vec![Part { base: graft.point.clone(), mount: 0, by: By::Directories }];
        root.is_graft = true;
        self.roots.insert(id, Box::new(root));
        self.index.attach(id, vec![Attachment { directory: graft.home.into(), what: What::Home }]);
        let audience = Audience::Root(id);
        let report = Report { audience, origin: Origin::Rescan, since: None, walk: self.asked };
        self.walks.push_back(Walk::new(graft.point, Purpose::Arm(id, 0), graft.is_new.then_some(report)));
    }

    /// Passes orders on to the annexes that they are about.
    pub(super) fn forward(&mut self, orders: &mut Orders) {
        for (point, annex) in &mut self.annexes {
            let mut part = orders.split_off(point);
            part.survey = orders.survey.intersection(&annex.roots).copied().collect();
            part.passed = orders.passed.intersection(&annex.roots).copied().collect();
            let own: BTreeSet<RootId> = annex.roots.union(&annex.grafts).copied().collect();
            part.repair = orders.repair.intersection(&own).copied().collect();
            part.walks = orders.walks;
            if !part.is_empty() {
                annex.ask(|orders| orders.merge(part));
            }
        }
    }

    /// Wakes the annexes: a walk that waited for room may be theirs.
    pub(super) fn resume_annexes(&self) {
        self.annexes.values().for_each(|annex| annex.ask(|orders| orders.resumes = true));
    }

    /// Passes a rescan on to the annexes that have to do with one of these roots; gives those that will answer.
    pub(super) fn forward_rescan(&self, ids: &[RootId], order: &RescanOrder) -> BTreeSet<PathBuf> {
        let has_one =
            |annex: &Annex| ids.iter().any(|id| annex.roots.contains(id) || annex.grafts.contains(id));
        let asked = self.annexes.iter().filter(|(_, annex)| has_one(annex));
        let asked = asked.filter_map(|(point, annex)| {
            // One that is hung does it when it gets on, and nobody waits for that.
            annex.ask(|orders| orders.rescan(order.clone()));
            (!annex.is_hung).then(|| point.clone())
        });
        asked.collect()
    }

    /// Looks whether the annexes get on; says whether one of them is at work.
    pub(super) fn look_after_annexes(&mut self) -> Result<bool, Over> {
        let mut is_one_at_work = false;
        let (mut hung_now, mut recovered) = (Vec::new(), Vec::new());
        for (point, annex) in &mut self.annexes {
            let age = annex.pulse.age();
            let is_hung = age.is_some_and(|age| age > STEP_MAX);
            let was_hung = std::mem::replace(&mut annex.is_hung, is_hung);
            is_one_at_work |= age.is_some();
            if is_hung != was_hung {
                let changed = if is_hung { &mut hung_now } else { &mut recovered };
                changed.push((point.clone(), annex.roots.union(&annex.grafts).copied().collect::<Vec<_>>()));
            }
        }
        for (point, ids) in hung_now {
            self.rescan_answered(&point, None);
            for id in ids {
                self.tell_state(id, RootState::Degraded(hung(&point).into()))?;
            }
        }
        for (_, ids) in recovered {
            self.dirty.extend(ids);
        }
        Ok(is_one_at_work)
    }

    /// Lets annexes go whose file system is not mounted there any more.
    pub(super) fn close_annexes(&mut self) -> Result<(), Over> {
        let mut gone: Vec<PathBuf> = Vec::new();
        for (point, annex) in &self.annexes {
            match super::remount::mount_at(point) {
                Ok(found) if found == Some(annex.mount) => {}
                Ok(_) => gone.push(point.clone()),
                Err(_) => self.owes_remount = true,
            }
        }
        for point in gone {
            let Some(annex) = self.annexes.remove(&point) else { continue };
            self.rescan_answered(&point, None);
            self.outbox.tell(Message::GroupGone(annex.token))?;
            for id in annex.roots.union(&annex.grafts) {
                self.outbox.tell(Message::Chart(annex.id, *id, Vec::new()))?;
                self.dirty.insert(*id);
            }
        }
        Ok(())
    }

    /// The annex for what is mounted there; why there is none.
    fn annex(&mut self, point: &Path) -> Result<Result<&mut Annex, String>, Over> {
        if !self.annexes.contains_key(point) {
            if self.annexes.len() >= ANNEXES_MAX {
                return Ok(Err(format!(
                    "{} is on one more file system that may not answer than the {ANNEXES_MAX} that are watched",
                    point.display()
                )));
            }
            match self.found_annex(point) {
                Ok((annex, token, group)) => {
                    self.outbox.tell(Message::Group(token, group))?;
                    self.annexes.insert(point.to_owned(), annex);
                }
                Err(error) => return Ok(Err(format!("cannot watch {}: {error}", point.display()))),
            }
        }
        Ok(self.annexes.get_mut(point).ok_or_else(|| hung(point)))
    }

    fn found_annex(&mut self, point: &Path) -> std::io::Result<(Annex, Token, Arc<super::Group>)> {
        let id = SurveyorId(self.last_annex.0 + 1);
        let inbox = Arc::new(Inbox::new()?);
        let pulse = Arc::new(Pulse::default());
        let (surveyor, token, group) = self.branch(id, &inbox, &pulse, point)?;
        self.last_annex = id;
        let thread = std::thread::Builder::new().name("annex".to_owned());
        // Nobody waits for its end: it may never come.
        drop(thread.spawn(move || surveyor.run())?);
        let mount = super::remount::mount_at(point).ok().flatten().unwrap_or(0);
        let (roots, grafts) = (BTreeSet::new(), BTreeSet::new());
        Ok((Annex { id, mount, token, inbox, pulse, roots, grafts, is_hung: false }, token, group))
    }
}

impl Annex {
    /// Asks for something, and expects it to be done.
    fn ask(&self, give: impl FnOnce(&mut Orders)) {
        if self.pulse.age().is_none() {
            self.pulse.beat();
        }
        self.inbox.order(give);
    }
}

impl Drop for Annex {
    fn drop(&mut self) {
        self.inbox.order(|orders| orders.is_over = true);
    }
}

fn hung(point: &Path) -> String {
    format!("the file system mounted on {} does not answer", point.display())
}
