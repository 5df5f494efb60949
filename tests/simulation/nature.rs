//! What the world does by itself: files that change, people who reload and pause, children that fail, hang and ignore
//! signals, walks that find something.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use facron::engine::{Exit, Input, Run, StartFailureClass, StopSignal};
use facron::event::{Event, EventMask, Origin, RunId};
use facron::rule::{RuleId, RuleSet};

use crate::chance::{self, millis};
use crate::world::{Child, Happening, PATHS, World, event};

/// What the system may allow in a moment.
const PASSING: [StartFailureClass; 2] = [StartFailureClass::Busy, StartFailureClass::Resources];

/// What stays refused.
const LASTING: [StartFailureClass; 4] = [
    StartFailureClass::Missing,
    StartFailureClass::Containment,
    StartFailureClass::Identity,
    StartFailureClass::Output,
];

/// How long a child may outlive SIGKILL: one in an uninterruptible sleep is not contained by anything.
const LINGERINGS: [u64; 6] = [0, 0, 1, 5, 60, 3_000];

impl World {
    pub(super) fn random_input(&mut self) -> Input {
        if self.rules.rules.is_empty() {
            return self.reload();
        }
        let rule = self.any_rule();
        match self.prng.below(1000) {
            0..900 => Input::Event { rule, event: self.random_event() },
            900..915 => {
                let rules =
                    (0..self.rules.rules.len() as u32).map(RuleId).filter(|_| self.prng.chance(70)).collect();
                Input::Overflow { rules }
            }
            915..930 => {
                self.oracle.sometimes.saw("a paused rule");
                Input::Pause(rule)
            }
            930..955 => Input::Resume(rule),
            955..985 => self.reload(),
            985..990 => Input::Exited { run: RunId(self.last_run.0 + 7), exit: Exit::Code(0) },
            990..995 => Input::RescanDone(RuleId(7)),
            _ => Input::Tick,
        }
    }

    pub(super) fn random_event(&mut self) -> Event {
        let mask = self.prng.pick(&[
            EventMask::ARRIVED,
            EventMask::ARRIVED,
            EventMask::DELETE,
            EventMask::OPEN,
            EventMask::MODIFY,
            EventMask::CLOSE_WRITE,
            EventMask::MODIFY | EventMask::ARRIVED,
        ]);
        let mut event = event(PATHS[self.prng.below(PATHS.len() as u64) as usize], mask);
        event.cause.pid = if self.is_unprivileged { 0 } else { 1 };
        if self.prng.chance(15) && self.last_run.0 > 0 {
            let back = self.prng.below(5.min(self.last_run.0));
            event.cause.run = Some(RunId(self.last_run.0 - back));
        }
        if self.prng.chance(4) {
            event.origin = Origin::Trigger;
        }
        if self.is_unprivileged && self.prng.chance(80) {
            // The few files that a loop goes round.
            event.path = Path::new("a").into();
        }
        event
    }

    pub(super) fn reload(&mut self) -> Input {
        if !self.children.is_empty() {
            self.oracle.sometimes.saw("a reload with runs in flight");
        }
        let rules = if self.prng.chance(15) {
            RuleSet::clone(&self.rules)
        } else {
            chance::reloaded(&mut self.prng, &self.rules)
        };
        self.rules = Arc::new(rules);
        // A walk for a rule that is gone is given up.
        let names: Vec<Arc<str>> = self.rules.rules.iter().map(|rule| Arc::clone(&rule.name)).collect();
        self.agenda.retain(|_, happening| match happening {
            Happening::Finding(name, _) | Happening::WalkDone(name) => names.contains(name),
            Happening::Exit(..) | Happening::Refusal(..) | Happening::Echo => true,
        });
        Input::Reload(Arc::clone(&self.rules))
    }

    pub(super) fn any_rule(&mut self) -> RuleId {
        RuleId(self.prng.below(self.rules.rules.len() as u64) as u32)
    }

