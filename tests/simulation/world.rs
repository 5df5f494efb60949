//! The world around the engine: files that change, children that fail, hang and ignore signals, walks, reloads, and a
//! loop that wakes late.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use facron::engine::{Action, Exit, Input, StartFailure, StartFailureClass};
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::moment::Moment;
use facron::rule::{RuleId, RuleSet};

use crate::chance::{self, millis};
use crate::oracle::{Invariant, Oracle, Verdict, hold};
use crate::prng::Prng;
use crate::sometimes::Sometimes;
use crate::subject::{Make, Subject};

pub const PATHS: [&str; 4] = ["a", "b", "/srv/c", "/srv/deep/d"];

/// One life in so many is a loop.
const LOOP_INTERVAL: u64 = 500;

/// Inputs of a loop.
const ROUNDS: usize = 4000;

/// Inputs after which a life has to have come to rest.
const INPUTS_MAX: usize = 20_000;

/// How a life went.
pub struct Told {
    pub trace: u64,
    pub inputs: u64,
    pub sometimes: Sometimes,
}

/// One life of an engine in a random world.
pub struct World {
    pub(super) prng: Prng,
    pub(super) subject: Box<dyn Subject>,
    pub(super) oracle: Oracle,
    pub(super) rules: Arc<RuleSet>,
    pub(super) now: Moment,
    /// What will happen, in order.
    pub(super) agenda: BTreeMap<(Moment, u64), Happening>,
    pub(super) next: u64,
    pub(super) children: BTreeMap<RunId, Child>,
    pub(super) last_run: RunId,
    /// Whether the kernel names no cause.
    pub(super) is_unprivileged: bool,
    /// Whether each run triggers the next.
    pub(super) is_loop: bool,
    /// Whether everything goes well from here on, so that all comes to rest.
    pub(super) is_ending: bool,
    pub(super) has_stopped: bool,
    /// Whether the oracle judges; else an event that comes late is handed in without a tick before it.
    pub(super) is_judged: bool,
    pub(super) inputs: u64,
    pub(super) trace: u64,
    pub(super) log: Option<Vec<String>>,
}

/// What happens by itself.
#[derive(Clone, Debug)]
pub enum Happening {
    Exit(RunId, Exit),
    Refusal(RunId, StartFailureClass, bool),
    Finding(Arc<str>, PathBuf),
    /// What a run does to the files of its own rule, where the kernel names no cause.
    Echo,
    WalkDone(Arc<str>),
}

/// How a child takes signals.
pub struct Child {
    pub heeds: bool,
    pub lingers: Duration,
}

impl World {
    pub fn new(seed: u64, make: Make, is_logged: bool) -> World {
        let mut prng = Prng::new(seed);
        let is_loop = seed % LOOP_INTERVAL == 7;
        let rules = if is_loop { chance::looping(&mut prng) } else { chance::rule_set(&mut prng) };
        let rules = Arc::new(rules);
        let mut oracle = Oracle::new(&rules);
        let starts =
            [Duration::ZERO, Duration::from_secs(1_000_000), Duration::MAX - Duration::from_secs(86_400_000)];
        let start = prng.pick(&starts);
        if start > Duration::from_secs(1_000_000) {
            oracle.sometimes.saw("a clock far from its start");
        }
        World {
            is_unprivileged: is_loop || prng.chance(20),
            is_loop,
            prng,
            subject: make(Arc::clone(&rules)),
            oracle,
            rules,
            now: Moment::since_start(start),
            agenda: BTreeMap::new(),
            next: 0,
            children: BTreeMap::new(),
            last_run: RunId(0),
            is_ending: false,
            has_stopped: false,
            is_judged: true,
            inputs: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            log: is_logged.then(Vec::new),
        }
    }

    /// A life that ends with time itself.
    pub fn at_the_end_of_time(seed: u64, make: Make) -> World {
        let now = Moment::since_start(Duration::MAX - millis(300));
        World { now, is_judged: false, ..World::new(seed, make, false) }
    }

    /// So many things happen, whatever comes of it.
    pub fn go_on(&mut self, steps: usize) -> Verdict {
        (0..steps).try_for_each(|_| self.step().map(drop))
    }

    /// The same life as a loop leads it that hands in events before it looks at the clock.
    pub fn without_ticks(self) -> World {
        World { is_judged: false, ..self }
    }

