//! The limits on memory, and what a rule costs that has nothing to do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use facron::engine::{Action, BYTES_MAX, Engine, Exit, Input, PATHS_MAX, RULE_BYTES_MAX, Report};
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

/// Bytes of the long paths of these tests.
const LONG: usize = 16 << 10;

/// Long paths that one rule may have.
const LONG_MAX: usize = RULE_BYTES_MAX / LONG;

/// A path of exactly [`LONG`] bytes.
fn long(number: usize) -> PathBuf {
    let digits = LONG - 1;
    PathBuf::from(format!("/{number:0>digits$}"))
}

/// Hands in an event of this kind on each of these long paths.
fn touch_long(engine: &mut Engine, rule: u32, paths: std::ops::Range<usize>, mask: EventMask) -> Vec<Action> {
    let of_path = |path| Event { path: long(path).into(), ..event("", mask) };
    let inputs = paths.map(|path| Input::Event { rule: RuleId(rule), event: of_path(path) });
    inputs.flat_map(|input| engine.handle(Moment::default(), input)).collect()
}

/// The end of this run, in the second after which all of these tests' rules are due.
fn end(engine: &mut Engine, run: u64) -> Vec<Action> {
    let exited = Input::Exited { run: RunId(run), exit: Exit::Code(0) };
    engine.handle(Moment::since_start(Duration::from_secs(1)), exited)
}

#[test]
fn long_paths_of_one_rule_leave_room_for_those_of_others() {
    let mut engine = Engine::new(rules::parse("r debounce=1s batch\ns debounce=60m"));
    assert!(touch_long(&mut engine, 0, 0..LONG_MAX, EventMask::ARRIVED).is_empty());
    assert!(touch_long(&mut engine, 0, 0..LONG_MAX, EventMask::ARRIVED).is_empty(), "they wait already");
    let actions = touch_long(&mut engine, 0, LONG_MAX..9000, EventMask::ARRIVED);
    assert_eq!((count(&actions, is_over), count(&actions, is_rescan)), (1, 0), "it is told once");
    let status = engine.status(RuleId(0)).expect("a rule");
    assert_eq!((status.waiting_paths, status.waiting), (LONG_MAX, 9000 + LONG_MAX as u64));
    assert_eq!(engine.room(RuleId(0)), 0);
    assert!(touch_long(&mut engine, 1, 0..LONG_MAX, EventMask::ARRIVED).is_empty(), "the other has its own");

    let actions = engine.handle(Moment::since_start(Duration::from_secs(1)), Input::Tick);
    assert_eq!(count(&actions, is_rescan), 0, "what runs takes room as well");
    let actions = end(&mut engine, 1);
    assert_eq!(count(&actions, is_rescan), 1);
    assert!(engine.room(RuleId(0)) > 0);
}

#[test]
fn above_the_bytes_of_all_rules_every_rule_owes_a_rescan_until_half_is_free() {
    let all: String = (0..5).map(|rule| format!("r{rule} debounce=1s batch\n")).collect();
    let mut engine = Engine::new(rules::parse(&all));
    for rule in 0..4 {
        assert!(touch_long(&mut engine, rule, 0..BYTES_MAX / 4 / LONG, EventMask::ARRIVED).is_empty());
    }
    let actions = touch_long(&mut engine, 4, 0..1, EventMask::ARRIVED);
    assert_eq!((count(&actions, is_over), count(&actions, is_rescan)), (1, 0));
    engine.handle(Moment::since_start(Duration::from_secs(1)), Input::Tick);
    assert_eq!(count(&end(&mut engine, 1), is_rescan), 0, "a quarter is free");
    assert_eq!(count(&end(&mut engine, 2), is_rescan), 1, "a half is");
}

#[test]
fn what_a_path_was_called_before_takes_room_as_well() {
    let mut engine = Engine::new(rules::parse("r on=rename debounce=60m"));
    let rename = |engine: &mut Engine, path: usize| {
        let path = PathBuf::from(format!("/{path}"));
        let renamed = Event { old_path: Some(long(0)), ..event("", EventMask::RENAME) };
        let event = Event { path: path.into(), ..renamed };
        engine.handle(Moment::default(), Input::Event { rule: RuleId(0), event })
    };
    let short: Vec<Action> = (0..LONG_MAX)
        .flat_map(|path| {
            let event =
                Event { path: PathBuf::from(format!("/{path}")).into(), ..event("", EventMask::RENAME) };
            engine.handle(Moment::default(), Input::Event { rule: RuleId(0), event })
        })
        .collect();
    assert_eq!(count(&short, is_over), 0, "short ones take little room");
    let actions: Vec<Action> = (0..LONG_MAX).flat_map(|path| rename(&mut engine, path)).collect();
    assert_eq!(count(&actions, is_over), 1, "where they wait already, too");
}

#[test]
fn parts_of_groups_have_limits_of_their_own() {
    let mut engine = Engine::new(rules::parse("r on=open+modify debounce=60m"));
    assert!(touch_long(&mut engine, 0, 0..LONG_MAX, EventMask::OPEN).is_empty());
    let actions = touch_long(&mut engine, 0, LONG_MAX..LONG_MAX + 1, EventMask::OPEN);
    assert_eq!((count(&actions, is_over), count(&actions, is_rescan)), (1, 1));
}

#[test]
fn the_oldest_leading_window_closes_where_there_is_no_room_for_another() {
    let mut engine = Engine::new(rules::parse("r edge=leading debounce=60m"));
    let is_run = |action: &Action| matches!(action, Action::Spawn(_));
    for path in 0..=LONG_MAX {
        let actions = touch_long(&mut engine, 0, path..path + 1, EventMask::ARRIVED);
        assert_eq!(count(&actions, is_run), 1);
        engine.handle(Moment::default(), Input::Exited { run: RunId(path as u64 + 1), exit: Exit::Code(0) });
    }
    let again = |engine: &mut Engine, path: usize| {
        count(&touch_long(engine, 0, path..path + 1, EventMask::ARRIVED), is_run)
    };
    assert_eq!(again(&mut engine, LONG_MAX), 0, "the newest is open");
    assert_eq!(again(&mut engine, 0), 1, "the oldest is not");
}

#[test]
fn what_runs_after_a_failure_takes_room_until_its_end() {
    let mut engine = Engine::new(rules::parse("r debounce=1s batch on-failure"));
    touch_long(&mut engine, 0, 0..LONG_MAX, EventMask::ARRIVED);
    let now = Moment::since_start(Duration::from_secs(1));
    engine.handle(now, Input::Tick);
    engine.handle(now, Input::Exited { run: RunId(1), exit: Exit::Code(1) });
    assert_eq!(engine.room(RuleId(0)), 0);
    end(&mut engine, 2);
    assert!(engine.room(RuleId(0)) > 0);
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