    pub(super) fn spawn(&mut self, run: &Run) {
        let id = run.id;
        self.last_run = self.last_run.max(id);
        if self.is_loop && !self.is_ending {
            self.children.insert(id, Child { heeds: true, lingers: Duration::ZERO });
            let (echo, lasts) = (millis(self.prng.below(8)), millis(self.prng.below(6)));
            self.plan(echo, Happening::Echo);
            return self.plan(lasts, Happening::Exit(id, Exit::Code(0)));
        }
        if self.prng.chance(if self.is_ending { 0 } else { 8 }) {
            let is_transient = self.prng.chance(60);
            let class = if is_transient { self.prng.pick(&PASSING) } else { self.prng.pick(&LASTING) };
            if class == StartFailureClass::Containment {
                self.oracle.sometimes.saw("a run that could not be contained");
            }
            let delay = millis(self.prng.pick(&[0, 0, 1, 30]));
            self.plan(delay, Happening::Refusal(id, class, is_transient));
            self.children.insert(id, Child { heeds: true, lingers: Duration::ZERO });
            return;
        }
        let lingers = self.prng.pick(&LINGERINGS);
        let child = Child { heeds: self.prng.chance(70), lingers: millis(lingers) };
        self.children.insert(id, child);
        let exits = [
            Exit::Code(0),
            Exit::Code(0),
            Exit::Code(0),
            Exit::Code(1),
            Exit::Code(2),
            Exit::Signal(libc::SIGSEGV),
        ];
        let exit = if self.is_ending { Exit::Code(0) } else { self.prng.pick(&exits) };
        let lasts = match run.rule.ending.timeout {
            // At the very moment of its timeout.
            Some(timeout) if self.prng.chance(20) => {
                self.oracle.sometimes.saw("a run that ended at the very moment of its timeout");
                timeout
            }
            _ => millis(self.prng.pick(&[0, 1, 3, 10, 30, 100])),
        };
        if self.is_ending && !self.has_stopped || self.prng.chance(85) {
            self.plan(lasts, Happening::Exit(id, exit));
        } else if run.rule.ending.timeout.is_none() {
            // Long, but not for ever: nobody would end it.
            self.plan(millis(400), Happening::Exit(id, exit));
        }
    }

    pub(super) fn signal(&mut self, run: RunId, signal: StopSignal) {
        let Some(child) = self.children.get(&run) else { return };
        let (exit, heeds) = match signal {
            StopSignal::Ask(number) if self.prng.chance(30) => (Exit::Code(number & 1), child.heeds),
            StopSignal::Ask(number) => (Exit::Signal(number), child.heeds),
            StopSignal::Kill => (Exit::Signal(libc::SIGKILL), true),
        };
        let lingers = self.children[&run].lingers;
        if heeds {
            if signal == StopSignal::Kill && lingers > millis(1_000) {
                self.oracle.sometimes.saw("a run that outlived its kill");
            }
            let is_of_run = |happening: &Happening| matches!(happening, Happening::Exit(other, _) | Happening::Refusal(other, ..) if *other == run);
            if self
                .agenda
                .values()
                .any(|happening| matches!(happening, Happening::Refusal(other, ..) if *other == run))
            {
                return;
            }
            self.agenda.retain(|_, happening| !is_of_run(happening));
            self.plan(lingers, Happening::Exit(run, exit));
        }
    }

    pub(super) fn walk(&mut self, rule: RuleId) {
        let Some(name) = self.rules.rules.get(rule.0 as usize).map(|rule| Arc::clone(&rule.name)) else {
            return;
        };
        let findings = if self.is_ending { 1 } else { self.prng.below(4) };
        for _ in 0..findings {
            let delay = millis(self.prng.below(20));
            let path = PathBuf::from(self.prng.pick(&PATHS));
            self.plan(delay, Happening::Finding(Arc::clone(&name), path));
        }
        self.plan(millis(20), Happening::WalkDone(name));
    }
}
