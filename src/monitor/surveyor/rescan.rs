//! Finding by a walk what changed for a rule: after events were lost, by `rescan`, or at start by `catch-up`.
//!
//! What counts as changed: a change time (ctime) since the given time, less a slack, and everything below a directory
//! that has one, for it may have been moved there with all that is in it. The rule's own path is known by its
//! handle, so that a file that came into it does not make everything else in it look changed.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::super::inbox::RescanOrder;
use super::super::traffic::{Change, Message, Over};
use super::Surveyor;
use super::root::Standing;
use super::trail::Scout;
use super::walk::{Purpose, Report, Walk, audience};
use crate::matcher::RootId;
use crate::sys::place;

/// A rescan under way. There is one at a time, and others beside those that wait for room (see `Gate`).
#[derive(Debug)]
pub struct Rescan {
    order: RescanOrder,
    /// Whether its walks were begun: the ways to its roots are followed before.
    is_begun: bool,
    /// Walks that are not over.
    walks_left: usize,
    /// Annexes that are not through with their part.
    annexes: BTreeSet<PathBuf>,
}

/// Rescans under way at once, however many wait for room.
const UNDER_WAY_MAX: usize = 16;

impl Rescan {
    fn is_over(&self) -> bool {
        self.is_begun && self.walks_left == 0 && self.annexes.is_empty()
    }
}

impl Surveyor {
    /// Goes on with rescans, when there is nothing to survey.
    pub(super) fn rescan_on(&mut self) -> Result<(), Over> {
        if !self.dirty.is_empty() {
            return Ok(());
        }
        if let Some(over) = self.under_way.iter().position(Rescan::is_over) {
            let order = self.under_way.swap_remove(over).order;
            return match &self.chief {
                Some(chief) => {
                    let point = self.realm.clone().unwrap_or_default();
                    chief.order(|orders| orders.rescanned.push((point, order.number)));
                    Ok(())
                }
                None => self.outbox.tell(Message::Rescanned(order.rule, order.number)),
            };
        }
        if let Some(rescan) = self.under_way.iter_mut().find(|rescan| !rescan.is_begun) {
            rescan.is_begun = true;
            let order = rescan.order.clone();
            return self.begin(&order);
        }
        if let Some(next) = self.next_rescan()
            && let Some(order) = self.rescans.remove(next)
        {
            // Events may have been lost that told of changes on the way.
            self.dirty.extend(roots_of(&self.roots, &order.rule));
            let annexes = BTreeSet::new();
            self.under_way.push(Rescan { order, is_begun: false, walks_left: 0, annexes });
        }
        Ok(())
    }

    /// Takes in a rescan; one for the same rule that has not begun becomes one with it.
    pub(super) fn queue_rescan(&mut self, order: RescanOrder) {
        match self.rescans.iter_mut().find(|other| other.rule == order.rule) {
            Some(other) => other.join(order),
            None => self.rescans.push_back(order),
        }
    }

    /// Whether something can be done for a rescan at once.
    pub(super) fn has_rescan_to_do(&self) -> bool {
        self.under_way.iter().any(|rescan| !rescan.is_begun || rescan.is_over())
            || self.next_rescan().is_some()
    }

    /// The rescan that can be begun: the first, once those under way all wait for room, and its rule is none of them.
    fn next_rescan(&self) -> Option<usize> {
        let waits = |rule: &Arc<str>| self.outbox.gate().is_closed(rule);
        let is_free = self.under_way.len() < UNDER_WAY_MAX
            && self.under_way.iter().all(|rescan| waits(&rescan.order.rule));
        self.rescans.iter().position(|order| !waits(&order.rule)).filter(|_| is_free)
    }

    /// A walk of a rescan is over.
    pub(super) fn rescan_walked(&mut self, number: u64) {
        for rescan in self.under_way.iter_mut().filter(|rescan| rescan.order.number == number) {
            rescan.walks_left = rescan.walks_left.saturating_sub(1);
        }
    }

    /// An annex is through with its part of a rescan, or, without its number, does not answer for any.
    pub(super) fn rescan_answered(&mut self, point: &Path, number: Option<u64>) {
        let is_meant = |rescan: &&mut Rescan| number.is_none_or(|number| number == rescan.order.number);
        for rescan in self.under_way.iter_mut().filter(is_meant) {
            rescan.annexes.remove(point);
        }
    }

    fn begin(&mut self, order: &RescanOrder) -> Result<(), Over> {
        let audience = audience(&order.rule);
        let report = Report { audience, origin: order.origin, since: Some(order.since), walk: order.walk };
        let ids: Vec<RootId> = roots_of(&self.roots, &order.rule).collect();
        let purpose = Purpose::Rescan(order.number);
        let mut walks = 0;
        let annexes = self.forward_rescan(&ids, order);
        for id in ids {
            let Some(root) = self.roots.get(&id) else { continue };
            let bases: Vec<PathBuf> = root.parts.iter().map(|part| part.base.clone()).collect();
            match root.standing.as_deref().cloned() {
                Some(Standing::File { parent: (parent, _), name, link, .. }) => {
                    self.rescan_entry(id, &parent, Path::new(&name), &report)?;
                    if let Some(link) = link {
                        self.rescan_entry(id, &link.parent.0, Path::new(&link.name), &report)?;
                    }
                }
                Some(Standing::Directory { path, .. }) => {
                    if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                        self.rescan_entry(id, parent, Path::new(name), &report)?;
                    }
                    walks += bases.len();
                    self.walks.extend(
                        bases.into_iter().map(|base| Walk::new(base, purpose.clone(), Some(report.clone()))),
                    );
                }
                Some(Standing::Missing | Standing::Foreign(_) | Standing::Refused) | None => {
                    // Of a graft only the walk is ours.
                    walks += bases.len();
                    self.walks.extend(
                        bases.into_iter().map(|base| Walk::new(base, purpose.clone(), Some(report.clone()))),
                    );
                }
            }
        }
        if let Some(rescan) = self.under_way.iter_mut().find(|rescan| rescan.order.number == order.number) {
            rescan.walks_left = walks;
            rescan.annexes = annexes;
        }
        Ok(())
    }

    /// Tells of one entry, if it changed.
    fn rescan_entry(&mut self, id: RootId, parent: &Path, name: &Path, report: &Report) -> Result<(), Over> {
        let mounts = Arc::clone(&self.mounts);
        let parent = match Scout::new(&mounts, None).directory(parent) {
            Ok(parent) => parent,
            Err(errno) => {
                if !place::is_gone(errno) {
                    let since = report.since.unwrap_or(SystemTime::UNIX_EPOCH);
                    self.trouble(id, &parent.join(name), errno, since);
                }
                return Ok(());
            }
        };
        let Ok(status) = place::status_at(parent.fd.as_fd(), name) else { return Ok(()) };
        if !report.includes(status.changed) {
            return Ok(());
        }
        let change = match status.kind {
            place::Kind::Directory => Change::Directory,
            _ if self.is_held(&parent, name) => Change::Held,
            _ => Change::Arrived,
        };
        self.report_entry(&parent, name, change, report.clone())
    }
}

fn roots_of<'r>(
    roots: &'r std::collections::BTreeMap<RootId, Box<super::root::Root>>,
    rule: &'r Arc<str>,
) -> impl Iterator<Item = RootId> + 'r {
    let roots = roots.values().filter(|root| root.order.rules.iter().any(|other| other.name == *rule));
    roots.map(|root| root.order.id)
}