    /// Lives until everything has come to rest.
    pub fn live(&mut self) -> Verdict {
        let rules = Input::Reload(Arc::clone(&self.rules));
        self.note(|| crate::tell::input(&rules));
        self.handle(Input::Tick)?;
        if self.is_loop {
            return self.go_round();
        }
        if self.prng.chance(15) && !self.rules.rules.is_empty() {
            self.oracle.sometimes.saw("something from an earlier life");
            let events = PATHS[..2].iter().map(|path| event(path, EventMask::ARRIVED)).collect();
            let (rule, owes_rescan) = (self.any_rule(), self.prng.chance(30));
            self.handle(Input::Restore { rule, events, owes_rescan })?;
        }
        let mut inputs_left = 20 + self.prng.below(130);
        while inputs_left > 0 {
            if self.step()? {
                inputs_left -= 1;
            }
        }
        self.end()
    }

    /// A loop, and now and then something from outside.
    fn go_round(&mut self) -> Verdict {
        self.plan(Duration::ZERO, Happening::Echo);
        for _ in 0..ROUNDS {
            if self.agenda.is_empty() && self.subject.next_deadline().is_none() || self.prng.below(900) == 0 {
                self.plan(millis(60), Happening::Echo);
            }
            self.wait()?;
        }
        self.end()
    }

    pub fn told(self) -> Told {
        Told { trace: self.trace, inputs: self.inputs, sometimes: self.oracle.sometimes }
    }

    /// The last lines of what happened.
    pub fn log(&self) -> String {
        let log = self.log.as_deref().unwrap_or_default();
        log[log.len().saturating_sub(400)..].join("\n")
    }

    /// The next thing happens; whether it came from outside.
    fn step(&mut self) -> Result<bool, crate::oracle::Violation> {
        let outside = self.now + millis(self.prng.pick(&[0, 0, 0, 1, 2, 5, 15, 40, 200]));
        let happening = self.agenda.keys().next().map(|(moment, _)| *moment);
        let deadline = self.subject.next_deadline().map(|deadline| self.lateness(deadline));
        if happening
            .is_some_and(|moment| moment <= outside && deadline.is_none_or(|deadline| moment <= deadline))
        {
            return self.happen().map(|()| false);
        }
        if let Some(deadline) = deadline.filter(|deadline| *deadline <= outside) {
            self.now = self.now.max(deadline);
            return self.handle(Input::Tick).map(|()| false);
        }
        self.now = outside;
        let input = self.random_input();
        self.handle(input).map(|()| true)
    }

    /// The loop is woken when it asks to be, or later.
    fn lateness(&mut self, deadline: Moment) -> Moment {
        if self.prng.chance(90) {
            return deadline;
        }
        self.oracle.sometimes.saw("woken late");
        deadline + millis(self.prng.pick(&[1, 3, 20, 80]))
    }

    fn happen(&mut self) -> Verdict {
        let ((moment, _), happening) = self.agenda.pop_first().expect("the caller saw it");
        self.now = self.now.max(moment);
        match happening {
            Happening::Exit(run, exit) => {
                self.children.remove(&run);
                self.handle(Input::Exited { run, exit })
            }
            Happening::Refusal(run, class, is_transient) => {
                self.children.remove(&run);
                let failure = StartFailure { class, message: "cannot".into(), is_transient };
                self.handle(Input::SpawnFailed { run, failure })
            }
            Happening::Finding(name, path) => match self.rule(&name) {
                Some(rule)
                    if self.prng.chance(80) && self.subject.room(rule) == 0 && !self.is_paused(rule) =>
                {
                    self.oracle.sometimes.saw("a walk that waited for room");
                    self.plan(millis(5), Happening::Finding(name, path));
                    Ok(())
                }
                Some(rule) => {
                    let event =
                        Event { origin: Origin::Rescan, path: path.into(), ..event("", EventMask::ARRIVED) };
                    self.handle(Input::Event { rule, event })
                }
                None => Ok(()),
            },
            Happening::Echo => {
                let input = Input::Event { rule: RuleId(0), event: event("a", EventMask::ARRIVED) };
                self.handle(input)
            }
            Happening::WalkDone(name) => {
                let is_waiting = |happening: &Happening| matches!(happening, Happening::Finding(other, _) if *other == name);
                if self.agenda.values().any(is_waiting) {
                    self.plan(millis(5), Happening::WalkDone(name));
                    return Ok(());
                }
                self.rule(&name).map_or(Ok(()), |rule| self.handle(Input::RescanDone(rule)))
            }
        }
    }

