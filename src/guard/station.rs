//! The daemon's view of one guarded rule: what its paths lead to, and how far the guard has come with it.
//!
//! ```text
//!             paths found                all marks set                 paths lead elsewhere
//!   (nothing) ───────────► post arriving ─────────────► post active ──────────────────────┐
//!                              ▲                            │ (goes on until the next       │
//!                              └────────────────────────────┴── one is active: no gap) ◄────┘
//! ```

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::notice::GuardNotice;
use super::place::Place;
use super::process::Process;
use super::roster::Roster;
use super::walk::Step;
use super::wire::{Order, POSTS_MAX, PostId};
use crate::escape;
use crate::guardable::{self, Facts};
use crate::rule::Rule;
use crate::sys::mounts::MountTable;
use crate::sys::names::{Change, NameWatcher};

/// Looks at one rule's paths before giving up on their standing still; the next change is told anyway.
const LOOKS_MAX: usize = 4;

/// A rule that asks for permission events.
#[derive(Debug)]
pub struct Station {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The names that its paths go by.
    pub steps: Vec<Step>,
    /// The post that guards.
    pub active: Option<PostId>,
    /// The post that is to take its place.
    pub arriving: Option<PostId>,
    /// Whether the rule is another than that of its posts.
    pub is_changed: bool,
    /// Whether the system was short of what guarding takes, so that trying again may help.
    pub is_short_of_means: bool,
    /// What was said last: guarded, or why not; none: nothing yet.
    pub told: Option<Result<(), String>>,
    obstacles: Vec<String>,
}

impl Station {
    /// A rule that is not guarded yet.
    pub fn new(rule: Arc<Rule>) -> Station {
        Station {
            rule,
            steps: Vec::new(),
            active: None,
            arriving: None,
            is_changed: false,
            is_short_of_means: false,
            told: None,
            obstacles: Vec::new(),
        }
    }

    /// Finds what can be guarded of what the paths lead to, and watches the names that they go by: first watched,
    /// then gone by, so that no change falls in between.
    pub fn look(
        &mut self,
        facts: &Facts<'_>,
        mounts: &MountTable,
        names: &mut NameWatcher,
    ) -> Vec<(Place, OwnedFd)> {
        let Rule { watch, verdict, ending, .. } = &*self.rule;
        let refusals = guardable::rule_refusals(watch, *verdict, ending.timeout);
        if !refusals.is_empty() {
            self.obstacles = refusals.iter().map(ToString::to_string).collect();
            return Vec::new();
        }
        let mut places = self.look_once(facts, mounts);
        for _ in 1..LOOKS_MAX {
            let mut is_new = false;
            for step in &self.steps {
                // A directory that is gone, or a limit that is reached: the rule is guarded all the same, and a
                // change there is found by the next look.
                is_new |= names.watch(&step.directory).unwrap_or(false);
            }
            if !is_new {
                break;
            }
            places = self.look_once(facts, mounts);
        }
        places
    }

    fn look_once(&mut self, facts: &Facts<'_>, mounts: &MountTable) -> Vec<(Place, OwnedFd)> {
        self.steps.clear();
        self.obstacles.clear();
        self.is_short_of_means = false;
        let mut places = Vec::new();
        for path in &self.rule.watch.paths {
            match Place::find(path, facts, mounts, &mut self.steps) {
                Ok(place) => places.push(place),
                Err(obstacle) => {
                    self.is_short_of_means |= obstacle.is_want_of_means();
                    self.obstacles.push(format!("cannot guard {}: {obstacle}", escape::path(path)));
                }
            }
        }
        places
    }

    /// Whether one of the names that the paths go by has changed.
    pub fn is_concerned_by(&self, changes: &[Change]) -> bool {
        let is_on_the_way = |change: &Change| match change {
            Change::Name(directory, name) => {
                self.steps.iter().any(|step| step.directory == *directory && step.name == *name)
            }
            Change::Directory(directory) => self.steps.iter().any(|step| step.directory == *directory),
            Change::Overflow => true,
        };
        changes.iter().any(is_on_the_way)
    }

    /// Has the guard move to these places, if it is not there already. The post before stays until the new one
    /// guards.
    pub fn move_to(&mut self, places: Vec<(Place, OwnedFd)>, roster: &mut Roster, process: &mut Process) {
        let current = self.arriving.or(self.active);
        if !self.is_changed && current.is_some_and(|post| roster.guards(post, &places)) {
            return;
        }
        self.is_changed = false;
        let superseded = self.arriving.take();
        let abandoned = if places.is_empty() { self.active.take() } else { None };
        for post in superseded.into_iter().chain(abandoned) {
            // A guard that is gone shows as the end of the socket.
            let _ = process.say(&Order::Retire { post }, None);
        }
        if !places.is_empty() {
            self.arriving = roster.post(&self.rule, places, process);
            if self.arriving.is_none() {
                (self.is_changed, self.is_short_of_means) = (true, true);
                self.obstacles
                    .push(format!("the guard has no more than {POSTS_MAX} posts, and all are taken"));
            }
        }
    }

    /// Says how the rule is guarded, if that is another than was said before.
    pub fn tell(&mut self, roster: &Roster, notices: &mut Vec<GuardNotice>) {
        if self.arriving.is_some() {
            return;
        }
        let failures = self.active.map_or(&[][..], |post| roster.failures(post));
        let troubles: Vec<&str> = self.obstacles.iter().chain(failures).map(String::as_str).collect();
        let state = if troubles.is_empty() { Ok(()) } else { Err(troubles.join("; ")) };
        self.say(state, notices);
    }

    /// The guard is gone.
    pub fn lose(&mut self, reason: &str, notices: &mut Vec<GuardNotice>) {
        (self.active, self.arriving) = (None, None);
        self.say(Err(reason.to_owned()), notices);
    }

    fn say(&mut self, state: Result<(), String>, notices: &mut Vec<GuardNotice>) {
        if self.told.as_ref() == Some(&state) {
            return;
        }
        let rule = Arc::clone(&self.rule);
        notices.push(match &state {
            Ok(()) => GuardNotice::Armed { rule },
            Err(reason) => GuardNotice::Degraded { rule, reason: reason.clone() },
        });
        self.told = Some(state);
    }
}
