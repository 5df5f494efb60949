//! The stage: a script goes in, what the engine does comes out as a trace, one line an occurrence.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use facron::engine::{
    Action, Engine, Exit, Input, Outcome, Purpose, Report, Run, START_FAILURES, StartFailure, StopSignal,
    Then,
};
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::moment::Moment;
use facron::rule::{RuleId, RuleSet};
use facron::signal;

use crate::rules;

/// Times that a story may be woken after its last line: it has to come to rest.
const TICKS_MAX: usize = 10_000;

/// Plays `script` with the first of `acts` as rules (the others are for `reload N`), and compares the trace.
#[track_caller]
pub fn check(acts: &[&str], script: &str, expected: &str) {
    let mut stage = Stage::new(acts);
    for line in lines(script) {
        let (time, line) = line.split_once(' ').expect("a time and a verb");
        stage.wait_until(millis(time.parse().expect("milliseconds")));
        stage.play(line);
    }
    stage.come_to_rest();
    let expected: Vec<String> = lines(expected).map(normal).collect();
    if stage.trace != expected {
        let trace = stage.trace.join("\n    ");
        panic!("the trace is\n    {trace}\nbut the story says\n    {}", expected.join("\n    "));
    }
}

struct Stage {
    acts: Vec<Arc<RuleSet>>,
    rules: Arc<RuleSet>,
    engine: Engine,
    now: Moment,
    trace: Vec<String>,
}

impl Stage {
    fn new(acts: &[&str]) -> Stage {
        let acts: Vec<_> = acts.iter().map(|text| rules::parse(text)).collect();
        let rules = Arc::clone(&acts[0]);
        Stage {
            engine: Engine::new(Arc::clone(&rules)),
            rules,
            acts,
            now: Moment::default(),
            trace: Vec::new(),
        }
    }

    /// Wakes the engine whenever it asks to be woken before this moment.
    fn wait_until(&mut self, moment: Moment) {
        while let Some(deadline) = self.engine.next_deadline().filter(|deadline| *deadline < moment) {
            self.now = deadline;
            self.handle(Input::Tick);
        }
        self.now = moment;
    }

    fn come_to_rest(&mut self) {
        for _ in 0..TICKS_MAX {
            let Some(deadline) = self.engine.next_deadline() else { return };
            self.now = deadline;
            self.handle(Input::Tick);
        }
        panic!("the story does not come to rest:\n{}", self.trace.join("\n"));
    }

    fn play(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["event", rule, ref rest @ ..] => self.event(rule, rest),
            ["exit", run, code] => {
                let exit = signal::number(code)
                    .map_or_else(|| Exit::Code(code.parse().expect("a code")), Exit::Signal);
                self.handle(Input::Exited { run: run_id(run), exit });
            }
            ["fail", run, class, ref flags @ ..] => {
                let class = START_FAILURES.iter().find(|(word, ..)| *word == class).expect("a class").1;
                let is_transient = flags == ["transient"];
                let failure = StartFailure { class, message: "cannot".into(), is_transient };
                self.handle(Input::SpawnFailed { run: run_id(run), failure });
            }
            ["tick"] => self.handle(Input::Tick),
            ["pause", rule] => self.handle(Input::Pause(self.rule(rule))),
            ["resume", rule] => self.handle(Input::Resume(self.rule(rule))),
            ["rescanned", rule] => self.handle(Input::RescanDone(self.rule(rule))),
            ["overflow", ref rules @ ..] => {
                let rules = rules.iter().map(|rule| self.rule(rule)).collect();
                self.handle(Input::Overflow { rules });
            }
            ["reload", act] => {
                self.rules = Arc::clone(&self.acts[act.parse::<usize>().expect("an act")]);
                self.handle(Input::Reload(Arc::clone(&self.rules)));
            }
            ["restore", rule, paths, ref flags @ ..] => {
                let events = paths.split(',').map(|path| event(path, EventMask::ARRIVED)).collect();
                let owes_rescan = flags == ["owes"];
                self.handle(Input::Restore { rule: self.rule(rule), events, owes_rescan });
            }
            ["stop"] => self.handle(Input::Stop),
            ["stop-now"] => self.handle(Input::StopNow),
            ["status", rule] => self.status(rule),
            ["kept", rule] => self.kept(rule),
            _ => panic!("no such line: {line}"),
        }
    }

    /// `event RULE PATH [by=RUN] [pid=N] [from=PATH] [trigger|rescan] [EVENTS]`
    fn event(&mut self, rule: &str, words: &[&str]) {
        let mut event = event(words[0], EventMask::ARRIVED);
        event.cause.pid = 1;
        for word in &words[1..] {
            match word.split_once('=') {
                Some(("by", run)) => event.cause.run = Some(run_id(run)),
                Some(("pid", pid)) => event.cause.pid = pid.parse().expect("a pid"),
                Some(("from", path)) => event.old_path = Some(PathBuf::from(path)),
                _ if *word == "trigger" => event.origin = Origin::Trigger,
                _ if *word == "rescan" => event.origin = Origin::Rescan,
                _ => event.mask = rules::mask(word, ','),
            }
        }
        let rule = self.rule(rule);
        self.handle(Input::Event { rule, event });
    }

    fn status(&mut self, rule: &str) {
        let status = self.engine.status(self.rule(rule)).expect("a rule");
        let counters = &status.counters;
        let (matched, covered, dropped) = (counters.matched, counters.covered, counters.dropped_in_all());
        let waiting = status.waiting;
        assert_eq!(matched, covered + dropped + waiting, "the counters of {rule} add up");
        let (ok, failed, stopped) = (counters.ok, counters.failed, counters.stopped);
        self.say(format!("{rule} matched={matched} covered={covered} dropped={dropped} waiting={waiting} ok={ok} failed={failed} stopped={stopped} running={}", status.running));
    }

    fn kept(&mut self, rule: &str) {
        for kept in self.engine.kept().filter(|kept| *kept.rule == *rule).collect::<Vec<_>>() {
            let events: Vec<String> =
                kept.events.iter().map(|event| format!("{}:{}", event.path.display(), event.mask)).collect();
            let owes = if kept.state.owes_rescan { " owes" } else { "" };
            let paused = if kept.state.is_paused { " paused" } else { "" };
            self.say(format!("kept {rule} {}{owes}{paused}", events.join(" ")));
        }
    }

    fn handle(&mut self, input: Input) {
        for action in self.engine.handle(self.now, input) {
            if let Some(line) = self.told(action) {
                self.say(line);
            }
        }
        let deadline = self.engine.next_deadline();
        assert!(deadline.is_none_or(|deadline| deadline > self.now), "a deadline is left behind");
    }

    fn say(&mut self, line: String) {
        self.trace.push(normal(format!("{} {line}", self.now.elapsed().as_millis())));
    }

    fn told(&self, action: Action) -> Option<String> {
        Some(match action {
            Action::Spawn(run) => spawn(&run),
            Action::Signal { run, signal: StopSignal::Ask(number) } => {
                format!("ask {run} {}", signal::name(number))
            }
            Action::Signal { run, signal: StopSignal::Kill } => format!("kill {run}"),
            Action::Rescan(rule) => format!("rescan {}", self.rules.rule(rule).name),
            Action::Report(report) => return told(report),
        })
    }

    fn rule(&self, name: &str) -> RuleId {
        self.rules.iter().find(|(_, rule)| *rule.name == *name).expect("a rule of that name").0
    }
}

