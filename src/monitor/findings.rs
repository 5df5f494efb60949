//! What surveyors found, until it is told: after what the kernel had reported before, and to a rule that asked for the
//! walk only as far as it has room. The walk then waits too, so that no more of it is kept here than a few messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::traffic::{Audience, Found};
use super::{Monitor, Notice, Now, QUEUE_LEN};
use crate::moment::Moment;
use crate::rule::RuleId;

/// Findings for everybody that wait; beyond that they are told at once, perhaps twice.
const COMMON_MAX: usize = 64;
/// Findings for one rule that wait before its walk has to.
const OWN_MAX: usize = 16;

/// On how many more paths a rule can be told of findings.
pub type Room<'r> = &'r dyn Fn(RuleId) -> usize;

/// The findings, each with how many events had been read by then.
#[derive(Debug, Default)]
pub struct Findings {
    /// Of walks that no rule asked for.
    common: VecDeque<(u64, Found)>,
    /// Of walks that a rule asked for, by its name.
    own: BTreeMap<Arc<str>, Own>,
    /// All walks up to the number behind it are over, which counts once all is told that they found.
    walked: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Own {
    findings: VecDeque<(u64, Finding)>,
    /// Whether the walk was told to wait.
    is_walk_waiting: bool,
}

/// Something that a surveyor tells of the walk that a rule asked for.
#[derive(Debug)]
pub enum Finding {
    /// It found these.
    Found(Found),
    /// It was the rescan of this number, and is over.
    Rescanned(u64),
}

impl Findings {
    /// When some of it can be told, as far as no event comes before it.
    pub fn next_deadline(&self, room: impl Fn(&str) -> usize) -> Option<Moment> {
        let is_due = |(name, own): (&Arc<str>, &Own)| match own.findings.front() {
            Some((_, Finding::Found(_))) => room(name) > 0,
            Some((_, Finding::Rescanned(_))) | None => true,
        };
        (!self.common.is_empty() || self.own.iter().any(is_due)).then(Moment::default)
    }
}

impl Monitor {
    pub(super) fn keep_found(&mut self, found: Found, now: Now, notices: &mut Vec<Notice>) {
        if let Audience::Rule(name) = &found.audience {
            return self.keep_own(&Arc::clone(name), Finding::Found(found));
        }
        self.findings.common.push_back((self.events_read, found));
        while self.findings.common.len() > COMMON_MAX
            && let Some((_, found)) = self.findings.common.pop_front()
        {
            self.world.found(&found, now, notices);
        }
    }

    pub(super) fn keep_walked(&mut self, number: u64) {
        self.findings.walked = Some((self.events_read, number));
    }

    pub(super) fn keep_own(&mut self, rule: &Arc<str>, finding: Finding) {
        let own = self.findings.own.entry(Arc::clone(rule)).or_default();
        own.findings.push_back((self.events_read, finding));
        if own.findings.len() > OWN_MAX && !std::mem::replace(&mut own.is_walk_waiting, true) {
            self.mailbox.gate().close(rule);
        }
    }

    /// Tells what surveyors found, once everything is read that the kernel had reported by then.
    pub(super) fn tell_findings(
        &mut self,
        is_drained: bool,
        now: Now,
        room: Room<'_>,
        notices: &mut Vec<Notice>,
    ) {
        let events_read = self.events_read;
        let is_past = |read_before: u64| is_drained || events_read >= read_before + QUEUE_LEN;
        while let Some((_, found)) = pop_if(&mut self.findings.common, |(before, _)| is_past(*before)) {
            self.world.found(&found, now, notices);
        }
        let rules: Vec<Arc<str>> = self.findings.own.keys().cloned().collect();
        for name in rules {
            let Some(mut own) = self.findings.own.remove(&name) else { continue };
            self.tell_own(&name, &mut own.findings, is_past, now, room, notices);
            if !own.findings.is_empty() {
                self.findings.own.insert(name, own);
            } else if own.is_walk_waiting {
                self.mailbox.gate().open(&name);
                self.inbox.order(|orders| orders.resumes = true);
            }
        }
        let is_all_told = self.findings.common.is_empty() && self.findings.own.is_empty();
        if let Some((_, number)) = self.findings.walked.take_if(|(before, _)| is_all_told && is_past(*before))
        {
            self.world.recent.finish(number);
        }
    }

    fn tell_own(
        &mut self,
        name: &Arc<str>,
        findings: &mut VecDeque<(u64, Finding)>,
        is_past: impl Fn(u64) -> bool,
        now: Now,
        room: Room<'_>,
        notices: &mut Vec<Notice>,
    ) {
        let Some(rule) = self.world.roster.by_name(name) else {
            // It is gone, and nobody waits for its walk.
            return findings.clear();
        };
        let is_of_rule =
            |notice: &&Notice| matches!(notice, Notice::Event { rule: other, .. } if *other == rule);
        let mut left = room(rule).saturating_sub(notices.iter().filter(is_of_rule).count());
        while let Some((read_before, finding)) = pop_if(findings, |(before, finding)| {
            is_past(*before) && (left > 0 || matches!(finding, Finding::Rescanned(_)))
        }) {
            match finding {
                Finding::Rescanned(number) => {
                    if self.asked_rescans.get(name).is_some_and(|asked| *asked <= number) {
                        self.asked_rescans.remove(name);
                        notices.push(Notice::RescanDone { rule });
                    }
                }
                Finding::Found(mut found) => {
                    let rest = found.entries.split_off(left.min(found.entries.len()));
                    let told_before = notices.len();
                    self.world.found(&found, now, notices);
                    left = left.saturating_sub(notices.len() - told_before);
                    if !rest.is_empty() {
                        found.entries = rest;
                        findings.push_front((read_before, Finding::Found(found)));
                    }
                }
            }
        }
    }
}

fn pop_if<T>(queue: &mut VecDeque<T>, is_due: impl FnOnce(&T) -> bool) -> Option<T> {
    queue.front().is_some_and(is_due).then(|| queue.pop_front()).flatten()
}
