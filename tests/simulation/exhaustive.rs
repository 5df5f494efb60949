//! Small scope, everything: one rule, two paths, six things that can happen, in every order.

use std::collections::VecDeque;
use std::path::PathBuf;

use facron::engine::{Action, Engine, Exit, Input, Report};
use facron::event::{EventMask, RunId};
use facron::moment::Moment;
use facron::rule::RuleId;

use crate::chance::millis;
use crate::lives::number;
use crate::oracle::{Invariant, Oracle, Verdict, hold};
use crate::rules;
use crate::world::event;

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Symbol {
    A,
    B,
    Succeeds,
    Fails,
    Due,
    Later,
}

const ALPHABET: [Symbol; 6] =
    [Symbol::A, Symbol::B, Symbol::Succeeds, Symbol::Fails, Symbol::Due, Symbol::Later];

/// Symbols in a row; `FACRON_LENGTH` asks for more.
const LENGTH: u32 = 5;

/// Inputs after which a sequence has to have come to rest.
const INPUTS_MAX: usize = 200;

const RULES: &[&str] = &[
    "r debounce=4ms max-wait=7ms",
    "r concurrency=2 debounce=2ms batch max-wait=5ms",
    "r on-busy=queue concurrency=2 retries=1 retry-delay=2ms",
    "r on-busy=restart batch debounce=2ms kill-after=3ms",
    "r on-busy=restart concurrency=2 timeout=5ms kill-after=0ms on-failure",
    "r on-busy=skip debounce=2ms edge=leading start-limit=2/6ms",
    "r queue-limit=1 retries=1 retry-delay=3ms concurrency=2",
];

#[test]
fn every_short_life_keeps_every_promise() {
    let length = number("FACRON_LENGTH").map_or(LENGTH, |length| length as u32);
    let all = ALPHABET.len().pow(length);
    std::thread::scope(|scope| {
        for half in [0, 1] {
            scope.spawn(move || {
                for (text, number) in
                    RULES.iter().flat_map(|text| (half..all).step_by(2).map(move |number| (text, number)))
                {
                    let symbols = sequence(number, length);
                    if let Err(violation) = live(text, &symbols) {
                        panic!("`{text}` with {symbols:?} breaks {violation}");
                    }
                }
            });
        }
    });
}

fn sequence(mut number: usize, length: u32) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    for _ in 0..length {
        symbols.push(ALPHABET[number % ALPHABET.len()]);
        number /= ALPHABET.len();
    }
    symbols
}

fn live(text: &str, symbols: &[Symbol]) -> Verdict {
    let rules = rules::parse(text);
    let (engine, oracle) = (Engine::new(rules.clone()), Oracle::new(&rules));
    let mut life = Life { engine, oracle, now: Moment::default(), alive: VecDeque::new(), walks: 0 };
    for symbol in symbols {
        life.play(*symbol)?;
    }
    for _ in 0..INPUTS_MAX {
        if life.engine.is_idle() && life.engine.next_deadline().is_none() {
            return life.oracle.judge_rest();
        }
        life.play(if life.alive.is_empty() { Symbol::Due } else { Symbol::Succeeds })?;
    }
    hold(false, Invariant::Covered, || "it never comes to rest".into())
}

struct Life {
    engine: Engine,
    oracle: Oracle,
    now: Moment,
    alive: VecDeque<RunId>,
    walks: usize,
}

impl Life {
    fn play(&mut self, symbol: Symbol) -> Verdict {
        match symbol {
            Symbol::A => self.touch("a")?,
            Symbol::B => self.touch("b")?,
            Symbol::Succeeds => self.exit(0)?,
            Symbol::Fails => self.exit(1)?,
            Symbol::Due => {
                self.now = self.engine.next_deadline().unwrap_or(self.now);
                self.handle(Input::Tick)?;
            }
            Symbol::Later => {
                self.now = self.now + millis(3);
                self.handle(Input::Tick)?;
            }
        }
        while self.walks > 0 {
            self.walks -= 1;
            self.handle(Input::RescanDone(RuleId(0)))?;
        }
        Ok(())
    }

    fn touch(&mut self, path: &str) -> Verdict {
        let event =
            facron::event::Event { path: PathBuf::from(path).into(), ..event("", EventMask::ARRIVED) };
        self.handle(Input::Event { rule: RuleId(0), event })
    }

    fn exit(&mut self, code: i32) -> Verdict {
        let Some(run) = self.alive.pop_front() else { return Ok(()) };
        self.handle(Input::Exited { run, exit: Exit::Code(code) })
    }

    fn handle(&mut self, input: Input) -> Verdict {
        self.oracle.see(self.now, &input);
        let actions = self.engine.handle(self.now, input);
        self.oracle.judge(&actions, &mut self.engine)?;
        for action in actions {
            match action {
                Action::Spawn(run) => self.alive.push_back(run.id),
                Action::Rescan(_) => self.walks += 1,
                Action::Signal { .. } | Action::Report(Report::Started(_)) | Action::Report(_) => {}
            }
        }
        Ok(())
    }
}