fn told(report: Report) -> Option<String> {
    Some(match report {
        Report::Started(_) => return None,
        Report::Ended { run, outcome, is_failure, then, .. } => {
            let failed = if is_failure { " failed" } else { "" };
            format!("end {} {outcome}{failed}{}", run.id, after(then))
        }
        Report::Dropped { rule, path, reason, count } => {
            let path = path.map(|path| format!(" {}", path.display())).unwrap_or_default();
            format!("drop {rule} {} {count}{path}", reason.as_str())
        }
        Report::OnFailureLeftOut { rule, outcome, path } => {
            let path = path.map(|path| format!(" {}", path.display())).unwrap_or_default();
            format!("no-on-failure {rule} {outcome}{path}")
        }
        Report::OverLimit { rule } => format!("over {rule}"),
        Report::StartLimited { rule } => format!("limited {rule}"),
        Report::LoopSuspected { rule } => format!("loop {rule}"),
    })
}

fn after(then: Then) -> String {
    match then {
        Then::Nothing => String::new(),
        Then::Retry(delay) => format!(" then retry {}ms", delay.as_millis()),
        Then::OnFailure => " then on-failure".to_owned(),
    }
}

fn spawn(run: &Run) -> String {
    let events: Vec<String> = run.events.iter().map(told_event).collect();
    let attempt = if run.attempt > 1 { format!(" attempt={}", run.attempt) } else { String::new() };
    let purpose = match &run.purpose {
        Purpose::Command => String::new(),
        Purpose::OnFailure(outcome) => format!(" after {}", told_outcome(outcome)),
    };
    format!("spawn {} {} {}{attempt}{purpose}", run.id, run.rule.name, events.join(" "))
}

fn told_outcome(outcome: &Outcome) -> String {
    outcome.to_string()
}

/// The path, and what happened to it unless it has just arrived.
fn told_event(event: &Event) -> String {
    let mask = if event.mask == EventMask::ARRIVED { String::new() } else { format!(":{}", event.mask) };
    let old_path =
        event.old_path.as_deref().map(|path: &Path| format!("<{}", path.display())).unwrap_or_default();
    format!("{}{mask}{old_path}", event.path.display())
}

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

fn run_id(text: &str) -> RunId {
    RunId(text.parse().expect("the number of a run"))
}

fn millis(millis: u64) -> Moment {
    Moment::since_start(Duration::from_millis(millis))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// One blank between words.
fn normal(line: impl AsRef<str>) -> String {
    line.as_ref().split_whitespace().collect::<Vec<_>>().join(" ")
}
