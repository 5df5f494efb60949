//! What is judged: the engine, or a mutant of it.

use std::path::Path;
use std::sync::Arc;

use facron::engine::{Action, Change, Engine, Input, KeptState, Status};
use facron::event::Event;
use facron::moment::Moment;
use facron::rule::{RuleId, RuleSet};

/// The engine as the daemon sees it.
pub trait Subject {
    fn handle(&mut self, now: Moment, input: Input) -> Vec<Action>;
    fn next_deadline(&self) -> Option<Moment>;
    fn status(&self, rule: RuleId) -> Option<Status>;
    fn running(&self) -> usize;
    fn is_finished(&self) -> bool;
    fn is_idle(&self) -> bool;
    fn room(&self, rule: RuleId) -> usize;
    fn changes(&self) -> Vec<Change>;
    fn kept_event(&self, rule: &str, path: &Path) -> Option<Event>;
    fn kept_state(&self, rule: &str) -> Option<KeptState>;
}

/// Makes what is to be judged.
pub type Make<'a> = &'a dyn Fn(Arc<RuleSet>) -> Box<dyn Subject>;

/// The engine itself.
pub fn engine(rules: Arc<RuleSet>) -> Box<dyn Subject> {
    Box::new(Engine::new(rules))
}

impl Subject for Engine {
    fn handle(&mut self, now: Moment, input: Input) -> Vec<Action> {
        Engine::handle(self, now, input)
    }

    fn next_deadline(&self) -> Option<Moment> {
        Engine::next_deadline(self)
    }

    fn status(&self, rule: RuleId) -> Option<Status> {
        Engine::status(self, rule)
    }

    fn running(&self) -> usize {
        Engine::running(self)
    }

    fn is_finished(&self) -> bool {
        Engine::is_finished(self)
    }

    fn is_idle(&self) -> bool {
        Engine::is_idle(self)
    }

    fn room(&self, rule: RuleId) -> usize {
        Engine::room(self, rule)
    }

    fn changes(&self) -> Vec<Change> {
        Engine::changes(self).to_vec()
    }

    fn kept_event(&self, rule: &str, path: &Path) -> Option<Event> {
        Engine::kept_event(self, rule, path)
    }

    fn kept_state(&self, rule: &str) -> Option<KeptState> {
        Engine::kept_state(self, rule)
    }
}