    /// From here on everything goes well; at rest, or after a stop, nothing may be left.
    fn end(&mut self) -> Verdict {
        self.is_ending = true;
        if self.prng.chance(40) {
            return self.shut_down();
        }
        for rule in 0..self.rules.rules.len() as u32 {
            self.handle(Input::Resume(RuleId(rule)))?;
        }
        for _ in 0..INPUTS_MAX {
            let is_quiet = self.agenda.is_empty() && self.children.is_empty();
            if is_quiet && self.subject.next_deadline().is_none() {
                hold(self.subject.is_idle(), Invariant::Covered, || "at rest, but not idle".into())?;
                return if self.is_judged { self.oracle.judge_rest() } else { Ok(()) };
            }
            self.wait()?;
        }
        hold(false, Invariant::Covered, || "it never comes to rest".into())
    }

    fn shut_down(&mut self) -> Verdict {
        self.has_stopped = true;
        if !self.children.is_empty() {
            self.oracle.sometimes.saw("a stop with runs in flight");
        }
        let stop = if self.prng.chance(30) { Input::StopNow } else { Input::Stop };
        self.handle(stop)?;
        for _ in 0..INPUTS_MAX {
            if self.subject.is_finished() {
                return hold(self.children.is_empty(), Invariant::Finished, || {
                    "a run outlives the daemon".into()
                });
            }
            match self.prng.below(20) {
                0 => self.handle(Input::StopNow)?,
                1 if !self.rules.rules.is_empty() => {
                    let input = Input::Event { rule: self.any_rule(), event: self.random_event() };
                    self.handle(input)?;
                }
                2 => {
                    let input = self.reload();
                    self.handle(input)?;
                }
                _ => self.wait()?,
            }
        }
        hold(false, Invariant::Finished, || "it never finishes".into())
    }

    /// Nothing from outside: the next thing that happens by itself.
    fn wait(&mut self) -> Verdict {
        let happening = self.agenda.keys().next().map(|(moment, _)| *moment);
        let deadline = self.subject.next_deadline();
        match (happening, deadline) {
            (Some(moment), deadline) if deadline.is_none_or(|deadline| moment <= deadline) => self.happen(),
            (_, Some(deadline)) => {
                self.now = self.now.max(deadline);
                self.handle(Input::Tick)
            }
            (_, None) => {
                hold(false, Invariant::Armed, || "something is alive, but nothing will happen".into())
            }
        }
    }

    fn handle(&mut self, input: Input) -> Verdict {
        // A loop that wakes late may find an event before it has ticked. To the engine that is the same, as a test of
        // its own shows; the oracle sees the two apart.
        let is_late = self.subject.next_deadline().is_some_and(|deadline| deadline <= self.now);
        if is_late && self.is_judged && matches!(input, Input::Event { .. }) {
            self.handle_one(Input::Tick)?;
        }
        self.handle_one(input)
    }

    fn handle_one(&mut self, input: Input) -> Verdict {
        self.inputs += 1;
        self.note(|| format!("{:>8} > {}", "", crate::tell::input(&input)));
        if self.is_judged {
            self.oracle.see(self.now, &input);
        }
        let actions = self.subject.handle(self.now, input);
        for action in &actions {
            self.hash(&crate::tell::action(action));
            self.note(|| format!("{:>8}   {}", "", crate::tell::action(action)));
        }
        if self.is_judged {
            self.oracle.judge(&actions, &mut *self.subject)?;
        }
        for action in actions {
            self.carry_out(action);
        }
        Ok(())
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Spawn(run) => self.spawn(&run),
            Action::Signal { run, signal } => self.signal(run, signal),
            Action::Rescan(rule) => self.walk(rule),
            Action::Report(_) => {}
        }
    }

    pub(super) fn plan(&mut self, delay: Duration, happening: Happening) {
        self.next += 1;
        self.agenda.insert((self.now + delay, self.next), happening);
    }

    fn rule(&self, name: &str) -> Option<RuleId> {
        self.rules.iter().find(|(_, rule)| *rule.name == *name).map(|(id, _)| id)
    }

    fn is_paused(&self, rule: RuleId) -> bool {
        self.subject.status(rule).is_some_and(|status| status.is_paused)
    }

    fn hash(&mut self, line: &str) {
        for byte in line.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{:?}{}", now.elapsed(), line()));
        }
    }
}

/// An event that has nothing special.
pub fn event(path: &str, mask: EventMask) -> Event {
    Event {
        mask,
        path: PathBuf::from(path).into(),
        old_path: None,
        is_dir: false,
        cause: Cause::default(),
        time: SystemTime::UNIX_EPOCH,
        origin: Origin::Event,
        object: None,
    }
}
