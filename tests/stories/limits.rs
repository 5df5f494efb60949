//! The limits on memory, and what a rule costs that has nothing to do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use facron::engine::{Action, Engine, Exit, Input, PATHS_MAX, Report};
use facron::event::{Event, EventMask, Origin, RunId};
use facron::moment::Moment;
use facron::rule::RuleId;

use crate::rules;
use crate::script::event;

/// Hands in a change on each of these paths, and says what came of it.
fn touch(engine: &mut Engine, rule: u32, paths: std::ops::Range<usize>) -> Vec<Action> {
    let at = Moment::default();
    let of_path =
        |path| Event { path: PathBuf::from(format!("/{path}")).into(), ..event("", EventMask::ARRIVED) };
    let inputs = paths.map(|path| Input::Event { rule: RuleId(rule), event: of_path(path) });
    inputs.flat_map(|input| engine.handle(at, input)).collect()
}

fn count(actions: &[Action], is_counted: impl Fn(&Action) -> bool) -> usize {
    actions.iter().filter(|action| is_counted(action)).count()
}

fn is_over(action: &Action) -> bool {
    matches!(action, Action::Report(Report::OverLimit { .. }))
}

fn is_rescan(action: &Action) -> bool {
    matches!(action, Action::Rescan(_))
}

#[test]
fn a_flood_of_a_million_paths_takes_no_more_room_than_the_limit() {
    let mut engine = Engine::new(rules::parse("r debounce=1s"));
    let actions = touch(&mut engine, 0, 0..1_000_000);
    assert_eq!((count(&actions, is_over), count(&actions, is_rescan)), (1, 0), "it is told once");
    let status = engine.status(RuleId(0)).expect("a rule");
    assert_eq!((status.waiting_paths, status.waiting), (10_000, 1_000_000));
    assert!(status.owes_rescan && engine.room(RuleId(0)) == 0);
}

#[test]
fn above_the_limit_of_all_rules_every_rule_owes_a_rescan_until_half_is_free() {
    let mut engine = Engine::new(rules::parse(
        "daemon concurrency=4096\nr queue-limit=1000000 debounce=1s batch\ns debounce=2s\nt debounce=2s",
    ));
    assert!(touch(&mut engine, 0, 0..PATHS_MAX - 1).is_empty());
    assert!(touch(&mut engine, 1, 0..1).is_empty(), "the last one that fits");
    let mut actions = touch(&mut engine, 1, 1..9);
    actions.extend(touch(&mut engine, 2, 0..9));
    assert_eq!((count(&actions, is_over), count(&actions, is_rescan)), (2, 0), "each is told once");
    assert!(touch(&mut engine, 0, 0..9).is_empty(), "what waits already takes no more room");
    assert!((0..3).all(|rule| engine.room(RuleId(rule)) == 0));

    let actions = engine.handle(Moment::since_start(Duration::from_secs(1)), Input::Tick);
    assert_eq!(count(&actions, |action| matches!(action, Action::Spawn(_))), 1);
    assert_eq!(count(&actions, is_rescan), 0, "what runs takes room as well");
    let exited = Input::Exited { run: RunId(1), exit: Exit::Code(0) };
    let actions = engine.handle(Moment::since_start(Duration::from_secs(1)), exited);
    assert_eq!(count(&actions, is_rescan), 2);
    assert!((0..3).all(|rule| engine.room(RuleId(rule)) > 0));
    for rule in [1, 2] {
        assert_eq!(engine.status(RuleId(rule)).map(|status| status.is_rescanning), Some(true));
    }
}

#[test]
fn a_walk_that_waits_for_room_never_makes_its_rule_owe_another() {
    let mut engine = Engine::new(rules::parse("r queue-limit=4"));
    let mut now = Moment::default();
    let mut actions = touch(&mut engine, 0, 0..9);
    let mut findings = 0..1000;
    let mut walks = 0;
    let mut runs = 0;
    loop {
        walks += count(&actions, is_rescan);
        let spawned = actions.iter().find_map(|action| match action {
            Action::Spawn(run) => Some(run.id),
            _ => None,
        });
        runs += usize::from(spawned.is_some());
        now = now + Duration::from_millis(1);
        if walks > 0 && engine.room(RuleId(0)) > 0 {
            let Some(path) = findings.next() else { break };
            let found =
                Event { path: PathBuf::from(format!("/f{path}")).into(), ..event("", EventMask::ARRIVED) };
            let found = Event { origin: Origin::Rescan, ..found };
            actions = engine.handle(now, Input::Event { rule: RuleId(0), event: found });
        } else {
            actions = engine.handle(now, Input::Tick);
        }
        let running = spawned.or_else(|| {
            let id = RunId(runs as u64);
            (engine.running() > 0).then_some(id)
        });
        actions.extend(
            running
                .into_iter()
                .flat_map(|run| engine.handle(now, Input::Exited { run, exit: Exit::Code(0) })),
        );
    }
    engine.handle(now, Input::RescanDone(RuleId(0)));
    assert_eq!(walks, 1, "one walk finds all");
    assert_eq!(engine.status(RuleId(0)).map(|status| status.owes_rescan), Some(false));
}

/// How long it takes to hand in events for the last of so many rules, and to wake for nothing.
#[expect(clippy::disallowed_methods, reason = "what is measured is the time that the engine takes itself")]
fn cost(rules: u32) -> Duration {
    let all: String = (0..rules).map(|rule| format!("rule-{rule} debounce=1s timeout=1m\n")).collect();
    let mut engine = Engine::new(rules::parse(&all));
    engine.handle(Moment::default(), Input::Tick);
    let start = Instant::now();
    assert!(touch(&mut engine, rules - 1, 0..5000).is_empty());
    for tick in 0..5000 {
        assert!(engine.handle(Moment::since_start(Duration::from_micros(tick)), Input::Tick).is_empty());
    }
    let took = start.elapsed();
    assert_eq!(engine.next_deadline(), Some(Moment::since_start(Duration::from_secs(1))));
    took
}

#[test]
fn rules_that_have_nothing_to_do_cost_nothing() {
    let (alone, among_many) = (cost(1), cost(10_000));
    // If each input looked at every rule, it would be some thousand times as long.
    assert!(among_many < alone * 100, "alone {alone:?}, among many {among_many:?}");
}
