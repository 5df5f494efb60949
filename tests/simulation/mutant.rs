//! Mutants: engines with one fault each, planted from outside. What goes in or comes out of the real engine is
//! tampered with; the oracle has to notice.

use std::path::Path;
use std::sync::Arc;

use facron::engine::{Action, Change, Engine, Input, KeptState, Status};
use facron::event::Event;
use facron::moment::Moment;
use facron::rule::{DaemonSettings, Rule, RuleId, RuleSet};

use crate::oracle::Invariant;
use crate::subject::Subject;

/// One fault.
pub struct Mutation {
    /// What the engine does wrong.
    pub name: &'static str,
    /// What that breaks: at least one of these has to be noticed.
    pub breaks: &'static [Invariant],
    pub rule: fn(&mut Rule),
    pub daemon: fn(&mut DaemonSettings),
    pub input: fn(&mut Memory, Input) -> Vec<Input>,
    pub output: fn(&mut Memory, Vec<Action>) -> Vec<Action>,
    pub deadline: fn(Moment, Option<Moment>) -> Option<Moment>,
    pub status: fn(&mut Status),
    pub running: fn(usize) -> usize,
    pub is_finished: fn(bool) -> bool,
    pub changes: fn(Vec<Change>) -> Vec<Change>,
}

/// No fault: what a mutation does not say.
pub const SOUND: Mutation = Mutation {
    name: "sound",
    breaks: &[],
    rule: |_| {},
    daemon: |_| {},
    input: |_, input| vec![input],
    output: |_, actions| actions,
    deadline: |_, deadline| deadline,
    status: |_| {},
    running: |running| running,
    is_finished: |is_finished| is_finished,
    changes: |changes| changes,
};

/// What a mutation remembers from one input to the next.
pub struct Memory {
    /// How many inputs there were.
    pub inputs: u64,
    /// Whether this is the second of two engines.
    pub is_second: bool,
    /// The rules as the engine has them.
    pub rules: Arc<RuleSet>,
    /// Rules that the world has paused.
    pub paused: Vec<RuleId>,
    /// Runs that are alive.
    pub running: usize,
    /// The last input of a kind that the mutation cares for.
    pub input: Option<Input>,
    /// The last action of a kind that the mutation cares for.
    pub action: Option<Action>,
}

/// The engine with a fault.
pub struct Mutant {
    engine: Engine,
    mutation: &'static Mutation,
    memory: Memory,
    changes: Vec<Change>,
    now: Moment,
}

impl Mutant {
    pub fn new(mutation: &'static Mutation, rules: &RuleSet, is_second: bool) -> Mutant {
        let rules = tampered(mutation, rules);
        let memory = Memory {
            inputs: 0,
            is_second,
            rules: Arc::clone(&rules),
            paused: Vec::new(),
            running: 0,
            input: None,
            action: None,
        };
        Mutant { engine: Engine::new(rules), mutation, memory, changes: Vec::new(), now: Moment::default() }
    }
}

fn tampered(mutation: &Mutation, rules: &RuleSet) -> Arc<RuleSet> {
    let mut rules = rules.clone();
    (mutation.daemon)(&mut rules.daemon);
    for rule in &mut rules.rules {
        let mut tampered = Rule::clone(rule);
        (mutation.rule)(&mut tampered);
        *rule = Arc::new(tampered);
    }
    Arc::new(rules)
}

impl Subject for Mutant {
    fn handle(&mut self, now: Moment, input: Input) -> Vec<Action> {
        self.now = now;
        self.changes.clear();
        self.memory.inputs += 1;
        self.memory.running = self.engine.running();
        let input = match input {
            Input::Reload(rules) => {
                self.memory.paused.clear();
                self.memory.rules = tampered(self.mutation, &rules);
                Input::Reload(Arc::clone(&self.memory.rules))
            }
            input => input,
        };
        let mut actions = Vec::new();
        for input in (self.mutation.input)(&mut self.memory, input) {
            actions.extend(self.engine.handle(now, input));
            self.changes.extend(self.engine.changes().iter().cloned());
        }
        (self.mutation.output)(&mut self.memory, actions)
    }

    fn next_deadline(&self) -> Option<Moment> {
        (self.mutation.deadline)(self.now, self.engine.next_deadline())
    }

    fn status(&self, rule: RuleId) -> Option<Status> {
        let mut status = self.engine.status(rule)?;
        (self.mutation.status)(&mut status);
        Some(status)
    }

    fn running(&self) -> usize {
        (self.mutation.running)(self.engine.running())
    }

    fn is_finished(&self) -> bool {
        (self.mutation.is_finished)(self.engine.is_finished())
    }

    fn is_idle(&self) -> bool {
        self.engine.is_idle()
    }

    fn room(&self, rule: RuleId) -> usize {
        self.engine.room(rule)
    }

    fn changes(&self) -> Vec<Change> {
        (self.mutation.changes)(self.changes.clone())
    }

    fn kept_event(&self, rule: &str, path: &Path) -> Option<Event> {
        self.engine.kept_event(rule, path)
    }

    fn kept_state(&self, rule: &str) -> Option<KeptState> {
        self.engine.kept_state(rule)
    }
}
