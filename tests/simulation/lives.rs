//! Lives by the thousand.

use crate::oracle::Violation;
use crate::sometimes::Sometimes;
use crate::subject::{Make, engine};
use crate::world::{Told, World};

/// Lives of a full set.
const LIVES: u64 = 20_000;

/// One life.
pub fn live(seed: u64, make: Make) -> Result<Told, Violation> {
    let mut world = World::new(seed, make, false);
    world.live()?;
    Ok(world.told())
}

/// The same life once more, told line by line.
fn tell(seed: u64, make: Make) -> String {
    let mut world = World::new(seed, make, true);
    let verdict = world.live().err().map(|violation| violation.to_string());
    format!("{}\n{}", world.log(), verdict.unwrap_or_else(|| "nothing was broken".into()))
}

#[expect(clippy::disallowed_methods, reason = "a test is told how much to do by the environment")]
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_promise_is_kept_in_thousands_of_random_lives() {
    if let Some(seed) = number("FACRON_SEED") {
        println!("{}", tell(seed, &engine));
        assert!(live(seed, &engine).is_ok(), "seed {seed} breaks a promise");
        return;
    }
    let lives = number("FACRON_LIVES").unwrap_or(LIVES);
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let mut sometimes = Sometimes::default();
    let mut inputs = 0;
    std::thread::scope(|scope| {
        let work = |worker: u64| move || live_some((worker..lives).step_by(workers as usize));
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(work(worker))).collect();
        for worker in workers {
            let (seen, count) = worker.join().expect("a life was lived to its end");
            sometimes.add(&seen);
            inputs += count;
        }
    });
    println!("{lives} lives, {inputs} inputs: {sometimes:#?}");
    let missing = sometimes.missing();
    assert!(lives < LIVES || missing.is_empty(), "never reached: {missing:?}");
}

fn live_some(seeds: impl Iterator<Item = u64>) -> (Sometimes, u64) {
    let mut sometimes = Sometimes::default();
    let mut inputs = 0;
    for seed in seeds {
        match live(seed, &engine) {
            Ok(told) => {
                sometimes.add(&told.sometimes);
                inputs += told.inputs;
            }
            Err(violation) => {
                panic!("{}\nFACRON_SEED={seed} breaks {violation}", tell(seed, &engine))
            }
        }
    }
    (sometimes, inputs)
}

#[test]
fn an_event_that_comes_late_is_the_same_as_a_tick_and_then_the_event() {
    for seed in 0..1000 {
        let apart = live(seed, &engine).map(|told| told.trace).ok();
        let mut world = World::new(seed, &engine, false).without_ticks();
        let together = world.live().map(|()| world.told().trace).ok();
        assert_eq!(apart, together, "FACRON_SEED={seed}");
    }
}

#[test]
fn at_the_end_of_time_nothing_overflows() {
    for seed in 0..500 {
        let mut world = World::at_the_end_of_time(seed, &engine);
        assert!(world.go_on(300).is_ok(), "nobody judges");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..500 {
        let [one, other] =
            [live(seed, &engine), live(seed, &engine)].map(|told| told.map(|told| told.trace).ok());
        assert_eq!(one, other, "FACRON_SEED={seed}");
    }
}
