//! What the journal costs: CPU time and delay of one event, its run and its end, against the run itself.
//!
//! `cargo bench --bench journal`; prints one line a figure.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench reads clocks and starts processes")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use facron::config;
use facron::diagnostic::SourceText;
use facron::engine::{Action, Engine, Exit, Input};
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::journal::{Journal, Stamp};
use facron::moment::Moment;
use facron::rule::{RuleId, RuleSet};
use nix::sys::resource::{UsageWho, getrusage};

const RULES: &str = "[[rule]]\nname = 'bench'\npath = '/srv'\non = 'all'\nconcurrency = 'unlimited'\ncommand = ['/bin/true']\n";

/// Events that are measured.
const EVENTS: u32 = 5_000;

/// Runs of /bin/true that they are compared with.
const RUNS: u32 = 500;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let parsed = config::parse(&[SourceText { name: "bench".into(), text: RULES.into() }]);
    let rules = Arc::new(parsed.rules);
    let (mut journal, _) = Journal::open(directory.path(), &rules, Stamp::now()).expect("a journal");
    let mut delays = Vec::new();
    let with = live(&rules, |engine, actions| {
        let started = Instant::now();
        journal.note(engine, actions);
        journal.commit(Moment::default(), engine);
        delays.push(started.elapsed());
    });
    let without = live(&rules, |_, _| ());

    let before = cpu_time();
    for _ in 0..RUNS {
        Command::new("/bin/true").status().expect("/bin/true runs");
    }
    let run = (cpu_time() - before) / RUNS;
    delays.sort();
    println!("journal_cpu_us_per_run {}", with.saturating_sub(without).as_micros());
    println!("bare_run_cpu_us {}", run.as_micros());
    println!("delay_p50_us {}", delays[delays.len() / 2].as_micros());
    println!("delay_p99_us {}", delays[delays.len() * 99 / 100].as_micros());
}

/// Lets events come, run and end, one after the other. Returns the CPU time of one.
fn live(rules: &Arc<RuleSet>, mut note: impl FnMut(&Engine, &[Action])) -> Duration {
    let mut engine = Engine::new(Arc::clone(rules));
    let mut now = Moment::default();
    let before = cpu_time();
    for number in 0..EVENTS {
        now = now + Duration::from_secs(1);
        let event = event(&format!("/srv/incoming/some-directory/file-number-{number}"));
        let actions = engine.handle(now, Input::Event { rule: RuleId(0), event });
        note(&engine, &actions);
        let runs = actions.into_iter().filter_map(|action| match action {
            Action::Spawn(run) => Some(run.id),
            Action::Signal { .. } | Action::Rescan(_) | Action::Report(_) => None,
        });
        for run in runs.collect::<Vec<RunId>>() {
            let actions = engine.handle(now, Input::Exited { run, exit: Exit::Code(0) });
            note(&engine, &actions);
        }
        // A loop that has nothing to do sleeps, and so does the writer.
        std::thread::sleep(Duration::from_micros(200));
    }
    (cpu_time() - before) / EVENTS
}

fn event(path: &str) -> Event {
    Event {
        mask: EventMask::MODIFY,
        path: std::path::Path::new(path).into(),
        old_path: None,
        is_dir: false,
        cause: Cause::default(),
        time: SystemTime::now(),
        origin: Origin::Event,
        object: None,
    }
}

/// Of this process and its children.
fn cpu_time() -> Duration {
    let of = |who| {
        let usage = getrusage(who).expect("getrusage(2) of ourselves works");
        let time = |time: nix::sys::time::TimeVal| {
            Duration::from_micros(
                u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).expect("not negative"),
            )
        };
        time(usage.user_time()) + time(usage.system_time())
    };
    of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
}
