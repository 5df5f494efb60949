//! Finding by a walk what changed for a rule: after events were lost, by `rescan`, or at start by `catch-up`.
//!
//! What counts as changed: a change time (ctime) since the given time, less a slack, and everything below a directory
//! that has one, for it may have been moved there with all that is in it. The rule's own path is known by its
//! handle, so that a file that came into it does not make everything else in it look changed.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::inbox::RescanOrder;
use super::super::traffic::{Change, Message, Over};
use super::Surveyor;
use super::root::Standing;
use super::trail::Scout;
use super::walk::{Purpose, Report, Walk, audience};
use crate::matcher::RootId;
use crate::sys::place;

/// The rescan under way.
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

impl Surveyor {
    /// Goes on with rescans, when there is nothing to survey.
    pub(super) fn rescan_on(&mut self) -> Result<(), Over> {
        if !self.dirty.is_empty() {
            return Ok(());
        }
        match &mut self.rescan {
            None => {
                let Some(order) = self.rescans.pop_front() else { return Ok(()) };
                // Events may have been lost that told of changes on the way.
                self.dirty.extend(roots_of(&self.roots, &order.rule));
                let annexes = BTreeSet::new();
                self.rescan = Some(Rescan { order, is_begun: false, walks_left: 0, annexes });
                Ok(())
            }
            Some(rescan) if !rescan.is_begun => {
                rescan.is_begun = true;
                let order = rescan.order.clone();
                self.begin(&order)
            }
            Some(rescan) if rescan.walks_left == 0 && rescan.annexes.is_empty() => {
                let order = rescan.order.clone();
                self.rescan = None;
                match &self.chief {
                    Some(chief) => {
                        let point = self.realm.clone().unwrap_or_default();
                        chief.order(|orders| orders.rescanned.push((point, order.number)));
                        Ok(())
                    }
                    None => self.outbox.tell(Message::Rescanned(order.rule, order.number)),
                }
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether something can be done for a rescan at once.
    pub(super) fn has_rescan_to_do(&self) -> bool {
        match &self.rescan {
            None => !self.rescans.is_empty(),
            Some(rescan) => !rescan.is_begun || rescan.walks_left == 0 && rescan.annexes.is_empty(),
        }
    }

    /// A walk of the rescan under way is over.
    pub(super) fn rescan_walked(&mut self) {
        if let Some(rescan) = &mut self.rescan {
            rescan.walks_left = rescan.walks_left.saturating_sub(1);
        }
    }

    /// An annex is through with its part of a rescan, or does not answer.
    pub(super) fn rescan_answered(&mut self, point: &Path, number: Option<u64>) {
        if let Some(rescan) = &mut self.rescan
            && number.is_none_or(|number| number == rescan.order.number)
        {
            rescan.annexes.remove(point);
        }
    }

    fn begin(&mut self, order: &RescanOrder) -> Result<(), Over> {
        let report =
            Report { audience: audience(&order.rule), origin: order.origin, since: Some(order.since) };
        let ids: Vec<RootId> = roots_of(&self.roots, &order.rule).collect();
        let mut walks = 0;
        let annexes = self.forward_rescan(&ids, order);
        for id in ids {
            let Some(root) = self.roots.get(&id) else { continue };
            let bases: Vec<PathBuf> = root.parts.iter().map(|part| part.base.clone()).collect();
            match root.standing.as_deref().cloned() {
                Some(Standing::File { parent: (parent, _), name, .. }) => {
                    self.rescan_entry(&parent, Path::new(&name), &report)?;
                }
                Some(Standing::Directory { path, .. }) => {
                    if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                        self.rescan_entry(parent, Path::new(name), &report)?;
                    }
                    walks += bases.len();
                    self.walks.extend(
                        bases.into_iter().map(|base| Walk::new(base, Purpose::Rescan, Some(report.clone()))),
                    );
                }
                Some(Standing::Missing | Standing::Foreign(_) | Standing::Refused) | None => {
                    // Of a graft only the walk is ours.
                    walks += bases.len();
                    self.walks.extend(
                        bases.into_iter().map(|base| Walk::new(base, Purpose::Rescan, Some(report.clone()))),
                    );
                }
            }
        }
        if let Some(rescan) = &mut self.rescan {
            rescan.walks_left = walks;
            rescan.annexes = annexes;
        }
        Ok(())
    }

    /// Tells of one entry, if it changed.
    fn rescan_entry(&mut self, parent: &Path, name: &Path, report: &Report) -> Result<(), Over> {
        let mounts = Arc::clone(&self.mounts);
        let Ok(parent) = Scout::new(&mounts, None).directory(parent) else { return Ok(()) };
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
